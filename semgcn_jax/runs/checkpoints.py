"""The checkpoints of a run, kept by orbax: the best, and the last few.

Each is a folder `checkpoints/<training step>` of items: `model` (params and
batch_stats), `averaged` (the same, where a run averages them), `training`
(step, optimizer and random state) and `progress` (JSON). Orbax renames a
finished folder into place, so a folder that exists is whole.
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

from semgcn_jax import config as config_lib
from semgcn_jax import weights
from semgcn_jax.config import Config, TrainingConfig
from semgcn_jax.errors import SettingError, UserError, choose, listed
from semgcn_jax.files import MAX_TEXT, check_folder
from semgcn_jax.geometry.skeletons import Skeleton, load_skeleton
from semgcn_jax.models.build import abstract_variables
from semgcn_jax.runs.weights import FILE, read_weights

# These are what orbax raises for files that are missing or wrong.
_DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError)
# How often a checkpoint is read that vanishes meanwhile, and how long it may
# take until it has.
_ATTEMPTS = 10
_VANISHING_SECONDS = 0.2


@dataclasses.dataclass(frozen=True)
class Progress:
  """How far a run has come.

  Attributes:
    epoch: The number of finished epochs.
    chunks: The number of finished chunks of the epoch after those.
    loss_sum: The sum of the losses of the steps of these chunks.
    mpjpe: The test MPJPE of the last finished epoch, mm; None before.
    score: What ranks that epoch, the lowest being the best; None before.
    epoch_steps: The number of steps of an epoch, which a cosine rate depends
      on.
    seconds: How many seconds these chunks took.
  """

  epoch: int = 0
  chunks: int = 0
  loss_sum: float = 0.0
  mpjpe: float | None = None
  score: float | None = None
  epoch_steps: int = 1
  seconds: float = 0.0


@contextlib.contextmanager
def _without_notes() -> Iterator[None]:
  """Keeps orbax from telling that a checkpoint is only read."""
  logger = logging.getLogger('absl')
  level = logger.level
  logger.setLevel(logging.ERROR)
  try:
    yield
  finally:
    logger.setLevel(level)


def folder(workdir: pathlib.Path) -> pathlib.Path:
  """Returns the absolute path of the folder of a run's checkpoints."""
  return workdir.absolute() / 'checkpoints'


def exist(workdir: pathlib.Path) -> bool:
  """Tells whether the run has a finished checkpoint."""
  path = folder(workdir)
  return path.is_dir() and bool(ocp.utils.checkpoint_steps(path))


@_without_notes()
def finished_epochs(workdir: pathlib.Path) -> int:
  """Counts the epochs of the last checkpoint; 0 if none can be read."""
  if not exist(workdir):
    return 0
  path = folder(workdir)
  step = max(ocp.utils.checkpoint_steps(path))
  try:
    check_folder(path, MAX_TEXT)
    handlers = {'progress': ocp.JsonCheckpointHandler()}
    with ocp.CheckpointManager(
      path,
      options=ocp.CheckpointManagerOptions(read_only=True),
      item_handlers=handlers,
    ) as manager:
      return _read_progress(manager, step).epoch
  except _DAMAGE:
    return 0


def open_manager(workdir: pathlib.Path, keep: int) -> ocp.CheckpointManager:
  """Opens a manager that keeps the lowest 'score' and the last `keep`.

  Raises:
    UserError: The checkpoints that are there cannot be read.
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
  """Starts to save a checkpoint; the manager finishes in the background.

  Args:
    manager: The manager of the run.
    state: The `training.state.TrainState` to save.
    progress: How far the run has come; at the end of an epoch its score
      competes for the best.
    skeleton: The skeleton that the weights are for.
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
  """Restores a checkpoint, to go on training from there.

  Args:
    workdir: The folder of the run.
    state: A `training.state.TrainState` of the wanted shapes, on the wanted
      devices.
    which: 'best', 'last' or the number of an epoch.

  Returns:
    The state with restored values, and how far the run had come.

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
    workdir: The folder of the run.
    which: 'best', 'last' or the number of an epoch.
    variables: The variables of the model, of which the shapes suffice.
    averaged: Whether to take those averaged over the steps, not the last ones.

  Returns:
    The variables with restored values, and how far the run had come.

  Raises:
    SettingError: There is no such checkpoint.
    UserError: There is none at all, it is damaged, or of another model.
  """
  item = 'averaged' if averaged else 'model'
  restored, progress = _restore(workdir, which, {item: variables})
  return restored[item], progress


