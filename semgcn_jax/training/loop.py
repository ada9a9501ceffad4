"""Trains a model epoch by epoch, and keeps what it leaves in the run folder."""

import contextlib
import dataclasses
import pathlib
import signal
import time
from typing import Any

import jax

from semgcn_jax import config as config_lib
from semgcn_jax.config import Config, TrainingConfig
from semgcn_jax.data.datasets import Dataset, load
from semgcn_jax.data.image_aligned import image_aligned
from semgcn_jax.errors import SettingError, UserError, listed
from semgcn_jax.evaluation.scores import (
  Score,
  make_score,
  mean_pose_score,
  rank,
)
from semgcn_jax.evaluation.tables import print_result
from semgcn_jax.figures.curves import plot_curves
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.models.build import count_parameters
from semgcn_jax.runs import checkpoints, folder
from semgcn_jax.runs.checkpoints import Progress
from semgcn_jax.tasks import make_task
from semgcn_jax.training import processes
from semgcn_jax.training.checks import check_poses, check_settings
from semgcn_jax.training.interrupts import StopRequest
from semgcn_jax.training.optimizers import peak_rate
from semgcn_jax.training.progress import ProgressBar
from semgcn_jax.training.trainer import Trainer
from semgcn_jax.training.warm_start import warm_start

_DRAW_SECONDS = 5  # The least time between two drawings of the curves.


def train(
  config: Config, workdir: pathlib.Path, *, resume: bool = False
) -> list[dict[str, Any]]:
  """Trains a model and scores it on the test split after every epoch.

  The run folder gets config.json, skeleton.json, metrics.jsonl (a line per
  epoch), curves.png and checkpoints/. SIGTERM and Ctrl-C save and end the run
  at the next chunk.

  Args:
    config: The config of the run.
    workdir: Its folder; new, or with `resume` one that holds the same run.
    resume: Whether to go on after the last checkpoint, if there is one.

  Returns:
    The records of metrics.jsonl.

  Raises:
    UserError: The data is bad, the run damaged, a number not finite, or the
      disk full.
    SettingError: A setting is bad, or the folder in use.
    KeyboardInterrupt: Ctrl-C was pressed; all is saved.
  """
  workdir = pathlib.Path(workdir)
  writes = processes.is_first()
  if writes:
    folder.check(config, workdir, resume)
  processes.wait('check')
  skeleton = folder.find_skeleton(config.data.skeleton, workdir)
  check_settings(config, skeleton)
  dataset = load(config.data, skeleton)
  if config.evaluation.choose_on == 'val' and dataset.val is None:
    raise SettingError('`choose_on=val`: there are no poses of a split `val`')
  score = make_score(config, skeleton, dataset.train)
  trainer = _make_trainer(config, skeleton, dataset)
  if not checkpoints.exist(workdir):
    trainer.place(warm_start(trainer.state, config, skeleton))

  training = config.training
  claim = folder.claim(config, workdir, resume)
  with (
    folder.writing(workdir),
    StopRequest() as stop,
    claim if writes else contextlib.nullcontext(),
  ):
    processes.wait('claim')
    progress, records = _restore(config, workdir, trainer)
    if writes:
      folder.write_config(config, skeleton, workdir)
      folder.write_records(records, workdir)
    drawn = time.monotonic()
    with (
      checkpoints.open_manager(workdir, training.keep_checkpoints) as manager,
      _progress_bar(training, trainer, progress, shown=writes) as bar,
    ):
      for line in _describe(config, skeleton, dataset, trainer, progress):
        bar.line(line)
      saved = progress
      while progress.epoch < training.epochs and not stop.anywhere():
        progress = trainer.train_epoch(progress, bar, stop)
        if progress.chunks < len(trainer.bounds):
          break  # It was asked to stop.
        record = _record(training, dataset, trainer, progress, score)
        progress = Progress(
          progress.epoch + 1,
          mpjpe=record['mpjpe'],
          score=_rank(record, config),
          epoch_steps=trainer.steps,
        )
        records.append(record)
        # The log is never more than one checkpoint ahead.
        manager.wait_until_finished()
        if writes:
          folder.append_record(record, workdir)
        if _is_due(config, progress, records):
          checkpoints.save(manager, trainer.state, progress, skeleton)
          saved = progress
        if writes and time.monotonic() - drawn > _DRAW_SECONDS:
          plot_curves(records, workdir / 'curves.png', config=config)
          drawn = time.monotonic()
        bar.line(epoch_line(record, training.epochs, config.scored_by))
      if progress != saved:
        checkpoints.save(manager, trainer.state, progress, skeleton)

  if writes:
    _finish(config, workdir, progress, records)
    if stop.signal == signal.SIGINT:
      raise KeyboardInterrupt
  return records


