"""Benchmarks training steps, predictions and epochs on the local devices."""

import dataclasses
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import Config, TrainingConfig
from semgcn_jax.data.pairs import Pairs
from semgcn_jax.geometry.cameras import h36m_cameras
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.inference.networks import require_task, trained_function
from semgcn_jax.inference.predictor import make_predictor
from semgcn_jax.models.batches import split
from semgcn_jax.models.build import build
from semgcn_jax.models.precision import matmul_precision
from semgcn_jax.runs.progress import Progress
from semgcn_jax.tasks import make_task
from semgcn_jax.text_tables import plain_table
from semgcn_jax.training.interrupts import StopRequest
from semgcn_jax.training.progress import ProgressBar
from semgcn_jax.training.trainer import Trainer

CAMERAS = h36m_cameras()['S1']  # Virtual cameras vary these.


@dataclasses.dataclass(frozen=True)
class Ceilings:
  """The highest speeds measured on a device.

  Attributes:
    flops: {precision: FLOP per second} of a large matrix product.
    bytes: The bytes per second that a large copy reads and writes.
    call_ms: The time of the smallest call, with dispatch and waiting,
      milliseconds.
  """

  flops: dict[str, float]
  bytes: float
  call_ms: float


@dataclasses.dataclass(frozen=True)
class Row:
  """A measurement.

  Attributes:
    what: The kind of step: 'train' or 'forward'.
    batch_size: The poses per step, over all devices.
    precision: The setting `precision`.
    devices: The number of devices.
    seeds: The number of independent runs in one program.
    step_ms: The median time of a step or call, milliseconds.
    poses_per_second: The poses per second, over all seeds.
    compile_s: The seconds of tracing, compiling and the first call.
    memory_mb: The megabytes of arguments, results and temporaries on a device.
    flops: The FLOP of a step on one device, counted by the compiler.
    bytes: The bytes that a step accesses on one device, likewise.
    flops_share: The fraction of the ceiling of FLOP per second.
    bytes_share: The fraction of the ceiling of bytes per second; caches can
      bring it above one.
  """

  what: str
  batch_size: int
  precision: str
  devices: int
  seeds: int
  step_ms: float
  poses_per_second: float
  compile_s: float
  memory_mb: float
  flops: float
  bytes: float
  flops_share: float
  bytes_share: float


def measure_ceilings(precisions: Sequence[str], repeats: int) -> Ceilings:
  """Measures a matrix product and a copy that fill the device, and a no-op.

  Args:
    precisions: The precisions of the matrix product.
    repeats: The number of calls to take the median of.
  """
  on_cpu = jax.local_devices()[0].platform == 'cpu'
  size, length = (1024, 2**24) if on_cpu else (8192, 2**28)
  random = jax.jit(jax.random.normal, static_argnums=1)
  matrix = random(jax.random.PRNGKey(0), (size, size))
  vector = random(jax.random.PRNGKey(1), (length,))
  flops = {}
  for precision in precisions:
    dtype = jnp.bfloat16 if precision == 'bfloat16' else jnp.float32
    operand = matrix.astype(dtype)
    with matmul_precision(precision):
      product = jax.jit(jnp.matmul)
      seconds = median_seconds(lambda f=product, x=operand: f(x, x), repeats)
    flops[precision] = 2 * size**3 / seconds
  # The copy also negates, as XLA would skip an identity.
  copy = jax.jit(jnp.negative)
  seconds = median_seconds(lambda: copy(vector), repeats)
  one = jnp.ones(1)
  call = median_seconds(lambda: copy(one), 10 * repeats)
  return Ceilings(flops, 2 * vector.nbytes / seconds, call_ms=1e3 * call)


def median_seconds(call: Callable[[], Any], repeats: int) -> float:
  """Returns the median seconds of a call, after a warm-up."""

  def wait():
    jax.block_until_ready(call())

  wait()
  warm = time.perf_counter() + 0.2
  while time.perf_counter() < warm:
    wait()
  seconds = []
  for _ in range(repeats):
    start = time.perf_counter()
    wait()
    seconds.append(time.perf_counter() - start)
  return statistics.median(seconds)


