"""Orbax checkpoints of a run: the best, and the last few.

Each is a folder `checkpoints/<training step>` of items: `model` (params and
batch_stats), `averaged` (the same, where a run averages them), `training`
(step, optimizer and random state) and `progress` (JSON). Orbax renames a
finished folder into place, so an existing folder is complete.
"""

import contextlib
import dataclasses
import logging
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from semgcn_jax.errors import UserError, choose
from semgcn_jax.geometry.graphs import load_graph
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.runs.checks import check_files, compare
from semgcn_jax.runs.progress import Progress

# What orbax raises for missing or damaged files.
_DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError)
# How often to retry where a checkpoint vanishes while being read, and how long
# that may take.
_ATTEMPTS = 10
_VANISHING_SECONDS = 0.2


@contextlib.contextmanager
def _without_notes() -> Iterator[None]:
  """Silences orbax's warnings about reading a checkpoint."""
  logger = logging.getLogger('absl')
  level = logger.level
  logger.setLevel(logging.ERROR)
  try:
    yield
  finally:
    logger.setLevel(level)


def folder(workdir: pathlib.Path) -> pathlib.Path:
  """Returns the absolute path of a run's checkpoints."""
  return workdir.absolute() / 'checkpoints'


def exist(workdir: pathlib.Path) -> bool:
  """Returns whether the run has a finished checkpoint."""
  return bool(_steps(folder(workdir)))


@_without_notes()
def finished_epochs(workdir: pathlib.Path) -> int:
  """Counts the epochs of the last checkpoint; 0 if none can be read."""
  path = folder(workdir)
  if not exist(workdir):
    return 0
  step = _steps(path)[-1]
  try:
    check_files(path)
    with _open_reader(path) as manager:
      return _read_progress(manager, step)[0].epoch
  except _DAMAGE:
    return 0


def _open_reader(path: pathlib.Path, **options: Any) -> ocp.CheckpointManager:
  """Opens a manager that only reads."""
  items = ('model', 'averaged', 'training')
  return ocp.CheckpointManager(
    path,
    options=ocp.CheckpointManagerOptions(read_only=True, **options),
    item_handlers={
      **{name: ocp.StandardCheckpointHandler() for name in items},
      'progress': ocp.JsonCheckpointHandler(),
    },
  )


def open_manager(workdir: pathlib.Path, keep: int) -> ocp.CheckpointManager:
  """Opens a manager that keeps the best checkpoint and the last `keep`.

  Raises:
    UserError: The existing checkpoints cannot be read.
  """
  _check_files(workdir)
  policies = checkpoint_managers
  best = policies.BestN(
    get_metric_fn=_score,
    reverse=True,
    n=1,
    keep_checkpoints_without_metrics=False,
  )
  try:
    return ocp.CheckpointManager(
      folder(workdir),
      options=ocp.CheckpointManagerOptions(
        preservation_policy=policies.AnyPreservationPolicy(
          [policies.LatestN(n=keep), best]
        ),
        best_fn=_score,
        best_mode='min',
        cleanup_tmp_directories=True,
      ),
    )
  except _DAMAGE as error:
    raise UserError(
      f'{folder(workdir)}: is damaged ({_first_line(error)}); remove the broken'
      ' folder in it'
    ) from error


def save(
  manager: ocp.CheckpointManager,
  state: Any,
  progress: Progress,
  skeleton: Skeleton,
) -> None:
  """Starts saving a checkpoint; the manager finishes in the background.

  Args:
    manager: The manager of the run.
    state: The `training.state.TrainState` to save.
    progress: How far the run has come; only at the end of an epoch does its
      score compete for the best.
    skeleton: The skeleton of the poses.
  """
  scored = progress.chunks == 0 and progress.score is not None
  manager.save(
    state.num_steps,
    args=ocp.args.Composite(
      progress=ocp.args.JsonSave(
        dataclasses.asdict(progress) | {'skeleton': skeleton.fingerprint}
      ),
      **{
        name: ocp.args.StandardSave(jax.device_get(tree))
        for name, tree in _items(state).items()
      },
    ),
    metrics={'score': progress.score} if scored else None,
  )


def restore_state(
  workdir: pathlib.Path, state: Any, which: str = 'last'
) -> tuple[Any, Progress]:
  """Restores a checkpoint to continue training from.

  Args:
    workdir: The run folder.
    state: A `training.state.TrainState` with the shapes and devices to use.
    which: 'best', 'last' or the number of an epoch.

  Returns:
    The state with restored values, and the progress of the run.

  Raises:
    SettingError: There is no such checkpoint.
    UserError: There is none at all, it is damaged, or of another model.
  """
  restored, progress = _restore(workdir, which, _items(state))
  return state.replace(
    averaged=restored.get('averaged'),
    **restored['model'],
    **restored['training'],
  ), progress


