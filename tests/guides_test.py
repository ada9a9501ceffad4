"""Every block of code in the README and the guides runs, or is listed here."""

import importlib
import re
import shlex
import shutil

import numpy as np
import pytest
from command_line import run
from conftest import ROOT
from filmed import film_level, moving

from semgcn_jax.commands import parsing
from semgcn_jax.errors import SettingError

PAGES = (
  'README.md',
  *(
    f'docs/{name}.md'
    for name in (
      *('index', 'animators', 'researchers', 'engineers', 'biomechanists'),
    )
  ),
)
# {the beginning of a command: why it does not run here}.
ELSEWHERE = {
  'git clone': 'makes the checkout',
  'python3 -m venv': '.ci/run makes an environment',
  'pip install': '.ci/run installs the package and its extras',
  'python -m pytest': '.ci/run calls it',
  'semgcn doctor': 'commands/semgcn_test.py runs it',
  'semgcn predict --video=': 'detections/mediapipe_test.py lifts videos',
  'python experiments/train.py --preset=cmu_best': 'needs the CMU database',
  'python experiments/prepare_data.py': 'needs the CMU database',
  'python experiments/reproduce.py': 'takes minutes on a GPU',
  'python examples/lift_with_ray.py': 'ray_test.py runs it',
  'python examples/inverse_kinematics.py': 'inverse_kinematics_test.py does',
  'semgcn reproduce': 'paper/reproduce_test.py runs it, with fewer steps',
}
# What makes training short.
TINY = {'train': ('--hid_dim=8', '--num_layers=1', '--epochs=1')}


def blocks(page):
  """The blocks of a page in their order, ('python' or 'shell', text)."""
  text = (ROOT / page).read_text()
  parts = re.findall(
    r'^```(\w+)\n(.*?)^```|^((?: {4,}\S[^\n]*\n)+)', text, re.S | re.M
  )
  return [(kind or 'shell', body or indented) for kind, body, indented in parts]


def commands(text):
  """The commands of a block, without comments."""
  for line in text.splitlines():
    if command := line.split(' #')[0].strip():
      yield command


def elsewhere(command):
  return any(command.startswith(start) for start in ELSEWHERE)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
  """A folder with what the guides name, which becomes the current one."""
  monkeypatch.chdir(tmp_path)
  shutil.copytree(ROOT / 'examples', 'examples')
  (tmp_path / 'detections').mkdir()
  for name in ('walk', 'run'):
    pixels = film_level(moving(12), (1280, 720)).keypoints('coco')
    np.savez(f'detections/{name}.npz', keypoints=pixels)


@pytest.mark.slow
@pytest.mark.parametrize('page', PAGES)
def test_the_page_runs(page, checkout, capsys):
  del checkout
  ran, names = 0, {}
  for kind, text in blocks(page):
    if kind == 'python':
      text = text.replace("'synthetic', epochs=2", "'synthetic', epochs=1")
      exec(
        text.replace("preset('synthetic'", "preset('synthetic', hid_dim=8"),
        names,
      )
      ran += 1
      continue
    for command in commands(text):
      if elsewhere(command):
        continue
      program, *words = shlex.split(command)
      if program == 'python':
        name = words.pop(0).removeprefix('experiments/').removesuffix('.py')
      else:
        assert program == 'semgcn', command
        name = words.pop(0)
      code, _, err = run(name, *words, *TINY.get(name, ()))
      assert (code, err) == (0, ''), f'{command}: {err}'
      ran += 1
  assert ran >= 1
  capsys.readouterr()


def every_command():
  """Every command of ours in the documentation, (page, name, flags)."""
  for path in (*ROOT.glob('*.md'), *sorted(ROOT.glob('docs/**/*.md'))):
    text = re.sub(r'\\\n\s*', ' ', path.read_text())
    for line in text.splitlines():
      found = re.match(
        r' {4,}(?:python experiments/(\w+)\.py|semgcn ([\w-]+))(?: (.*))?$',
        line.split('  #')[0].split(' | ')[0],
      )
      if found:
        script, command, flags = found.groups()
        yield path.name, script or command.replace('-', '_'), flags or ''


def test_every_command_in_the_documentation_can_be_parsed():
  count = 0
  for page, name, flags in every_command():
    kind = importlib.import_module(f'semgcn_jax.commands.flags.{name}').Flags
    values = parsing.define(kind)
    try:
      parsing.parse(kind, values, [name, *shlex.split(flags, comments=True)])
      parsing.read(kind, values)
    except (parsing.UsageError, SettingError) as error:
      raise AssertionError(f'{page}: {name} {flags}') from error
    count += 1
  assert count > 100


def test_what_is_listed_is_still_there():
  every = [
    command
    for page in PAGES
    for kind, text in blocks(page)
    if kind == 'shell'
    for command in commands(text)
  ]
  for start in ELSEWHERE:
    assert any(command.startswith(start) for command in every), start
