"""Measures training steps and predictions: speed, compile time, memory."""

import dataclasses
import pathlib
from collections.abc import Sequence

import jax
from absl import flags

from semgcn_jax.benchmarks import speed
from semgcn_jax.benchmarks.loading import measure_loading
from semgcn_jax.benchmarks.plain_backbone import measure_plain
from semgcn_jax.commands.parsing import (
  config_flags,
  config_from_flags,
  define_cache_flag,
  define_config_flags,
)
from semgcn_jax.commands.running import run, use_compilation_cache
from semgcn_jax.config import Config, TrainingConfig
from semgcn_jax.data.datasets import load
from semgcn_jax.errors import SettingError
from semgcn_jax.files import check_output, write_json
from semgcn_jax.geometry.skeletons import Skeleton, load_skeleton


def define_flags(values: flags.FlagValues) -> None:
  """Defines the flags of the command."""
  define_config_flags(values)
  define_cache_flag(values)
  for name, default, text in (
    ('batch_sizes', ['64', '1024'], 'Time training with these batch sizes.'),
    (
      'forward_batch_sizes',
      ['1', '1024'],
      'Time predictions with these batch sizes.',
    ),
    ('precisions', ['highest'], 'Time these values of --precision.'),
    ('devices', [], 'Train on these numbers of devices; if empty, on all.'),
    ('seeds', ['1'], 'Train these numbers of seeds in one program.'),
    (
      'epoch_batch_sizes',
      [],
      'Time an epoch of --num_poses poses with these batch sizes.',
    ),
    (
      'image_worker_counts',
      [],
      'Time only the reading of the training pictures of --dataset, by these'
      ' numbers of processes; 0 reads by threads.',
    ),
  ):
    flags.DEFINE_list(name, default, text, flag_values=values)
  flags.DEFINE_bool(
    'plain_backbone',
    False,
    'With --backbone=resnet50, also time a plain linen ResNet-50 with its 2D'
    ' head, alone, with the first batch size.',
    flag_values=values,
  )
  flags.DEFINE_integer(
    'num_poses',
    100_000,
    'Put this many random training poses on the device.',
    1,
    flag_values=values,
  )
  flags.DEFINE_integer(
    'repeats',
    10,
    'Take the median of this many measurements.',
    1,
    flag_values=values,
  )
  flags.DEFINE_string(
    'output', None, 'Write the rows to this JSON file.', flag_values=values
  )


