"""What lifting loads: it must be light, and import on every system."""

import subprocess
import sys

HEAVY = {'optax', 'matplotlib', 'h5py', 'cdflib'}
UNIX = ('fcntl', 'resource')
PROGRAM = """
import sys
for name in {blocked}:
  sys.modules[name] = None  # As on Windows.
import {module}
print(*sys.modules)
"""


def modules_after_importing(module, blocked=()):
  program = PROGRAM.format(blocked=blocked, module=module)
  return set(
    subprocess.check_output(
      [sys.executable, '-W', 'ignore', '-c', program], text=True
    ).split()
  )


def test_lifting_loads_no_optimizer_figures_or_readers():
  loaded = modules_after_importing('semgcn_jax.inference')
  assert 'jax' in loaded and not HEAVY & loaded


def test_lifting_imports_without_what_only_unix_has():
  assert 'jax' in modules_after_importing('semgcn_jax.inference', UNIX)


def test_the_package_itself_does_not_wait_for_jax():
  assert 'jax' not in modules_after_importing('semgcn_jax')


def test_the_package_offers_what_users_import():
  program = 'import semgcn_jax as s; print(s.load_predictor.__name__)'
  out = subprocess.check_output([sys.executable, '-c', program], text=True)
  assert out.strip() == 'load_predictor'