def restore_variables(
  workdir: pathlib.Path,
  which: str,
  variables: dict[str, Any],
  *,
  averaged: bool = False,
) -> tuple[dict[str, Any], Progress]:
  """Restores params and batch_stats.

  Args:
    workdir: The run folder.
    which: 'best', 'last' or the number of an epoch.
    variables: The variables of the model, or their shapes.
    averaged: Whether to take those averaged over the steps.

  Returns:
    The variables with restored values, and the progress of the run.

  Raises:
    SettingError, UserError: See `restore_state`.
  """
  item = 'averaged' if averaged else 'model'
  restored, progress = _restore(workdir, which, {item: variables})
  return restored[item], progress


@_without_notes()
def _restore(
  workdir: pathlib.Path, which: str, wanted: dict[str, Any]
) -> tuple[dict[str, Any], Progress]:
  """Restores the items {name: tree} of a checkpoint."""
  if not folder(workdir).is_dir():
    raise UserError(f'{workdir}: holds no checkpoints; name a run folder')
  for attempt in range(_ATTEMPTS):
    path = folder(workdir)
    there = _steps(path)
    _check_files(workdir)
    try:
      with _open_reader(path, best_fn=_score, best_mode='min') as manager:
        step = _find(manager, workdir, which)
        path = path / str(step)
        saved = manager.item_metadata(step)
        for item, tree in wanted.items():
          compare(saved[item].tree, tree, path)
        arguments = {
          item: ocp.args.StandardRestore(jax.tree.map(_shape_and_device, tree))
          for item, tree in wanted.items()
        }
        restored = manager.restore(step, args=ocp.args.Composite(**arguments))
        progress, fingerprint = _read_progress(manager, step)
        _check_skeleton(workdir, fingerprint)
        return restored, progress
    except _DAMAGE as error:
      # While the run trains, a checkpoint can vanish while being read.
      time.sleep(_VANISHING_SECONDS)
      if attempt + 1 < _ATTEMPTS and _steps(folder(workdir)) != there:
        continue
      way_out = (
        'restore it from a copy'
        if path == folder(workdir)
        else 'remove this folder to use another checkpoint'
      )
      raise UserError(
        f'{path}: is damaged ({_first_line(error)}); {way_out}'
      ) from error
  raise AssertionError('the last attempt returns or raises')


def _check_files(workdir: pathlib.Path) -> None:
  """Raises a UserError if `check_files` fails."""
  if folder(workdir).is_dir():
    try:
      check_files(folder(workdir))
    except OSError as error:
      raise UserError(
        f'{error.filename or folder(workdir)}: {error.strerror}; restore it'
        ' from a copy'
      ) from error


def _steps(path: pathlib.Path) -> list[int]:
  """Returns the sorted training steps of the checkpoints in a folder."""
  return sorted(ocp.utils.checkpoint_steps(path)) if path.is_dir() else []


def _shape_and_device(x: Any) -> jax.ShapeDtypeStruct:
  sharding = x.sharding or jax.sharding.SingleDeviceSharding(jax.devices()[0])
  return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)


def _find(
  manager: ocp.CheckpointManager, workdir: pathlib.Path, which: str
) -> int:
  """Returns the training step of a checkpoint."""
  steps = manager.all_steps()
  if not steps:
    raise UserError(
      f'{folder(workdir)}: holds no finished checkpoint; resume training in'
      f' {workdir} to make one'
    )
  if which == 'last':
    return max(steps)
  if which == 'best':
    # No checkpoint has a score while the first epoch has not ended.
    best = manager.best_step()
    return max(steps) if best is None else best
  # The first two are handled above; a message lists them.
  choices: dict[str, Any] = {'best': None, 'last': None}
  for step in steps:
    try:
      progress, _ = _read_progress(manager, step)
    except _DAMAGE:
      continue
    if not progress.chunks:
      choices[str(progress.epoch)] = step
  return choose('which', which, choices)


def _read_progress(
  manager: ocp.CheckpointManager, step: int
) -> tuple[Progress, str | None]:
  """Reads the progress of a checkpoint, and its skeleton's fingerprint."""
  args = ocp.args.Composite(progress=ocp.args.JsonRestore())
  fields = dict(manager.restore(step, args=args)['progress'])
  fingerprint = fields.pop('skeleton', None)
  return Progress(**fields), fingerprint


def _check_skeleton(workdir: pathlib.Path, saved: str | None) -> None:
  """Raises a UserError if a run's skeleton does not match its weights."""
  path = workdir / 'skeleton.json'
  # Runs of older versions lack the fingerprint.
  if saved and path.exists() and load_graph(str(path)).fingerprint != saved:
    raise UserError(
      f'{path}: is not the skeleton that the weights were trained with; restore'
      ' the file'
    )


def _score(metrics: dict[str, float]) -> float:
  return metrics['score']


def _first_line(error: Exception) -> str:
  return (str(error) or type(error).__name__).splitlines()[0][:200]


def _items(state: Any) -> dict[str, Any]:
  """Returns the trees of a `TrainState` by the names they are saved under."""
  training = ('step', 'opt_state', 'rng')
  items = {
    'model': {'params': state.params, 'batch_stats': state.batch_stats},
    'training': {name: getattr(state, name) for name in training},
  }
  if state.averaged is not None:
    items['averaged'] = state.averaged
  return items