def measure_training(
  config: Config,
  skeleton: Skeleton,
  ceilings: Ceilings,
  *,
  devices: int,
  num_poses: int,
  repeats: int,
) -> Row:
  """Measures chunks of training steps, as `train` runs them.

  Args:
    config: The config of a run.
    skeleton: The skeleton of the poses.
    ceilings: The ceilings of the device.
    devices: The number of devices to spread every batch over.
    num_poses: The number of random poses on every device.
    repeats: The number of chunks to take the median of.
  """
  training = config.training
  seeds = (training.num_seeds,) if training.num_seeds > 1 else ()
  share = make_task(config, skeleton).samples_per_step // devices
  num_poses = max(num_poses, training.batch_size)
  trainer = Trainer(
    config.replace(device_data='resident'),
    skeleton,
    random_arrays(config, skeleton, num_poses),
    CAMERAS,
    config.model.frame_rate,
    devices=jax.local_devices()[:devices],
  )
  order = np.random.default_rng(0).integers(
    num_poses,
    size=(devices, *seeds, training.chunk_steps, share),
    dtype=np.int32,
  )
  # NumPy arrays work as well as those of `epoch_order`.
  fed = trainer.feed([order])  # pyright: ignore[reportArgumentType]
  arrays, order = next(fed)
  start = time.perf_counter()
  compiled = trainer.train_chunk.lower(trainer.state, arrays, order).compile()
  state, losses = compiled(trainer.state, arrays, order)
  jax.block_until_ready(losses)
  compile_s = time.perf_counter() - start
  seconds = []
  for _ in range(repeats):
    start = time.perf_counter()
    state, losses = compiled(state, arrays, order)
    jax.block_until_ready(losses)
    seconds.append((time.perf_counter() - start) / training.chunk_steps)
  # The compiler counts the body of the loop over steps once, that is, one step.
  return _row(
    'train', training, devices, seconds, compile_s, [compiled], ceilings
  )


def measure_forward(
  config: Config, skeleton: Skeleton, ceilings: Ceilings, *, repeats: int
) -> Row:
  """Measures predictions of one batch, in the memory of one device.

  It takes the median of `repeats` medians of ten calls. See `measure_training`
  for the other arguments.
  """
  batch_size, task = config.training.batch_size, config.takes
  shape = (batch_size, skeleton.num_joints, config.model.input_channels)
  if task == 'pictures':
    shape = (batch_size, *(config.data.crop_size,) * 2, 3)
  inputs = jax.random.normal(jax.random.PRNGKey(0), shape)
  model = build(config.model, skeleton)
  variables = jax.jit(model.init)(jax.random.PRNGKey(1), inputs[:1])
  start = time.perf_counter()
  if task == 'pictures':
    require_task(config, task)
    function = trained_function(
      *(config, skeleton, variables), precision=config.model.backbone_precision
    )
    compiled = {batch_size: jax.jit(function).lower(inputs).compile()}
  else:
    compiled = make_predictor(
      config,
      skeleton,
      variables,
      batch_sizes=[batch_size],
      precision=config.training.precision,
    ).compiled
  sizes = split(batch_size, compiled)
  programs = [compiled[size] for size in sizes]
  parts = [jnp.resize(inputs, (size, *shape[1:])) for size in sizes]

  def forward():
    return [
      program(part) for program, part in zip(programs, parts, strict=True)
    ]

  jax.block_until_ready(forward())
  compile_s = time.perf_counter() - start
  # Time single calls with their dispatch, as users wait for them.
  seconds = [median_seconds(forward, 10) for _ in range(repeats)]
  training = config.replace(num_seeds=1).training
  return _row('forward', training, 1, seconds, compile_s, programs, ceilings)


