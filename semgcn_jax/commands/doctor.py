"""Examines what is installed."""

import importlib.metadata
import platform
import re
import subprocess
import sys

from packaging.requirements import Requirement

from semgcn_jax import __version__
from semgcn_jax.commands.flags.doctor import Flags
from semgcn_jax.errors import UserError, listed, printable, shortened

_PATIENCE = 300  # Seconds for a package to load.


def main(flags: Flags) -> None:
  """Prints what works; raises a UserError if something installed does not."""
  system = f'{platform.system()} {platform.machine()}'
  print(
    f'semgcn-jax {__version__}, Python {platform.python_version()}, {system}'
  )
  broken = []

  def check(name: str, code: str, works: str = 'works') -> None:
    reason = _fails(code)
    print(f'{name}: {reason or works}', flush=True)
    if reason:
      broken.append(name)

  jax = f'JAX {_version("jax")}'
  _, devices = _output(_DEVICES)
  print(f'{jax}: {devices}', flush=True)
  if flags.version:
    return
  check('bundled weights', _WEIGHTS, 'work')
  for extra, packages in _extras().items():
    missing = [package for package in packages if _version(package) is None]
    if missing:
      print(
        f'extra {extra}: not installed (no {listed(missing)}); install it with'
        f' pip install "semgcn-jax[{extra}]"'
      )
      continue
    versions = listed(f'{name} {_version(name)}' for name in packages)
    modules = _modules(packages)
    code = _CHECKS.get(extra, '') or f'import {", ".join(modules)}'
    check(f'extra {extra}', code, f'works ({versions})')
  if broken:
    raise UserError(f'{listed(broken)}: installed, but does not work')


_NAME = 'semgcn-jax'
_LEFT_OUT = ('dev', 'docs')  # The extras of those who change the project.
# How to find out whether an extra works, where to import it is not enough.
_CHECKS = {
  'cuda': 'import jax; jax.devices("gpu")',
  'pose': 'from semgcn_jax.detections import mediapipe; mediapipe.check()',
  'mp4': 'import imageio_ffmpeg; imageio_ffmpeg.get_ffmpeg_exe()',
}
_DEVICES = (
  'import jax; d = jax.devices();'
  ' print(f"{len(d)} x {d[0].device_kind} ({d[0].platform})")'
)
_WEIGHTS = (
  'import numpy as np; from semgcn_jax import Lifter;'
  ' Lifter.load("cmu")(np.full((1, 17, 2), 300.0), (640, 480), check=False)'
)


def _extras() -> dict[str, list[str]]:
  """Lists the packages that each extra installs here."""
  if _version(_NAME) is None:
    print('extras: unknown, as the package runs without being installed')
    return {}
  known = importlib.metadata.metadata(_NAME).get_all('Provides-Extra') or ()
  return {
    extra: _packages(_NAME, extra) for extra in known if extra not in _LEFT_OUT
  }


def _packages(package: str, extra: str) -> list[str]:
  """Lists the packages that an extra of a package installs here."""
  packages = []
  if _version(package) is None:
    return packages
  for text in importlib.metadata.requires(package) or ():
    needed = Requirement(text)
    if not needed.marker or 'extra' not in str(needed.marker):
      continue
    if needed.marker.evaluate({'extra': extra}):
      others = [_packages(needed.name, other) for other in needed.extras]
      # Of jax[cuda], only what is not in jax.
      packages += sum(others, []) or [needed.name]
  return packages


def _version(package: str) -> str | None:
  """Returns the version of an installed package, or None."""
  try:
    return importlib.metadata.version(package)
  except importlib.metadata.PackageNotFoundError:
    return None


def _modules(packages: list[str]) -> list[str]:
  """Lists the modules that packages are imported as."""
  owners = importlib.metadata.packages_distributions()
  plain = {_plain(package) for package in packages}
  return sorted(
    module
    for module, names in owners.items()
    if plain & set(map(_plain, names)) and not module.startswith('_')
  )


def _plain(package: str) -> str:
  return re.sub(r'[-_.]+', '-', package).lower()


def _fails(code: str) -> str:
  """Runs Python in a process of its own; returns why it fails, or ''."""
  works, output = _output(code)
  return '' if works else f'does not work: {output}'


def _output(code: str) -> tuple[bool, str]:
  """Runs Python in a process of its own.

  Returns:
    Whether it ends well, and the last line that it prints.
  """
  try:
    done = subprocess.run(
      [sys.executable, '-c', code],
      capture_output=True,
      text=True,
      errors='replace',
      timeout=_PATIENCE,
    )
  except subprocess.TimeoutExpired:
    return False, f'it takes longer than {_PATIENCE} s'
  if done.returncode < 0:
    return False, f'it ends with signal {-done.returncode}'
  text = (done.stderr if done.returncode else done.stdout).strip()
  last = text.splitlines()[-1] if text else f'status {done.returncode}'
  return not done.returncode, printable(shortened(last, 200))
