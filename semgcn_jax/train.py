"""Training: the loop over epochs, and what it leaves in the run folder."""

import contextlib
import dataclasses
import itertools
import pathlib
import signal
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from semgcn_jax import checkpoints, data, processes, visualize
from semgcn_jax import config as config_lib
from semgcn_jax import workdir as run_folder
from semgcn_jax.augment import batch_arrays, check_virtual_cameras
from semgcn_jax.checkpoints import Progress
from semgcn_jax.config import Config
from semgcn_jax.errors import FlagError, UserError, listed
from semgcn_jax.evaluate import (
  check_flip,
  make_score,
  mean_pose_score,
  print_result,
  rank,
)
from semgcn_jax.feeding import Feed, is_resident, make_feed
from semgcn_jax.interrupts import StopRequest
from semgcn_jax.lifter import load_lifter
from semgcn_jax.optimizers import peak_rate
from semgcn_jax.progress import ProgressBar
from semgcn_jax.train_step import (
  AXIS,
  TrainState,
  chunk_bounds,
  create_train_state,
  make_epoch_order,
  make_train_chunk,
)

_DRAW_SECONDS = 5  # Between two drawings of the curves.
_ADVICE = 'earlier checkpoints are kept: lower --lr, or look into the data'


def train_epoch(
  state: TrainState,
  progress: Progress,
  train_chunk: Callable,
  feed: Feed,
  orders: list[jax.Array],
  bar: ProgressBar,
  stop: StopRequest,
) -> tuple[TrainState, Progress]:
  """Trains to the end of the epoch, or to a request to stop.

  Args:
    state: donated.
    progress: where in the epoch to start.
    train_chunk: of `make_train_chunk`.
    feed: of `make_feed`.
    orders: of `make_epoch_order`, for the whole epoch.
    bar: shows each chunk.
    stop: asked after each chunk.

  Raises:
    UserError: the loss is not finite.
  """

  def count(losses, start):
    """Looks at the losses of a chunk, while the devices do the next one."""
    nonlocal progress
    losses = np.asarray(losses, np.float64)
    # The mean of all seeds; one that diverges ends the run.
    losses = losses.reshape(-1, losses.shape[-1]).mean(axis=0)
    bad = np.flatnonzero(~np.isfinite(losses))
    if len(bad):
      raise UserError(
        f'the loss is {losses[bad[0]]} in epoch {progress.epoch + 1}, step'
        f' {start + bad[0] + 1}; {_ADVICE}'
      )
    progress = dataclasses.replace(
      progress,
      chunks=progress.chunks + 1,
      loss_sum=progress.loss_sum + losses.sum(),
    )
    bar.advance(len(losses), progress.epoch + 1, losses.mean())

  first = progress.chunks
  start = sum(order.shape[-2] for order in orders[:first])
  waiting, fed = None, feed(orders[first])
  for order, following in itertools.pairwise([*orders[first:], None]):
    state, losses = train_chunk(state, *fed)
    if waiting is not None:
      count(*waiting)
    # While the devices are busy with this chunk:
    if following is not None:
      fed = feed(following)
    waiting = (losses, start)
    start += order.shape[-2]
    if processes.any_process(stop.signal is not None):
      break
  count(*waiting)
  return state, progress


