"""Measures what the flags of benchmark.py ask for."""

import dataclasses
import pathlib
from typing import Any

import jax

from semgcn_jax.benchmarks import speed
from semgcn_jax.benchmarks.loading import measure_loading
from semgcn_jax.benchmarks.plain_backbone import measure_plain
from semgcn_jax.commands.flags.benchmark import Flags
from semgcn_jax.commands.parsing import config_of
from semgcn_jax.commands.running import overlap_gpu_kernels
from semgcn_jax.config import Config, TrainingConfig
from semgcn_jax.data.datasets import load
from semgcn_jax.errors import SettingError
from semgcn_jax.files import write_json
from semgcn_jax.geometry.skeletons import Skeleton, load_skeleton


@dataclasses.dataclass(frozen=True)
class _Plan:
  """What to measure: (number of devices, config) pairs, and configs."""

  training: list[tuple[int, Config]]
  forward: list[Config]
  epochs: list[Config]


def main(flags: Flags) -> None:
  """Measures what the flags ask for, and prints results as they come."""
  if flags.batch_sizes or flags.epoch_batch_sizes:
    overlap_gpu_kernels()
  base = config_of(flags.given)
  skeleton = load_skeleton(base.data.skeleton)
  if flags.image_worker_counts:
    result = _measure_loading(flags, base, skeleton)
  else:
    plan = _make_plan(flags, base)
    result = _measure(flags, base, skeleton, plan)
  if flags.output:
    write_json(result, pathlib.Path(flags.output))


def _make_plan(flags: Flags, base: Config) -> _Plan:
  """Plans the measurements."""
  for precision in flags.precisions:
    try:
      TrainingConfig(precision=precision)
    except SettingError as error:
      message = str(error).replace('precision=', 'precisions=', 1)
      raise SettingError(message) from error
  configs = [base.replace(precision=name) for name in flags.precisions]
  available = jax.local_device_count()
  counts = _numbers(flags, 'devices', available) or [available]
  plan = _Plan(
    training=[
      (count, config.replace(batch_size=size, num_seeds=seeds))
      for config in configs
      for size in _numbers(flags, 'batch_sizes')
      for seeds in _numbers(flags, 'seeds')
      for count in counts
    ],
    forward=[
      config.replace(batch_size=size)
      for config in configs
      for size in _numbers(flags, 'forward_batch_sizes')
    ],
    epochs=[
      config.replace(batch_size=size)
      for config in configs
      for size in _numbers(flags, 'epoch_batch_sizes', flags.num_poses)
    ],
  )
  for name, count, config in [
    *(('batch_sizes', count, config) for count, config in plan.training),
    *(('epoch_batch_sizes', available, config) for config in plan.epochs),
  ]:
    if config.training.batch_size % count:
      raise SettingError(
        f'`{name}={config.training.batch_size}`: does not split over {count}'
        ' devices'
      )
  if plan.forward and base.calibrates:
    raise SettingError(
      '`image_aligned`, `scale_calibration`: predictions have no metric'
      ' scale; leave the flag out, or measure none by `forward_batch_sizes=`'
    )
  return plan


def _measure(
  flags: Flags, base: Config, skeleton: Skeleton, plan: _Plan
) -> dict[str, Any]:
  """Takes the planned measurements, and prints results as they come."""
  ceilings = speed.measure_ceilings(flags.precisions, flags.repeats)
  device = jax.local_devices()[0].device_kind
  print(f'{jax.local_device_count()} {device}; measured ceilings:')
  for precision, flops in ceilings.flops.items():
    print(f'  matrix product, {precision}: {flops / 1e12:.2f} TFLOP/s')
  print(f'  copy: {ceilings.bytes / 1e9:.0f} GB/s')
  print(f'  smallest call: {ceilings.call_ms:.3f} ms', flush=True)
  rows, lines = [], []

  def add(row):
    rows.append(row)
    print(f'{row.what} {row.batch_size}: {row.step_ms:.3f} ms', flush=True)

  def tell(line):
    lines.append(line)
    print(line, flush=True)

  given = skeleton, ceilings
  for count, config in plan.training:
    sizes = {'devices': count, 'num_poses': flags.num_poses}
    add(speed.measure_training(config, *given, **sizes, repeats=flags.repeats))
  for config in plan.forward:
    add(speed.measure_forward(config, *given, repeats=flags.repeats))
  if rows:
    print(speed.format_rows(rows), flush=True)
  if flags.plain_backbone:
    tell(_plain_backbone(flags, base, skeleton))
  for config in plan.epochs:
    tell(speed.measure_epoch(config, skeleton, flags.num_poses))
  return {
    'device': device,
    'ceilings': dataclasses.asdict(ceilings),
    'config': base.flat(),
    'epochs': lines,
    'rows': [dataclasses.asdict(row) for row in rows],
  }


def _plain_backbone(flags: Flags, config: Config, skeleton: Skeleton) -> str:
  """Measures a plain ResNet-50 with a 2D head, and describes its speed."""
  (size, *_) = _numbers(flags, 'batch_sizes') or [config.training.batch_size]
  rates = measure_plain(
    skeleton.num_joints,
    size,
    config.data.crop_size,
    config.model.backbone_precision,
    repeats=flags.repeats,
  )
  return (
    f'plain ResNet-50 with a 2D head, batch {size}: forward and backward'
    f' {rates["train"]:,.0f} images/s, forward {rates["forward"]:,.0f} images/s'
  )


def _measure_loading(
  flags: Flags, config: Config, skeleton: Skeleton
) -> dict[str, Any]:
  """Measures how fast the training images are read, and prints it."""
  counts = _numbers(flags, 'image_worker_counts', 256, lowest=0)
  if config.data.dataset != 'images' and not config.data.image_dir:
    raise SettingError(
      f'`dataset={config.data.dataset}`: has no image files; use images, or'
      ' h36m with `image_dir`'
    )
  train = load(config.data, skeleton).train
  assert train is not None
  speeds = {}
  for count in counts:
    speeds[count] = measure_loading(train.images, count)
    print(f'{count} processes: {speeds[count]:,.0f} images/s', flush=True)
  return {'config': config.flat(), 'pictures_per_second': speeds}


def _numbers(
  flags: Flags, name: str, highest: int = 2**31 - 1, lowest: int = 1
) -> list[int]:
  """Parses a flag that lists integers within bounds."""
  try:
    numbers = [int(number) for number in getattr(flags, name)]
  except ValueError as error:
    raise SettingError(f'`{name}`: give whole numbers') from error
  for number in numbers:
    if not lowest <= number <= highest:
      raise SettingError(
        f'`{name}={number}`: must be from {lowest} to {highest}'
      )
  return numbers
