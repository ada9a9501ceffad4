"""The examples in the docstrings of the public names are true."""

import doctest
import importlib

import pytest

import semgcn_jax
from semgcn_jax import models

# {name: its module}.
PUBLIC = {
  **semgcn_jax._HOMES,
  'JointSet': 'geometry.skeletons',
  **{name: f'models.{home}' for name, home in models._HOMES.items()},
}
WITHOUT = {'H36M', 'JOINT_SETS', 'ImageLifter', 'Lifted', 'SettingError'}
OF_A_RUN = ('train', 'evaluate', 'load_predictor')  # In this order.


def examples_of(name):
  """The doctests of a public name and its methods."""
  module = importlib.import_module(f'semgcn_jax.{PUBLIC[name]}')
  finder = doctest.DocTestFinder(exclude_empty=True)
  found = finder.find(getattr(module, name), name, module=module)
  return [test for test in found if test.examples]


def check(name):
  tests = examples_of(name)
  assert tests
  runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
  for test in tests:
    runner.run(test)
  assert runner.summarize(verbose=False).failed == 0


@pytest.mark.parametrize('name', sorted(PUBLIC.keys() - {*WITHOUT, *OF_A_RUN}))
def test_examples(name):
  check(name)


@pytest.mark.slow
def test_examples_of_a_run(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  for name in OF_A_RUN:
    check(name)


def test_every_public_name_is_known():
  names = {*semgcn_jax.__all__, *models.__all__} - {'__version__'}
  assert names <= PUBLIC.keys()
  assert not any(map(examples_of, WITHOUT - {'H36M', 'JOINT_SETS'}))
