"""Trains a model epoch by epoch, and writes the files of the run folder."""

import contextlib
import dataclasses
import pathlib
import signal
import time
from typing import Any

import jax

from semgcn_jax import config as config_lib
from semgcn_jax import weights
from semgcn_jax.config import Config
from semgcn_jax.data.datasets import Dataset, load
from semgcn_jax.data.image_aligned import image_aligned
from semgcn_jax.data.pairs import draw_weights
from semgcn_jax.errors import SettingError, UserError, counted, listed
from semgcn_jax.evaluation import baselines, regression
from semgcn_jax.evaluation.scores import (
  Score,
  make_score,
  mean_pose_score,
  rank,
)
from semgcn_jax.evaluation.tables import print_result
from semgcn_jax.geometry.skeletons import (
  H36M,
  Skeleton,
  load_skeleton,
  measure_unit,
)
from semgcn_jax.models.build import count_parameters
from semgcn_jax.runs import checkpoints, folder
from semgcn_jax.runs.progress import Progress
from semgcn_jax.tasks import make_task
from semgcn_jax.training import processes
from semgcn_jax.training.checks import check_poses, check_settings
from semgcn_jax.training.curves import plot_curves
from semgcn_jax.training.interrupts import StopRequest
from semgcn_jax.training.optimizers import peak_rates
from semgcn_jax.training.progress import ProgressBar
from semgcn_jax.training.trainer import Trainer
from semgcn_jax.training.warm_start import warm_start

_DRAW_SECONDS = 5  # The least time between two drawings of the curves.


@dataclasses.dataclass(frozen=True)
class _Run:
  """What the steps of the loop share."""

  config: Config
  skeleton: Skeleton
  workdir: pathlib.Path
  dataset: Dataset
  trainer: Trainer
  score: Score
  writes: bool  # Whether this process writes the files of the run.


def train(
  config: Config, workdir: str | pathlib.Path, *, resume: bool = False
) -> list[dict[str, Any]]:
  """Trains a model and scores it on the test split after every epoch.

  The run folder gets config.json, skeleton.json, metrics.jsonl (a line per
  epoch), curves.png and checkpoints/. SIGTERM and Ctrl-C save and stop the run
  after the current chunk.

  Args:
    workdir: Its folder; new, or with `resume` one that holds the same run.
    resume: Whether to continue from the last checkpoint, if there is one.

  Returns:
    The records of metrics.jsonl.

  Raises:
    UserError: The data is bad, the run damaged, a number not finite, or the
      disk full.
    SettingError: A setting is bad, or the folder in use.
    KeyboardInterrupt: Ctrl-C was pressed; everything is saved.

  Examples:
    >>> from semgcn_jax import preset, train
    >>> config = preset('synthetic', epochs=1, hid_dim=8, num_layers=1)
    >>> records = train(config, 'runs/first')  # doctest: +ELLIPSIS
    synthetic: 20,000 training and 5,000 test pairs...
    >>> records[0]['epoch'], records[0]['mpjpe'] < 500
    (1, True)
  """
  workdir = pathlib.Path(workdir)
  writes = processes.is_first()
  if writes:
    folder.check(config, workdir, resume)
  processes.wait('check')
  skeleton = folder.find_skeleton(config.data, workdir)
  check_settings(config, skeleton)
  dataset = load(config.data, skeleton)
  if config.evaluation.choose_on == 'val' and dataset.val is None:
    raise SettingError(
      "`choose_on=val`: the dataset has no split 'val'; leave it out"
    )
  skeleton = _sized(config, skeleton, dataset)
  score = make_score(config, skeleton, dataset.train)
  trainer = _make_trainer(config, skeleton, dataset)
  if not checkpoints.exist(workdir):
    trainer.place(warm_start(trainer.state, config, skeleton))
  run = _Run(config, skeleton, workdir, dataset, trainer, score, writes)

  claim = folder.claim(config, workdir, resume)
  with (
    folder.writing(workdir),
    StopRequest() as stop,
    claim if writes else contextlib.nullcontext(),
  ):
    processes.wait('claim')
    progress, records = _restore(run)
    if writes:
      folder.write_config(config, skeleton, workdir)
      folder.write_records(records, workdir)
    progress = _train_epochs(run, progress, records, stop)
  if writes:
    _finish(run, progress, records)
    if stop.signal == signal.SIGINT:
      raise KeyboardInterrupt
  return records


