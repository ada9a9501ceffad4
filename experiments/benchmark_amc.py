"""Measures how fast CMU's motions are read, on one core.

python experiments/benchmark_amc.py --asf=subjects/16/16.asf \
    --amc=subjects/16/16_01.amc
"""

import pathlib
import tempfile
import time

from absl import flags

from semgcn_jax import cli
from semgcn_jax.prepare.asf import bone_ends, read_amc, read_asf

_ASF = flags.DEFINE_string('asf', None, 'Skeleton.')
_AMC = flags.DEFINE_string('amc', None, 'Motion, repeated to --megabytes.')
_MEGABYTES = flags.DEFINE_integer('megabytes', 50, 'Size of the file to read.')
flags.mark_flags_as_required(['asf', 'amc'])


def repeated(text: str, size: int) -> str:
  """An .amc with its frames again and again, numbered on."""
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


def _frames(lines):
  frame = []
  for line in lines[1:]:
    if line.isdigit():
      yield frame
      frame = []
    else:
      frame.append(line)
  yield frame


def main():
  asf = read_asf(pathlib.Path(_ASF.value))
  text = pathlib.Path(_AMC.value).read_text(encoding='latin1')
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / 'repeated.amc'
    path.write_text(repeated(text, _MEGABYTES.value * 10**6))
    megabytes = path.stat().st_size / 1e6
    seconds = []
    for _ in range(3):
      start = time.perf_counter()
      motion = read_amc(path, asf)
      seconds.append(time.perf_counter() - start)
  start = time.perf_counter()
  bone_ends(asf, {name: values[::12] for name, values in motion.items()})
  kinematics = time.perf_counter() - start
  frames = len(motion['root'])
  print(
    f'{megabytes:.1f} MB, {frames:,} frames: parsed at'
    f' {megabytes / min(seconds):.1f} MB/s (best of {len(seconds)});'
    f' every 12th frame by forward kinematics in {kinematics:.2f} s'
  )


if __name__ == '__main__':
  cli.run(main)
