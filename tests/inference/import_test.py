"""What lifting loads: it must be light, and import on every system."""

import subprocess
import sys

HEAVY = {'optax', 'matplotlib', 'h5py', 'cdflib'}
UNIX = ('fcntl', 'resource')
PROGRAM = f"""
import sys
import semgcn_jax
assert 'jax' not in sys.modules
for name in {UNIX}:
  sys.modules[name] = None  # As on Windows.
import semgcn_jax.inference.lifter, semgcn_jax.inference.predictor
print(*sys.modules)
print(semgcn_jax.load_predictor.__name__)
"""


def test_what_the_package_and_lifting_load():
  """In one process, as each of them would load JAX."""
  loaded, name = subprocess.check_output(
    [sys.executable, '-W', 'ignore', '-c', PROGRAM], text=True
  ).splitlines()
  assert 'jax' in loaded.split() and not HEAVY & set(loaded.split())
  assert name == 'load_predictor'