def _sized(config: Config, skeleton: Any, dataset: Dataset) -> Any:
  """Returns the skeleton with the unit of its poses, if they are filmed.

  It is that of the run that a run starts from.
  """
  is_filmed = config.takes != 'nodes' and config.model.input_joints
  if not is_filmed or skeleton == H36M or skeleton.unit != 1:
    return skeleton
  assert dataset.train is not None
  unit = measure_unit(dataset.train.targets)
  if config.model.init_from:
    source = weights.find(config.model.init_from) / 'skeleton.json'
    unit = load_skeleton(str(source)).unit if source.exists() else unit
  return dataclasses.replace(skeleton, unit=unit)


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
  return Trainer(
    *(config, skeleton, arrays, train.camera_list, train.fps),
    weights=draw_weights(train, config.training.balance),
  )


def _train_epochs(
  run: _Run,
  progress: Progress,
  records: list[dict[str, Any]],
  stop: StopRequest,
) -> Progress:
  """Trains to the last epoch or a request to stop, and appends to `records`."""
  config, workdir, trainer = run.config, run.workdir, run.trainer
  training, drawn, saved = config.training, time.monotonic(), progress
  with (
    checkpoints.open_manager(workdir, training.keep_checkpoints) as manager,
    _progress_bar(run, progress) as bar,
  ):

    def save():
      checkpoints.save(manager, trainer.state, progress, run.skeleton)

    for line in _describe(run, progress):
      bar.line(line)
    while progress.epoch < training.epochs and not stop.anywhere():
      progress = trainer.train_epoch(progress, bar, stop)
      if progress.chunks < len(trainer.bounds):
        break  # It was asked to stop.
      record = _record(run, progress)
      progress = Progress(
        progress.epoch + 1,
        mpjpe=record.get('mpjpe'),
        score=_rank(record, config),
        epoch_steps=trainer.steps,
      )
      records.append(record)
      # The log is never more than one checkpoint ahead.
      manager.wait_until_finished()
      if run.writes:
        folder.append_record(record, workdir)
      if _is_due(config, progress, records):
        save()
        saved = progress
      if run.writes and time.monotonic() - drawn > _DRAW_SECONDS:
        plot_curves(records, workdir / 'curves.png', config=config)
        drawn = time.monotonic()
      bar.line(epoch_line(record, training.epochs, config.scored_by))
    if progress != saved:
      save()
  return progress


def _record(run: _Run, progress: Progress) -> dict[str, Any]:
  """Makes the record of a finished epoch, with its scores."""
  training, trainer, dataset = run.config.training, run.trainer, run.dataset
  result = run.score(trainer.state.scored, dataset.test)
  if dataset.val is not None:
    val = run.score(trainer.state.scored, dataset.val)
    names = [n for n in ('mpjpe', 'pixel_error', 'rmse') if n in val]
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
  run: _Run, progress: Progress, records: list[dict[str, Any]]
) -> None:
  """Draws the curves and prints the best scores, or how to continue."""
  config, workdir = run.config, run.workdir
  if records:
    plot_curves(records, workdir / 'curves.png', config=config)
  if progress.epoch < config.training.epochs:
    print(f'stopped and saved in {workdir}; resume it to continue')
  elif records:
    best = min(records, key=lambda record: _rank(record, config))
    print_result(best, config)


def _rank(record: dict[str, Any], config: Config) -> float:
  return rank(record, config.evaluation.choose_on, config.scored_by)


def epoch_line(
  record: dict[str, Any], epochs: int, scored_by: str = 'mpjpe'
) -> str:
  """Describes an epoch in a line."""

  def error(name, unit='mm'):
    spread = f' ± {record[name + "_sd"]:.2f}' if name + '_sd' in record else ''
    return f'{record[name]:.2f}{spread} {unit}'

  if scored_by == 'rmse':
    return (
      f'epoch {record["epoch"]}/{epochs}  loss {record["train_loss"]:.5f}'
      f'  {regression.format_scores(record)}'
      f'  {record["poses_per_second"]:,.0f} samples/s'
    )
  scores = f'MPJPE {error("mpjpe")}  P-MPJPE {error("p_mpjpe")}'
  if 'pixel_error' in record:
    of_joints = f'2D {error("pixel_error", "pixels")}'
    # The 3D means nothing before the graph network is trained.
    only_2d = scored_by == 'pixel_error'
    scores = of_joints if only_2d else f'{scores}  {of_joints}'
  return (
    f'epoch {record["epoch"]}/{epochs}  loss {record["train_loss"]:.5f}'
    f'  {scores}  {record["poses_per_second"]:,.0f} poses/s'
  )