def _make_trainer(
  config: Config, skeleton: Skeleton, dataset: Dataset
) -> Trainer:
  """Makes the Trainer of the training poses, with a fresh state."""
  train = dataset.train
  assert train is not None
  check_poses(config, train)
  if config.data.image_aligned:
    train = image_aligned(train, skeleton)
  arrays = make_task(config, skeleton).arrays(train)
  return Trainer(config, skeleton, arrays, train.camera_list, train.fps)


def _record(
  training: TrainingConfig,
  dataset: Dataset,
  trainer: Trainer,
  progress: Progress,
  score: Score,
) -> dict[str, Any]:
  """Makes the record of an epoch that has ended, with its scores."""
  result = score(trainer.state.scored, dataset.test)
  if dataset.val is not None:
    val = score(trainer.state.scored, dataset.val)
    names = [name for name in ('mpjpe', 'pixel_error') if name in val]
    result |= {f'val_{name}': val[name] for name in names}
  poses = trainer.steps * training.batch_size * training.num_seeds
  return {
    'epoch': progress.epoch + 1,
    'train_loss': progress.loss_sum / trainer.steps,
    'seconds': progress.seconds,
    'poses_per_second': poses / progress.seconds,
    'devices': _devices(trainer),
  } | result


def _finish(
  config: Config,
  workdir: pathlib.Path,
  progress: Progress,
  records: list[dict[str, Any]],
) -> None:
  """Draws the curves and prints the best scores, or how to go on."""
  if records:
    plot_curves(records, workdir / 'curves.png', config=config)
  if progress.epoch < config.training.epochs:
    print(f'stopped and saved in {workdir}; resume it to go on')
  elif records:
    best = min(records, key=lambda record: _rank(record, config))
    print_result(best, config)


def _rank(record: dict[str, Any], config: Config) -> float:
  return rank(record, config.evaluation.choose_on, config.scored_by)


def epoch_line(
  record: dict[str, Any], epochs: int, scored_by: str = 'mpjpe'
) -> str:
  """Describes an epoch, one of so many, in a line."""

  def error(name, unit='mm'):
    spread = f' ± {record[name + "_sd"]:.2f}' if name + '_sd' in record else ''
    return f'{record[name]:.2f}{spread} {unit}'

  scores = f'MPJPE {error("mpjpe")}  P-MPJPE {error("p_mpjpe")}'
  if 'pixel_error' in record:
    of_joints = f'2D {error("pixel_error", "pixels")}'
    # The 3D means nothing before the graph network is trained.
    only_joints = scored_by == 'pixel_error'
    scores = of_joints if only_joints else f'{scores}  {of_joints}'
  return (
    f'epoch {record["epoch"]}/{epochs}  loss {record["train_loss"]:.5f}'
    f'  {scores}  {record["poses_per_second"]:,.0f} poses/s'
  )