def train_and_evaluate(
  config: Config, workdir: pathlib.Path, *, resume: bool = False
) -> list[dict[str, Any]]:
  """Trains a model and scores it on the test split after every epoch.

  The run folder gets config.json, skeleton.json, metrics.jsonl (a line an
  epoch), curves.png and checkpoints/. SIGTERM and Ctrl-C save and end the run
  at the next chunk.

  Args:
    config: the run.
    workdir: its folder; new, or with `resume` one that holds the same run.
    resume: go on after the last checkpoint, if there is one.

  Returns:
    The records of metrics.jsonl.

  Raises:
    UserError: bad data, a damaged run, or numbers that are not finite.
    FlagError: bad settings, or a folder in use.
    KeyboardInterrupt: after Ctrl-C, when all is saved.
  """
  workdir = pathlib.Path(workdir)
  writes = processes.is_first()
  if writes:
    run_folder.check(config, workdir, resume)
  processes.wait('check')
  mesh = Mesh(np.array(jax.local_devices()), (AXIS,))
  if config.batch_size % jax.device_count():
    raise FlagError(
      f'--batch_size={config.batch_size}: does not split over'
      f' {jax.device_count()} devices; use a multiple of {jax.device_count()}'
    )
  skeleton = run_folder.skeleton_of(config, workdir)
  check_flip(config, skeleton)
  check_virtual_cameras(config)
  dataset = data.load(config, skeleton)
  train = dataset.train
  steps, rest = divmod(len(train), config.batch_size)
  if not steps:
    raise FlagError(
      f'--batch_size={config.batch_size}: there are {len(train)} training'
      ' poses; use a smaller batch'
    )
  lines = [
    f'{config.dataset}: {len(train):,} training and {len(dataset.test):,} test'
    ' pairs; the mean training pose scores'
    f' {mean_pose_score(train, dataset.test):.1f} mm'
  ]
  if dataset.val is not None:
    use = 'choose the best epoch' if config.choose_on == 'val' else 'are scored'
    lines.append(
      f'{len(dataset.val):,} pairs of {listed(config.val_subjects)} {use}'
    )
  score = make_score(config, skeleton, dataset)
  if config.image_aligned:
    train = data.image_aligned(train, skeleton)

  bounds = chunk_bounds(steps, config.chunk_steps)
  epoch_order = make_epoch_order(len(train), config.batch_size, bounds, mesh)
  arrays = batch_arrays(train, config)
  resident = not processes.any_process(not is_resident(arrays, config, mesh))
  feed = make_feed(arrays, mesh, AXIS, resident=resident)
  train_chunk = make_train_chunk(
    config, skeleton, mesh, train.camera_list, resident=resident
  )
  state = create_train_state(config, skeleton, steps)
  if config.lifter and not checkpoints.exist(workdir):
    state = load_lifter(state, config, skeleton)
  claim = run_folder.claim(config, workdir, resume)
  curves, drawn = workdir / 'curves.png', time.monotonic()

  with StopRequest() as stop, claim if writes else contextlib.nullcontext():
    processes.wait('claim')
    state, progress, records = _restore(config, workdir, state, len(bounds))
    state = jax.device_put(state, NamedSharding(mesh, PartitionSpec()))
    progress = dataclasses.replace(progress, epoch_steps=steps)
    if writes:
      run_folder.write_config(config, skeleton, workdir)
      run_folder.write_records(records, workdir)
    with (
      checkpoints.open_manager(workdir, config.keep_checkpoints) as manager,
      ProgressBar(
        steps * config.epochs,
        steps * progress.epoch
        + sum(np.diff(bounds, prepend=0)[: progress.chunks]),
        config.batch_size * config.num_seeds,
        shown=writes,
      ) as bar,
    ):
      num_params = sum(x.size for x in jax.tree.leaves(state.params))
      num_params //= config.num_seeds
      seeds = f', {config.num_seeds} seeds' if config.num_seeds > 1 else ''
      dropped = f', the last {rest} of each shuffle are dropped' if rest else ''
      devices = f'{jax.device_count()} {mesh.devices[0].device_kind}'
      lines.append(
        f'{config.model}: {num_params:,} parameters, on {devices};'
        f' {steps} steps of {config.batch_size} poses an epoch{dropped};'
        f' learning rate {peak_rate(config):.2g}{seeds}'
      )
      megabytes = sum(array.nbytes for array in arrays.values()) / 1e6
      where = 'on each device' if resident else 'streamed from the host'
      lines.append(f'training poses: {megabytes:,.0f} MB, {where}')
      if progress.epoch == config.epochs:
        lines.append(
          f'{progress.epoch} epochs are done; raise --epochs to go on'
        )
      elif state.num_steps:
        lines.append(
          f'going on in epoch {progress.epoch + 1} of {config.epochs}'
        )
      for line in lines:
        bar.line(line)
      saved = progress
      while progress.epoch < config.epochs and not processes.any_process(
        stop.signal is not None
      ):
        began, first = time.monotonic(), state.num_steps
        orders = epoch_order(state.rng, progress.epoch)
        state, progress = train_epoch(
          state, progress, train_chunk, feed, orders, bar, stop
        )
        _check_finite(state, progress)
        elapsed = time.monotonic() - began
        seconds = progress.seconds + elapsed
        if progress.chunks < len(orders):
          progress = dataclasses.replace(progress, seconds=seconds)
          break
        poses = (state.num_steps - first) * config.batch_size * config.num_seeds
        record = {
          'epoch': progress.epoch + 1,
          'train_loss': progress.loss_sum / steps,
          'seconds': seconds,
          'poses_per_second': poses / elapsed,
          'devices': devices,
        } | score(state.scored)
        progress = Progress(
          progress.epoch + 1,
          mpjpe=record['mpjpe'],
          score=rank(record, config.choose_on),
          epoch_steps=steps,
        )
        records.append(record)
        # The log is never more than one checkpoint ahead.
        manager.wait_until_finished()
        if writes:
          run_folder.append_record(record, workdir)
        if _is_due(progress, records, config):
          checkpoints.save(manager, state, progress)
          saved = progress
        if writes and time.monotonic() - drawn > _DRAW_SECONDS:
          visualize.plot_curves(records, curves, config=config)
          drawn = time.monotonic()
        bar.line(epoch_line(record, config))
      if progress != saved:
        checkpoints.save(manager, state, progress)
  if not writes:
    return records
  if records:
    visualize.plot_curves(records, curves, config=config)
  if progress.epoch < config.epochs:
    print(f'stopped and saved; go on with --workdir={workdir} --resume')
  elif records:
    best = min(records, key=lambda record: rank(record, config.choose_on))
    print_result(best, config)
  if stop.signal == signal.SIGINT:
    raise KeyboardInterrupt
  return records


