"""Lifts a folder of keypoints on many cores or machines, by Ray Data.

    pip install "semgcn-jax[ray]"
    python examples/lift_with_ray.py --input=keypoints --output=poses \
        --image_size=1280x720 --workers=2

Each worker has a Lifter. A file of the input is a clip of one person, an `.npz`
with `keypoints`, `[T, J, 3]`, or a Parquet file with a clip in each row:
`clip`, a name, and `keypoints`, nested lists. For each file the output gets one
of the same name and kind: `poses`, `[T, 16, 3]`, and `errors`, `[T, 16]`,
metres. What is there already is skipped, so the command goes on where it was
interrupted. Workers that die are replaced, and their files lifted again; files
that cannot be read are named at the end.

docs/scaling.md says how fast it is. With `--address`, it joins a running
cluster, whose machines must see the same folders.
"""

import argparse
import logging
import os
import pathlib
import sys
import time
import zipfile
from typing import Any

# Each worker computes on one core; others do on the other cores.
ONE_CORE = {'NPROC': '1', 'OMP_NUM_THREADS': '1'}  # XLA reads the first.
KINDS = ('.npz', '.parquet')


class Worker:
  """Lifts files; Ray starts one for each core.

  Attributes:
    options: The output folder, and what `Lifter.lift` takes.
  """

  def __init__(self, checkpoint: str, output: str, options: dict[str, Any]):
    from semgcn_jax import Lifter  # Imports JAX, in the worker alone.

    self._lifter = Lifter.load(checkpoint)
    self._output = pathlib.Path(output)
    self._options = options

  def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
    """Lifts one file; returns its frames, or why it could not be lifted."""
    source = pathlib.Path(row['item'])
    result = {'source': source.name, 'frames': 0, 'error': ''}
    try:
      lift = self._lift_table if source.suffix == '.parquet' else self._lift_npz
      result['frames'] = lift(source, self._output / source.name)
    except Exception as error:  # On damage, the readers can raise anything.
      result['error'] = ' '.join(f'{type(error).__name__}: {error}'.split())
    return result

  def _lift(self, keypoints: Any) -> Any:
    """Lifts a clip of one person."""
    if keypoints.ndim != 3:
      raise ValueError(
        f'the keypoints have the shape {keypoints.shape}; give [T, J, 3], a'
        ' clip of one person'
      )
    return self._lifter.lift(keypoints, **self._options)

  def _lift_npz(self, source: pathlib.Path, target: pathlib.Path) -> int:
    import numpy as np

    if not zipfile.is_zipfile(source):
      raise ValueError('is not an npz file')
    with np.load(source, allow_pickle=False) as arrays:
      if 'keypoints' not in arrays:
        raise ValueError(f'has no array keypoints, but {sorted(arrays)}')
      keypoints = arrays['keypoints']
    lifted = self._lift(keypoints)
    arrays = {'poses': lifted.poses, 'errors': lifted.errors}
    write(target, lambda file: np.savez_compressed(file, **arrays))
    return len(lifted.poses)

  def _lift_table(self, source: pathlib.Path, target: pathlib.Path) -> int:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, frames = [], 0
    for row in pq.read_table(source).to_pylist():
      lifted = self._lift(np.array(row['keypoints'], float))
      rows.append(
        {
          'clip': row['clip'],
          'poses': lifted.poses.tolist(),
          'errors': lifted.errors.tolist(),
        }
      )
      frames += len(lifted.poses)
    write(target, lambda file: pq.write_table(pa.Table.from_pylist(rows), file))
    return frames


def write(path: pathlib.Path, save: Any) -> None:
  """Writes a file under another name, and renames it when it is whole."""
  begun = path.with_name(f'.{path.name}.{os.getpid()}')
  try:
    with open(begun, 'wb') as file:
      save(file)
    os.replace(begun, path)
  finally:
    begun.unlink(missing_ok=True)