def _restore(
  config: Config, workdir: pathlib.Path, trainer: Trainer
) -> tuple[Progress, list[dict[str, Any]]]:
  """Puts the last checkpoint of the run, or a fresh start, on the devices.

  Returns:
    How far the run has come, and its records.
  """
  progress = Progress()
  if checkpoints.exist(workdir):
    state, progress = checkpoints.restore_state(workdir, trainer.state)
    trainer.place(state)
  elif folder.holds_run(workdir) and (
    len(folder.read_log(workdir))
    > config_lib.load(workdir / 'config.json').training.checkpoint_epochs
  ):
    raise UserError(
      f'{checkpoints.folder(workdir)}: has no checkpoint of the epochs that'
      ' metrics.jsonl holds; restore it, or start anew in another `workdir`'
    )
  if progress.epoch > config.training.epochs:
    raise SettingError(
      f'`epochs={config.training.epochs}`: {progress.epoch} are done already'
    )
  if progress.chunks >= len(trainer.bounds):
    raise UserError(
      f'{workdir}: was trained on more poses than there are now; give the same'
      ' data'
    )
  records = folder.read_records(workdir, progress.epoch)
  return dataclasses.replace(progress, epoch_steps=trainer.steps), records


def _progress_bar(
  training: TrainingConfig, trainer: Trainer, progress: Progress, *, shown: bool
) -> ProgressBar:
  done = trainer.steps * progress.epoch
  if progress.chunks:
    done += int(trainer.bounds[progress.chunks - 1])
  total = trainer.steps * training.epochs
  poses_a_step = training.batch_size * training.num_seeds
  return ProgressBar(total, done, poses_a_step, shown=shown)


def _describe(
  config: Config,
  skeleton: Skeleton,
  dataset: Dataset,
  trainer: Trainer,
  progress: Progress,
) -> list[str]:
  """Describes the run in lines, for its start."""
  train, training = dataset.train, config.training
  assert train is not None
  lines = [
    f'{config.data.dataset}: {len(train):,} training and'
    f' {len(dataset.test):,} test pairs; the mean training pose scores'
    f' {mean_pose_score(train, dataset.test):.1f} mm'
  ]
  if dataset.val is not None:
    chosen = config.evaluation.choose_on == 'val'
    use = 'choose the best epoch' if chosen else 'are scored'
    subjects = config.data.val_subjects  # A folder of pictures has none.
    whose = f'pairs of {listed(subjects)}' if subjects else 'validation pairs'
    lines.append(f'{len(dataset.val):,} {whose} {use}')
  rest = len(train) - trainer.steps * training.batch_size
  dropped = f', the last {rest} of each shuffle are dropped' if rest else ''
  rates = _rates(config, make_task(config, skeleton).learns)
  seeds = f', {training.num_seeds} seeds' if training.num_seeds > 1 else ''
  lines.append(
    f'{config.model.model}: {count_parameters(config.model, skeleton):,}'
    f' parameters, on {_devices(trainer)}; {trainer.steps} steps of'
    f' {training.batch_size} poses an epoch{dropped}; {rates}{seeds}'
  )
  megabytes = trainer.poses_bytes / 1e6
  where = 'on each device' if trainer.resident else 'streamed from the host'
  lines.append(f'training poses: {megabytes:,.0f} MB, {where}')
  if progress.epoch == training.epochs:
    lines.append(f'all {progress.epoch} epochs are done')
  elif trainer.state.num_steps:
    lines.append(f'going on in epoch {progress.epoch + 1} of {training.epochs}')
  return lines


def _rates(config: Config, parts: tuple[str, ...]) -> str:
  """Spells the highest learning rate of each part that learns."""
  training = config.training
  rates = {
    'backbone': f'{training.backbone_lr:.2g}',
    'graph network': f'{peak_rate(training):.2g}',
  }
  if len(parts) == 1:
    return f'learning rate {rates[parts[0]]}'
  named = listed(f'{rates[part]} ({part})' for part in parts)
  return f'learning rates {named}'


def _devices(trainer: Trainer) -> str:
  return f'{jax.device_count()} {trainer.mesh.devices[0].device_kind}'


def _is_due(
  config: Config, progress: Progress, records: list[dict[str, Any]]
) -> bool:
  """Tells whether the epoch that has ended gets a checkpoint."""
  scores = [_rank(record, config) for record in records]
  best = config.evaluation.choose_on != 'last' and progress.score == min(scores)
  return best or progress.epoch % config.training.checkpoint_epochs == 0