def _is_due(
  progress: Progress, records: list[dict[str, Any]], config: Config
) -> bool:
  """Whether the epoch that has ended gets a checkpoint."""
  scores = [rank(record, config.choose_on) for record in records]
  best = config.choose_on != 'last' and progress.score == min(scores)
  return best or progress.epoch % config.checkpoint_epochs == 0


def epoch_line(record: dict[str, Any], config: Config) -> str:
  """What the log says of an epoch."""

  def error(name):
    spread = f' ± {record[name + "_sd"]:.2f}' if name + '_sd' in record else ''
    return f'{record[name]:.2f}{spread} mm'

  return (
    f'epoch {record["epoch"]}/{config.epochs}  loss {record["train_loss"]:.5f}'
    f'  MPJPE {error("mpjpe")}  P-MPJPE {error("p_mpjpe")}'
    f'  {record["poses_per_second"]:,.0f} poses/s'
  )


def _restore(
  config: Config, workdir: pathlib.Path, state: TrainState, num_chunks: int
) -> tuple[TrainState, Progress, list[dict[str, Any]]]:
  """The last checkpoint of the run, and its records; or a fresh start."""
  progress = Progress()
  if checkpoints.exist(workdir):
    state, progress = checkpoints.restore_state(workdir, state)
  elif run_folder.holds_run(workdir) and (
    len(run_folder.read_log(workdir))
    > config_lib.load(workdir / 'config.json').checkpoint_epochs
  ):
    raise UserError(
      f'{checkpoints.folder(workdir)}: no checkpoint of the epochs that'
      ' metrics.jsonl holds; restore it, or start anew in another --workdir'
    )
  if progress.epoch > config.epochs:
    raise FlagError(
      f'--epochs={config.epochs}: {progress.epoch} are done already'
    )
  if progress.chunks >= num_chunks:
    raise UserError(
      f'{workdir}: was trained on more poses than there are now; give the same'
      ' data'
    )
  return state, progress, run_folder.read_records(workdir, progress.epoch)


def _check_finite(state: TrainState, progress: Progress) -> None:
  """Raises a UserError before a state that is not finite is saved."""
  finite = jax.tree.map(lambda x: bool(np.isfinite(x).all()), state.variables)
  if not all(jax.tree.leaves(jax.device_get(finite))):
    raise UserError(
      f'parameters are not finite in epoch {progress.epoch + 1}, after step'
      f' {state.num_steps} of the run; {_ADVICE}'
    )