@dataclasses.dataclass(frozen=True)
class Network:
  """A trained network, as a checkpoint of a run holds it.

  Attributes:
    config: The config of the run.
    skeleton: The skeleton of the poses.
    variables: The params and batch_stats; those of several seeds are stacked.
    progress: How far the run had come.
  """

  config: Config
  skeleton: Skeleton
  variables: dict[str, Any]
  progress: Progress

  def of_seed(self, seed: int | None = None) -> dict[str, Any]:
    """Takes the variables of one seed; None is the first.

    Raises:
      SettingError: The run has no such seed.
    """
    seed = self.config.training.seed if seed is None else seed
    return take_seed(self.variables, self.config.training, seed)


def take_seed(tree: Any, config: TrainingConfig, seed: int) -> Any:
  """Takes the arrays of one seed out of those of all seeds.

  Those of several seeds are stacked, `[R, ...]`.

  Raises:
    SettingError: The run has no such seed.
  """
  index = config.index_of_seed(seed)
  if config.num_seeds == 1:
    return tree
  return jax.tree.map(lambda x: x[index], tree)


def restore_network(
  checkpoint: str | pathlib.Path,
  which: str = 'best',
  *,
  averaged: bool = True,
) -> Network:
  """Restores the network of a run, or weights in the box.

  Args:
    checkpoint: The name of weights in the box, or the folder of a run.
    which: 'best', 'last' or the number of an epoch.
    averaged: Whether to take the averaged weights, if the run has some.

  Raises:
    SettingError: There is no such checkpoint.
    UserError: There is no run, no checkpoint at all, or it is damaged.
  """
  workdir = weights.find(checkpoint)
  if not workdir.is_dir():
    raise UserError(
      f'{workdir}: is neither the folder of a run nor in the box, which has'
      f' {listed(weights.names())}'
    )
  config = config_lib.load(workdir / 'config.json')
  skeleton = load_skeleton(str(workdir / 'skeleton.json'))
  training = config.training
  if (workdir / FILE).exists():
    if which not in ('best', 'last'):
      raise SettingError(f'`which={which}`: {workdir} has one epoch alone')
    abstract = abstract_variables(config.model, skeleton)
    variables, epoch = read_weights(workdir, abstract, skeleton)
    return Network(config, skeleton, variables, Progress(epoch))
  variables, progress = restore_variables(
    workdir,
    which,
    abstract_variables(config.model, skeleton, training.num_seeds),
    averaged=averaged and training.averaging > 0,
  )
  return Network(config, skeleton, variables, progress)


@_without_notes()
def _restore(
  workdir: pathlib.Path, which: str, wanted: dict[str, Any]
) -> tuple[dict[str, Any], Progress]:
  """Restores the items {name: tree} of a checkpoint."""
  if not folder(workdir).is_dir():
    raise UserError(
      f'{workdir}: holds no checkpoints; name the folder of a run'
    )
  options = ocp.CheckpointManagerOptions(
    read_only=True, best_fn=_score, best_mode='min'
  )
  handlers = {
    'model': ocp.StandardCheckpointHandler(),
    'averaged': ocp.StandardCheckpointHandler(),
    'training': ocp.StandardCheckpointHandler(),
    'progress': ocp.JsonCheckpointHandler(),
  }
  for attempt in range(_ATTEMPTS):
    path = folder(workdir)
    there = _steps(path)
    _check_files(workdir)
    try:
      with ocp.CheckpointManager(
        path, options=options, item_handlers=handlers
      ) as manager:
        step = _find(manager, workdir, which)
        path = path / str(step)
        saved = manager.item_metadata(step)
        for item, tree in wanted.items():
          _compare(saved[item].tree, tree, path)
        arguments = {
          item: ocp.args.StandardRestore(jax.tree.map(_shape_and_device, tree))
          for item, tree in wanted.items()
        }
        restored = manager.restore(step, args=ocp.args.Composite(**arguments))
        fields = _read_fields(manager, step)
        _check_skeleton(workdir, fields.pop('skeleton', None))
        return restored, Progress(**fields)
    except _DAMAGE as error:
      # While the run trains, a checkpoint can vanish as it is read.
      time.sleep(_VANISHING_SECONDS)
      if attempt + 1 < _ATTEMPTS and _steps(folder(workdir)) != there:
        continue
      way_out = (
        'restore its content from a copy'
        if path == folder(workdir)
        else 'remove this folder to use another checkpoint'
      )
      raise UserError(
        f'{path}: is damaged ({_first_line(error)}); {way_out}'
      ) from error
  raise AssertionError('the last attempt returns or raises')


