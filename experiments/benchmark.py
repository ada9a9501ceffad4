"""Measures training steps and predictions: speed, compile time, memory.

python experiments/benchmark.py --batch_sizes=64,1024 --forward_batch_sizes=1
"""

import dataclasses
import pathlib

import jax
from absl import flags

from semgcn_jax import benchmark, cli
from semgcn_jax.config import PRECISIONS
from semgcn_jax.errors import FlagError, choose
from semgcn_jax.evaluate import check_output, write_json
from semgcn_jax.skeleton import load_skeleton

cli.define_config_flags()
cli.define_cache_flag()
_BATCH_SIZES = flags.DEFINE_list('batch_sizes', ['64', '1024'], 'Of training.')
_FORWARD = flags.DEFINE_list(
  'forward_batch_sizes', ['1', '1024'], 'Of predictions.'
)
_PRECISIONS = flags.DEFINE_list(
  'precisions', ['highest'], 'Of highest, default, bfloat16.'
)
_DEVICES = flags.DEFINE_list(
  'devices', [], 'Counts of devices to train on; empty: all.'
)
_SEEDS = flags.DEFINE_list('seeds', ['1'], 'Counts of runs in one program.')
_EPOCH = flags.DEFINE_list(
  'epoch_batch_sizes', [], 'Times an epoch of --num_poses with these.'
)
_NUM_POSES = flags.DEFINE_integer(
  'num_poses', 100_000, 'Random training poses on the device.', lower_bound=1
)
_REPEATS = flags.DEFINE_integer('repeats', 10, 'The median is of so many.', 1)
_OUTPUT = flags.DEFINE_string('output', None, 'JSON file to write.')


def main():
  cli.use_compilation_cache()
  if 'num_seeds' in cli.config_flags():
    raise FlagError('--num_seeds: use --seeds')
  base = cli.config_from_flags()
  skeleton = load_skeleton(base.skeleton)
  if _OUTPUT.value:
    check_output(pathlib.Path(_OUTPUT.value))
  for precision in _PRECISIONS.value:
    choose('precisions', precision, dict.fromkeys(PRECISIONS))
  precisions = [
    dataclasses.replace(base, precision=precision)
    for precision in _PRECISIONS.value
  ]
  available = jax.local_device_count()
  counts = _numbers(_DEVICES, available) or [available]
  training = [
    (count, dataclasses.replace(config, batch_size=size, num_seeds=seeds))
    for config in precisions
    for size in _numbers(_BATCH_SIZES)
    for seeds in _numbers(_SEEDS)
    for count in counts
  ]
  forward = [
    dataclasses.replace(config, batch_size=size)
    for config in precisions
    for size in _numbers(_FORWARD)
  ]
  epochs = [
    dataclasses.replace(config, batch_size=size)
    for config in precisions
    for size in _numbers(_EPOCH, _NUM_POSES.value)
  ]
  for flag, count, config in [
    *((_BATCH_SIZES, count, config) for count, config in training),
    *((_EPOCH, available, config) for config in epochs),
  ]:
    if config.batch_size % count:
      raise FlagError(
        f'--{flag.name}: {config.batch_size} does not split over {count}'
        ' devices'
      )
  if forward and base.calibrates:
    raise FlagError(
      '--image_aligned, --scale_calibration: predictions have no scale of their'
      ' own; leave the flag out, or measure none by --forward_batch_sizes='
    )
  ceilings = benchmark.measure_ceilings(_PRECISIONS.value, _REPEATS.value)
  print(f'{available} {jax.local_devices()[0].device_kind}; measured ceilings:')
  for precision, flops in ceilings.flops.items():
    print(f'  matrix product, {precision}: {flops / 1e12:.2f} TFLOP/s')
  print(f'  copy: {ceilings.bytes / 1e9:.0f} GB/s')
  print(f'  smallest call: {ceilings.call_ms:.3f} ms')
  print(benchmark.HEADER)
  rows = []

  def add(row):
    rows.append(row)
    print(benchmark.format_row(row), flush=True)

  for count, config in training:
    add(
      benchmark.measure_training(
        config,
        skeleton,
        ceilings,
        devices=count,
        num_poses=_NUM_POSES.value,
        repeats=_REPEATS.value,
      )
    )
  for config in forward:
    add(
      benchmark.measure_forward(
        config,
        skeleton,
        ceilings,
        repeats=_REPEATS.value,
      )
    )
  lines = []
  for config in epochs:
    lines.append(benchmark.measure_epoch(config, skeleton, _NUM_POSES.value))
    print(lines[-1], flush=True)
  if _OUTPUT.value:
    result = {
      'device': jax.local_devices()[0].device_kind,
      'ceilings': dataclasses.asdict(ceilings),
      'config': dataclasses.asdict(base),
      'epochs': lines,
      'rows': [dataclasses.asdict(row) for row in rows],
    }
    write_json(result, pathlib.Path(_OUTPUT.value))


def _numbers(flag, highest: int = 2**31 - 1) -> list[int]:
  try:
    numbers = [int(number) for number in flag.value]
  except ValueError as error:
    raise FlagError(f'--{flag.name}: give whole numbers') from error
  for number in numbers:
    if not 0 < number <= highest:
      raise FlagError(f'--{flag.name}={number}: must be from 1 to {highest}')
  return numbers


if __name__ == '__main__':
  cli.run(main)