def _restore(run: _Run) -> tuple[Progress, list[dict[str, Any]]]:
  """Restores the last checkpoint, if any.

  Returns:
    The progress of the run, and its records.
  """
  config, workdir, trainer = run.config, run.workdir, run.trainer
  progress = Progress()
  if checkpoints.exist(workdir):
    state, progress = checkpoints.restore_state(workdir, trainer.state)
    trainer.place(state)
  elif folder.holds_run(workdir) and (
    len(folder.read_log(workdir))
    > config_lib.load(workdir / 'config.json').training.checkpoint_epochs
  ):
    raise UserError(
      f'{checkpoints.folder(workdir)}: has no checkpoint of the epochs in'
      ' metrics.jsonl; restore it, or start over in another `workdir`'
    )
  if progress.epoch > config.training.epochs:
    raise SettingError(
      f'`epochs={config.training.epochs}`: {progress.epoch} are done already'
    )
  if progress.chunks >= len(trainer.bounds):
    raise UserError(
      f'{workdir}: was trained on more poses than there are now; use the same'
      ' data'
    )
  records = folder.read_records(workdir, progress.epoch)
  return dataclasses.replace(progress, epoch_steps=trainer.steps), records


def _progress_bar(run: _Run, progress: Progress) -> ProgressBar:
  training, trainer = run.config.training, run.trainer
  done = trainer.steps * progress.epoch + trainer.start(progress)
  total = trainer.steps * training.epochs
  poses_per_step = training.batch_size * training.num_seeds
  return ProgressBar(total, done, poses_per_step, shown=run.writes)


def _describe(run: _Run, progress: Progress) -> list[str]:
  """Describes the run in lines, for its start."""
  config, skeleton, trainer = run.config, run.skeleton, run.trainer
  dataset, training, train = run.dataset, config.training, run.dataset.train
  assert train is not None
  if config.takes == 'nodes':
    mean = baselines.mean(train, dataset.test)
    mean = regression.score(mean, dataset.test.targets)
    baseline = f"each node's mean scores {regression.format_scores(mean)}"
  else:
    error = mean_pose_score(train, dataset.test)
    baseline = f'the mean training pose scores {error:.1f} mm'
  lines = [
    f'{config.data.dataset}: {len(train):,} training and'
    f' {len(dataset.test):,} test pairs; {baseline}'
  ]
  if dataset.val is not None:
    chosen = config.evaluation.choose_on == 'val'
    use = 'choose the best epoch' if chosen else 'are scored'
    subjects = config.data.val_subjects  # A folder of images has none.
    whose = f'pairs of {listed(subjects)}' if subjects else 'validation pairs'
    lines.append(f'{len(dataset.val):,} {whose} {use}')
  rest = len(train) * training.passes - trainer.steps * training.batch_size
  dropped = f', dropping the last {rest} of each shuffle' if rest else ''
  rates = _rates(peak_rates(make_task(config, skeleton)))
  seeds = f', {training.num_seeds} seeds' if training.num_seeds > 1 else ''
  lines.append(
    f'{config.model.model}: {count_parameters(config.model, skeleton):,}'
    f' parameters, on {_devices(trainer)}; {counted(trainer.steps, "step")} of'
    f' {training.batch_size} poses per epoch{dropped}; {rates}{seeds}'
  )
  megabytes = trainer.poses_bytes / 1e6
  where = 'on each device' if trainer.resident else 'streamed from the host'
  lines.append(f'training poses: {megabytes:,.0f} MB, {where}')
  if progress.epoch == training.epochs:
    lines.append(f'{counted(progress.epoch, "epoch")} done, none left')
  elif trainer.state.num_steps:
    lines.append(f'resuming in epoch {progress.epoch + 1} of {training.epochs}')
  return lines


def _rates(peaks: dict[str, float]) -> str:
  """Spells the highest learning rate of each part that learns."""
  if len(peaks) == 1:
    return f'learning rate {[*peaks.values()][0]:.2g}'
  named = listed(f'{rate:.2g} ({part})' for part, rate in peaks.items())
  return f'learning rates {named}'


def _devices(trainer: Trainer) -> str:
  return f'{jax.device_count()} {trainer.mesh.devices[0].device_kind}'


def _is_due(
  config: Config, progress: Progress, records: list[dict[str, Any]]
) -> bool:
  """Returns whether the finished epoch gets a checkpoint."""
  scores = [_rank(record, config) for record in records]
  best = config.evaluation.choose_on != 'last' and progress.score == min(scores)
  return best or progress.epoch % config.training.checkpoint_epochs == 0