def lift_folder(
  sources: list[pathlib.Path],
  output: pathlib.Path,
  options: dict[str, Any],
  *,
  checkpoint: str = 'cmu-video',
  workers: int = 1,
) -> list[dict[str, Any]]:
  """Lifts files on the workers of the cluster; returns what became of each."""
  import ray.data

  # Ray starts a worker that dies again, and gives it its file again.
  results = ray.data.from_items([str(path) for path in sources]).map(
    Worker,
    fn_constructor_args=(checkpoint, str(output), options),
    compute=ray.data.ActorPoolStrategy(size=workers),
    num_cpus=1,
  )
  finished = []
  for number, result in enumerate(results.iter_rows(), 1):
    finished.append(result)
    print(
      f'{number}/{len(sources)} {result["source"]}:'
      f' {result["error"] or str(result["frames"]) + " frames"}',
      flush=True,
    )
  return finished


def parse(argv: list[str] | None = None) -> argparse.Namespace:
  """Parses the command line."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  add = parser.add_argument
  add('--input', type=pathlib.Path, required=True, help='the folder of files')
  add('--output', type=pathlib.Path, required=True, help='the folder to fill')
  add('--image_size', required=True, help='in pixels, such as 1280x720')
  add('--joints', default='coco', help='the joint set of the keypoints')
  add('--fps', type=float, default=30.0, help='the frame rate of the clips')
  add('--checkpoint', default='cmu-video', help='bundled weights, or a run')
  add('--workers', type=int, default=os.cpu_count(), help='each takes a core')
  add('--address', help='of a running cluster; by default, one is started here')
  flags = parser.parse_args(argv)
  try:
    flags.image_size = tuple(int(n) for n in flags.image_size.split('x'))
    if len(flags.image_size) != 2:
      raise ValueError
  except ValueError:
    parser.error('--image_size: give width and height, such as 1280x720')
  if not flags.input.is_dir():
    parser.error(f'--input={flags.input}: no such folder')
  if flags.input.resolve() == flags.output.resolve():
    parser.error('--output: is the folder that is read; name another')
  if flags.workers < 1:
    parser.error(f'--workers={flags.workers}: must be 1 or more')
  if not sources_in(flags.input):
    parser.error(f'--input={flags.input}: has no .npz and no .parquet files')
  return flags


def sources_in(folder: pathlib.Path) -> list[pathlib.Path]:
  """Lists the files of a folder that can be lifted."""
  return sorted(path for path in folder.iterdir() if path.suffix in KINDS)


def main(argv: list[str] | None = None) -> int:
  """Runs the command, and returns its exit status."""
  flags = parse(argv)
  flags.output.mkdir(parents=True, exist_ok=True)
  every = sources_in(flags.input)
  sources = [
    path.resolve() for path in every if not (flags.output / path.name).exists()
  ]
  if len(every) > len(sources):
    print(f'{len(every) - len(sources)} files are there already; skipped')
  if not sources:
    print('nothing to lift')
    return 0
  import ray

  from semgcn_jax import Lifter, UserError

  try:
    known = Lifter.load(flags.checkpoint).joint_sets
  except UserError as error:
    print(f'--checkpoint: {error}', file=sys.stderr)
    return 2
  if flags.joints not in known:
    print(f'--joints={flags.joints}: choose from {known}', file=sys.stderr)
    return 2
  os.environ['RAY_DATA_DISABLE_PROGRESS_BARS'] = '1'
  # Ray's own notes; what matters is printed here.
  logging.getLogger('ray').setLevel(logging.ERROR)
  ray.init(
    flags.address,
    num_cpus=None if flags.address else flags.workers,
    runtime_env={'env_vars': ONE_CORE},
    include_dashboard=False,
    log_to_driver=False,
    logging_level=logging.ERROR,
  )
  began = time.monotonic()
  options = {
    'image_size': flags.image_size,
    'joints': flags.joints,
    'fps': flags.fps,
  }
  results = lift_folder(
    sources,
    flags.output.resolve(),
    options,
    checkpoint=flags.checkpoint,
    workers=min(flags.workers, len(sources)),
  )
  seconds = time.monotonic() - began
  ray.shutdown()
  frames = sum(result['frames'] for result in results)
  print(
    f'{len(results)} files, {frames} frames in {seconds:.1f} s,'
    f' {frames / seconds:.0f} frames per second'
  )
  broken = [r for r in results if r['error']]
  for result in broken:
    print(f'{result["source"]}: {result["error"]}', file=sys.stderr)
  return 1 if broken else 0


if __name__ == '__main__':
  sys.exit(main())
