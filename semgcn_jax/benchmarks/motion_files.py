"""Measures how fast CMU's motion files are read, on one core."""

import pathlib
import tempfile
import time
from collections.abc import Iterator, Sequence

from semgcn_jax.prepare.asf import bone_ends, read_amc, read_asf


def repeated(text: str, size: int) -> str:
  """Makes a long .amc motion by repeating the frames of one.

  Args:
    text: The text of the .amc file.
    size: The size that the frames must reach, in bytes.

  Returns:
    The text of the long motion, with its frames numbered from 1.
  """
  head, _, body = text.partition('\n1\n')
  frames = [
    '\n'.join(frame) for frame in _frames(f'1\n{body}'.rstrip('\n').split('\n'))
  ]
  parts, total, number = [head], 0, 0
  while total < size:
    frame = frames[number % len(frames)]
    number += 1
    parts.append(f'{number}\n{frame}')
    total += len(parts[-1]) + 1
  return '\n'.join(parts) + '\n'


def _frames(lines: Sequence[str]) -> Iterator[list[str]]:
  """Gives the lines of each frame, without its number."""
  frame = []
  for line in lines[1:]:
    if line.isdigit():
      yield frame
      frame = []
    else:
      frame.append(line)
  yield frame


def measure_reading(
  asf_path: pathlib.Path, amc_path: pathlib.Path, megabytes: int
) -> str:
  """Times the reading of a motion, which is repeated to make it long.

  Args:
    asf_path: The .asf file of the skeleton.
    amc_path: The .amc file of the motion.
    megabytes: The size to repeat the motion to, in megabytes.

  Returns:
    A line with the speeds.
  """
  asf = read_asf(asf_path)
  text = amc_path.read_text(encoding='latin1')
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / 'repeated.amc'
    path.write_text(repeated(text, megabytes * 10**6))
    size = path.stat().st_size / 1e6
    seconds = []
    for _ in range(3):
      start = time.perf_counter()
      motion = read_amc(path, asf)
      seconds.append(time.perf_counter() - start)
  start = time.perf_counter()
  bone_ends(asf, {name: values[::12] for name, values in motion.items()})
  kinematics = time.perf_counter() - start
  frames = len(motion['root'])
  return (
    f'{size:.1f} MB, {frames:,} frames: parsed at'
    f' {size / min(seconds):.1f} MB/s (best of {len(seconds)});'
    f' every 12th frame by forward kinematics in {kinematics:.2f} s'
  )