def benchmark(values: flags.FlagValues) -> None:
  """Measures what the flags ask for, and prints it as it comes.

  Raises:
    SettingError: A flag is wrong; nothing is measured.
  """
  use_compilation_cache(values)
  if 'num_seeds' in config_flags(values):
    raise SettingError('`num_seeds`: use `seeds`')
  base = config_from_flags(values)
  skeleton = load_skeleton(base.data.skeleton)
  if values.output:
    check_output(pathlib.Path(values.output))
  if values.image_worker_counts:
    _benchmark_loading(values, base, skeleton)
    return
  for precision in values.precisions:
    try:
      TrainingConfig(precision=precision)
    except SettingError as error:
      message = str(error).replace('precision=', 'precisions=', 1)
      raise SettingError(message) from error
  configs = [base.replace(precision=name) for name in values.precisions]
  available = jax.local_device_count()
  counts = _numbers(values, 'devices', available) or [available]
  training = [
    (count, config.replace(batch_size=size, num_seeds=seeds))
    for config in configs
    for size in _numbers(values, 'batch_sizes')
    for seeds in _numbers(values, 'seeds')
    for count in counts
  ]
  forward = [
    config.replace(batch_size=size)
    for config in configs
    for size in _numbers(values, 'forward_batch_sizes')
  ]
  epochs = [
    config.replace(batch_size=size)
    for config in configs
    for size in _numbers(values, 'epoch_batch_sizes', values.num_poses)
  ]
  for name, count, config in [
    *(('batch_sizes', count, config) for count, config in training),
    *(('epoch_batch_sizes', available, config) for config in epochs),
  ]:
    if config.training.batch_size % count:
      raise SettingError(
        f'`{name}={config.training.batch_size}`: does not split over {count}'
        ' devices'
      )
  if forward and base.calibrates:
    raise SettingError(
      '`image_aligned`, `scale_calibration`: predictions have no scale of their'
      ' own; leave the flag out, or measure none by `forward_batch_sizes=`'
    )
  ceilings = speed.measure_ceilings(values.precisions, values.repeats)
  print(f'{available} {jax.local_devices()[0].device_kind}; measured ceilings:')
  for precision, flops in ceilings.flops.items():
    print(f'  matrix product, {precision}: {flops / 1e12:.2f} TFLOP/s')
  print(f'  copy: {ceilings.bytes / 1e9:.0f} GB/s')
  print(f'  smallest call: {ceilings.call_ms:.3f} ms', flush=True)
  rows, lines = [], []

  def add(row):
    rows.append(row)
    print(f'{row.what} {row.batch_size}: {row.step_ms:.3f} ms', flush=True)

  for count, config in training:
    add(
      speed.measure_training(
        config,
        skeleton,
        ceilings,
        devices=count,
        num_poses=values.num_poses,
        repeats=values.repeats,
      )
    )
  for config in forward:
    add(
      speed.measure_forward(config, skeleton, ceilings, repeats=values.repeats)
    )
  if rows:
    print(speed.format_rows(rows), flush=True)
  if values.plain_backbone:
    lines.append(_plain_backbone(values, base, skeleton))
    print(lines[-1], flush=True)
  for config in epochs:
    lines.append(speed.measure_epoch(config, skeleton, values.num_poses))
    print(lines[-1], flush=True)
  if values.output:
    result = {
      'device': jax.local_devices()[0].device_kind,
      'ceilings': dataclasses.asdict(ceilings),
      'config': base.flat(),
      'epochs': lines,
      'rows': [dataclasses.asdict(row) for row in rows],
    }
    write_json(result, pathlib.Path(values.output))


def _plain_backbone(
  values: flags.FlagValues, config: Config, skeleton: Skeleton
) -> str:
  """Measures a plain ResNet-50 with its 2D head, and says how fast it is."""
  (size, *_) = _numbers(values, 'batch_sizes') or [config.training.batch_size]
  rates = measure_plain(
    skeleton.num_joints,
    size,
    config.data.crop_size,
    config.model.backbone_precision,
    repeats=values.repeats,
  )
  return (
    f'plain ResNet-50 with its 2D head, batch {size}: forward and backward'
    f' {rates["train"]:,.0f} pictures/s, forward {rates["forward"]:,.0f}'
    ' pictures/s'
  )


def _benchmark_loading(
  values: flags.FlagValues, config: Config, skeleton: Skeleton
) -> None:
  """Measures how fast the training pictures are read, and prints it.

  Raises:
    SettingError: A flag is wrong, or the dataset has no files of pictures.
    UserError: A picture cannot be read.
  """
  counts = _numbers(values, 'image_worker_counts', 256, lowest=0)
  if config.data.dataset != 'images' and not config.data.image_dir:
    raise SettingError(
      f'`dataset={config.data.dataset}`: has no files of pictures; use images,'
      ' or h36m with `image_dir`'
    )
  train = load(config.data, skeleton).train
  assert train is not None
  speeds = {}
  for count in counts:
    speeds[count] = measure_loading(train.images, count)
    print(f'{count} processes: {speeds[count]:,.0f} pictures/s', flush=True)
  if values.output:
    result = {'config': config.flat(), 'pictures_per_second': speeds}
    write_json(result, pathlib.Path(values.output))


def _numbers(
  values: flags.FlagValues,
  name: str,
  highest: int = 2**31 - 1,
  lowest: int = 1,
) -> list[int]:
  """Reads a flag that is a list of whole numbers within bounds."""
  try:
    numbers = [int(number) for number in values[name].value or ()]
  except ValueError as error:
    raise SettingError(f'`{name}`: give whole numbers') from error
  for number in numbers:
    if not lowest <= number <= highest:
      raise SettingError(
        f'`{name}={number}`: must be from {lowest} to {highest}'
      )
  return numbers


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command, and returns its exit status."""
  return run(__doc__, define_flags, benchmark, argv)