def measure_epoch(config: Config, skeleton: Skeleton, num_poses: int) -> str:
  """Measures the second of two training epochs on this many random poses.

  Returns:
    A line with the seconds, the peak memory of a device and of the host, and
    that of the host before.
  """
  before = _host_gigabytes()
  training = config.training
  arrays = random_arrays(config, skeleton, num_poses)
  trainer = Trainer(config, skeleton, arrays, CAMERAS)
  steps, batch_size = trainer.steps, training.batch_size
  quiet = ProgressBar(2 * steps, 0, batch_size, shown=False)
  seconds = 0.0
  for epoch in range(2):
    start = time.perf_counter()
    trainer.train_epoch(Progress(epoch), quiet, StopRequest())
    seconds = time.perf_counter() - start
  stats = trainer.mesh.devices[0].memory_stats() or {}
  device = stats.get('peak_bytes_in_use', 0) / 1e9
  return (
    f'epoch of {num_poses:,} poses, batch size {batch_size},'
    f' {training.precision}: {seconds:.2f} s; peak memory {device:.2f} GB per'
    f' device, {_host_gigabytes():.2f} GB on the host ({before:.2f} before)'
  )


def _host_gigabytes() -> float:
  """Returns the peak memory of this process, gigabytes."""
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def random_arrays(
  config: Config, skeleton: Skeleton, num_poses: int
) -> dict[str, np.ndarray]:
  """Draws random training arrays for the task of a config, as one clip."""
  rng = np.random.default_rng(0)
  joints = num_poses, skeleton.num_joints
  zeros = np.zeros(num_poses, np.int32)
  size = config.data.crop_size if config.data.has_images else 1
  pairs = Pairs(
    inputs=rng.standard_normal((*joints, 2), np.float32),
    targets=rng.standard_normal((*joints, 3), np.float32),
    roots=np.full((num_poses, 3), 5, np.float32),
    cameras=rng.integers(4, size=num_poses, dtype=np.int32),
    actions=zeros,
    action_names=('',),
    camera_list=CAMERAS,
    images=rng.integers(0, 256, (num_poses, size, size, 3), np.uint8),
    views=zeros,
    fps=config.model.frame_rate,
  )
  return make_task(config, skeleton).arrays(pairs)


def _row(
  what: str,
  training: TrainingConfig,
  devices: int,
  seconds: Sequence[float],
  compile_s: float,
  programs: Sequence[Any],
  ceilings: Ceilings,
) -> Row:
  """Builds the row of a step that calls these compiled programs."""
  step = statistics.median(seconds)
  flops = accessed = used = 0
  for program in programs:
    cost = program.cost_analysis()
    cost = cost[0] if isinstance(cost, list) else cost
    flops += cost['flops']
    accessed += cost['bytes accessed']
    memory = program.memory_analysis()
    parts = ('argument', 'output', 'temp')
    total = sum(getattr(memory, f'{part}_size_in_bytes') for part in parts)
    used = max(used, total - memory.alias_size_in_bytes)
  return Row(
    what=what,
    batch_size=training.batch_size,
    precision=training.precision,
    devices=devices,
    seeds=training.num_seeds,
    step_ms=1e3 * step,
    poses_per_second=training.batch_size * training.num_seeds / step,
    compile_s=compile_s,
    memory_mb=used / 1e6,
    flops=flops,
    bytes=accessed,
    flops_share=flops / step / ceilings.flops[training.precision],
    bytes_share=accessed / step / ceilings.bytes,
  )


def format_rows(rows: Sequence[Row]) -> str:
  """Formats measurements as a table."""
  headings = [
    *('', 'batch', 'precision', 'devices', 'seeds', 'ms', 'poses/s'),
    *('compile s', 'MB', 'GFLOP', 'GB', '% FLOP/s', '% GB/s'),
  ]
  cells = [
    [
      row.what,
      f'{row.batch_size:,}',
      row.precision,
      str(row.devices),
      str(row.seeds),
      f'{row.step_ms:.3f}',
      f'{row.poses_per_second:,.0f}',
      f'{row.compile_s:.1f}',
      f'{row.memory_mb:,.0f}',
      f'{row.flops / 1e9:.3f}',
      f'{row.bytes / 1e9:.3f}',
      f'{100 * row.flops_share:.1f}',
      f'{100 * row.bytes_share:.1f}',
    ]
    for row in rows
  ]
  return plain_table(headings, cells)