def _check_files(workdir: pathlib.Path) -> None:
  """Raises a UserError where orbax would open a pipe, a device or too much.

  Orbax would wait for it, or read it, without an end.
  """
  if not folder(workdir).is_dir():
    return
  try:
    check_folder(folder(workdir), MAX_TEXT)
  except OSError as error:
    raise UserError(
      f'{error.filename or folder(workdir)}: {error.strerror}; restore it from'
      ' a copy'
    ) from error


def _steps(path: pathlib.Path) -> list[int]:
  """Lists the training steps of the checkpoints in a folder."""
  return sorted(ocp.utils.checkpoint_steps(path)) if path.is_dir() else []


def _shape_and_device(x: Any) -> jax.ShapeDtypeStruct:
  sharding = x.sharding or jax.sharding.SingleDeviceSharding(jax.devices()[0])
  return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)


def _find(
  manager: ocp.CheckpointManager, workdir: pathlib.Path, which: str
) -> int:
  """Finds the training step of a checkpoint."""
  steps = manager.all_steps()
  if not steps:
    raise UserError(
      f'{folder(workdir)}: holds no finished checkpoint; resume the training of'
      f' {workdir} to make one'
    )
  if which == 'last':
    return max(steps)
  if which == 'best':
    # No checkpoint has a score while the first epoch has not ended.
    best = manager.best_step()
    return max(steps) if best is None else best
  # The first two have been dealt with, but a message lists them.
  choices: dict[str, Any] = {'best': None, 'last': None}
  for step in steps:
    try:
      progress = _read_progress(manager, step)
    except _DAMAGE:
      continue
    if not progress.chunks:
      choices[str(progress.epoch)] = step
  return choose('which', which, choices)


def _read_progress(manager: ocp.CheckpointManager, step: int) -> Progress:
  fields = _read_fields(manager, step)
  fields.pop('skeleton', None)
  return Progress(**fields)


def _read_fields(manager: ocp.CheckpointManager, step: int) -> dict[str, Any]:
  args = ocp.args.Composite(progress=ocp.args.JsonRestore())
  return dict(manager.restore(step, args=args)['progress'])


def _check_skeleton(workdir: pathlib.Path, saved: str | None) -> None:
  """Raises a UserError if a run's skeleton is not that of its weights."""
  path = workdir / 'skeleton.json'
  # Runs of older versions do not keep the fingerprint.
  if saved and path.exists() and load_skeleton(str(path)).fingerprint != saved:
    raise UserError(
      f'{path}: is not the skeleton that the weights were trained with; restore'
      ' the file'
    )


def _compare(saved: Any, wanted: Any, path: pathlib.Path) -> None:
  """Raises a UserError that lists every difference in keys and shapes."""
  saved, wanted = _by_path(saved), _by_path(wanted)
  problems = [f'{k} is missing' for k in wanted if k not in saved]
  problems += [f'{k} is not of the model' for k in saved if k not in wanted]
  problems += [
    f'{k} has shape {tuple(saved[k].shape)}, not {wanted[k].shape}'
    for k in wanted
    if k in saved and tuple(saved[k].shape) != wanted[k].shape
  ]
  if problems:
    shown = '; '.join(problems[:3]) + ('; ...' if len(problems) > 3 else '')
    raise UserError(
      f'{path}: is of another model than config.json says ({shown}); restore'
      ' the config.json that it was trained with'
    )


def _by_path(tree: Any) -> dict[str, Any]:
  """Lists the leaves by path: {'params/input/conv/bias': leaf, ...}."""
  return {
    jax.tree_util.keystr(path, simple=True, separator='/'): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


def _score(metrics: dict[str, float]) -> float:
  return metrics['score']


def _first_line(error: Exception) -> str:
  return (str(error) or type(error).__name__).splitlines()[0][:200]


def _items(state: Any) -> dict[str, Any]:
  """Lists the trees of a `TrainState` by the names they are saved under."""
  training = ('step', 'opt_state', 'rng')
  items = {
    'model': {'params': state.params, 'batch_stats': state.batch_stats},
    'training': {name: getattr(state, name) for name in training},
  }
  if state.averaged is not None:
    items['averaged'] = state.averaged
  return items
