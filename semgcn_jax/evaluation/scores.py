"""Scores a network on poses: over all of them, and per action."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import Config, ModelConfig
from semgcn_jax.data.image_aligned import canonical_length, center_inputs
from semgcn_jax.data.pairs import Pairs
from semgcn_jax.data.windows import Windows, cut, known_fps, sequences, step_of
from semgcn_jax.evaluation import metrics
from semgcn_jax.evaluation.motion import motion_errors
from semgcn_jax.geometry.skeletons import Skeleton, bone_vectors, mirror
from semgcn_jax.models.build import build
from semgcn_jax.models.image_network import ImageNetwork, predict_from_images
from semgcn_jax.models.inputs import mirror_inputs
from semgcn_jax.models.root_relative import predict
from semgcn_jax.models.temporal import reach
from semgcn_jax.tasks.films import film_pairs

# The scores of a pose, and their headings. The first three are in millimetres,
# the others in percent.
HEADINGS = {
  'mpjpe': 'MPJPE',
  'p_mpjpe': 'P-MPJPE',
  'n_mpjpe': 'N-MPJPE',
  'pck_150': 'PCK@150',
  'auc': 'AUC',
}
# Those of motion, see motion.py.
MOTION_HEADINGS = {
  'mpjve': 'MPJVE',
  'acceleration_error': 'acceleration error',
  'jitter': 'jitter',
  'true_jitter': 'true jitter',
}
# Those of the 2D joints that a network finds in pictures: their error in
# pixels, and the percentage of them that is off by less than half a head.
IMAGE_HEADINGS = {'pixel_error': '2D pixels', 'pckh': 'PCKh@0.5'}
_OWN = 128  # So many poses a window of a clip is there for.

# Scores variables on pairs, and returns what `evaluate` returns.
Score = Callable[[dict[str, Any], Pairs], dict[str, Any]]


def make_score(
  config: Config,
  skeleton: Skeleton,
  train: Pairs | None = None,
  *,
  num_seeds: int | None = None,
) -> Score:
  """Makes the function that scores variables on pairs, as the config says.

  Args:
    config: The config of the run.
    skeleton: The skeleton of the poses.
    train: The training pairs, whose bones calibrate the scale of predictions
      where the config asks for that.
    num_seeds: How many seeds the variables are of; None takes the run's.

  Returns:
    The function.

  Raises:
    SettingError: Mirrored poses are asked for and the skeleton has no sides.
  """
  if config.evaluation.flip_test:
    skeleton.require_sides('flip_test')
  model = build(config.model, skeleton)
  length = None
  if config.calibrates:
    assert train is not None
    length = canonical_length(train, skeleton)

  def score(variables, pairs):
    if config.data.image_aligned:
      pairs = center_inputs(pairs, skeleton)
    if config.model.input_joints:
      pairs = film_pairs(pairs, skeleton, config)
    return evaluate(
      model,
      variables,
      pairs,
      skeleton,
      batch_size=config.evaluation.eval_batch_size,
      flip_test=config.evaluation.flip_test,
      canonical_length=length,
      num_seeds=num_seeds or config.training.num_seeds,
      windows=test_windows(pairs, config.model),
    )

  return score


def test_windows(pairs: Pairs, config: ModelConfig) -> Windows | None:
  """Cuts the clips of pairs for a network that sees time; None for others.

  Each frame sees all that it depends on, so that its pose is that of the whole
  clip at once, at about the network's own rate.

  Raises:
    SettingError: The frames a second are not known.
  """
  if not config.is_temporal:
    return None
  step = step_of(known_fps(pairs), config.frame_rate)
  before, after = reach(config)
  return cut(sequences(pairs, step), before + after + _OWN, before, after)


def rank(record: dict[str, Any], choose_on: str, by: str = 'mpjpe') -> float:
  """Ranks an epoch by its record, for the setting `choose_on`: lower is better.

  Args:
    record: The record of the epoch.
    choose_on: The value of the setting.
    by: The score that counts.

  Raises:
    KeyError: The record lacks what is chosen on.
  """
  if choose_on == 'last':
    return -record['epoch']
  return record[{'val': f'val_{by}', 'test': by}[choose_on]]


def evaluate(
  model: nn.Module,
  variables: dict[str, Any],
  pairs: Pairs,
  skeleton: Skeleton,
  *,
  batch_size: int,
  flip_test: bool = False,
  canonical_length: float | None = None,
  num_seeds: int = 1,
  windows: Windows | None = None,
) -> dict[str, Any]:
  """Scores a model on every pose exactly once, in full float32 precision.

  Args:
    model: The model, which maps `[..., J, 2]` to `[..., J, 3]`; or one that
      takes the pictures of the pairs, see `image_network.ImageNetwork`.
    variables: The params and batch_stats of the model.
    pairs: The inputs, and the targets in metres.
    skeleton: The skeleton of the poses.
    batch_size: How many poses to take a step.
    flip_test: See `predict`.
    canonical_length: The sum of bone lengths, in metres, that every prediction
      is scaled to (the paper's section 5.2, after arXiv:1704.02447); None does
      not scale.
    num_seeds: How many seeds the variables are of; those of several are
      stacked.
    windows: The windows that a model sees that takes clips.

  Returns:
    A dict of the means over all poses, 'mpjpe', 'p_mpjpe', 'n_mpjpe' (mm),
    'pck_150', 'auc' (percent); of the means over actions, 'mpjpe_action' and
    'p_mpjpe_action' (mm); of 'num_poses'; and of 'actions': {name: the means
    over its poses, and 'num_poses'}. With pictures there are 'pixel_error' and
    'pckh', and for clips what `motion.motion_errors` returns, too. For several
    seeds it is what `summarize` makes of theirs.
  """
  predicted = predict_pairs(
    model,
    variables,
    pairs,
    skeleton,
    batch_size=batch_size,
    flip_test=flip_test,
    num_seeds=num_seeds,
    windows=windows,
  )
  poses, joints = predicted[..., :3], predicted[..., 3:]
  batch_size = min(batch_size, len(pairs))
  parts = []
  for start in range(0, len(pairs), batch_size):
    # The last batch is filled up from the front to keep one compiled shape.
    rows = np.arange(start, start + batch_size) % len(pairs)
    with jax.default_matmul_precision('highest'):
      errors = _pose_errors(
        skeleton, poses[:, rows], pairs.targets[rows], canonical_length
      )
      if isinstance(model, ImageNetwork):
        size, truth = pairs.images.shape[1], pairs.inputs[rows]
        errors |= _joint_errors(skeleton, size, joints[:, rows], truth)
    parts.append(jax.device_get(errors))
  results = []
  for seed in range(num_seeds):
    errors = {
      name: np.concatenate([part[name][seed] for part in parts])[: len(pairs)]
      for name in parts[0]
    }
    result = _averages(
      {name: values.astype(float) for name, values in errors.items()}, pairs
    )
    if pairs.views is not None and canonical_length is None:
      result |= motion_errors(poses[seed], pairs.targets, pairs.views)
    results.append(result)
  return summarize(results)


def predict_pairs(
  model: nn.Module,
  variables: dict[str, Any],
  pairs: Pairs,
  skeleton: Skeleton,
  *,
  batch_size: int,
  flip_test: bool = False,
  num_seeds: int = 1,
  windows: Windows | None = None,
) -> np.ndarray:
  """Predicts the poses of pairs by R seeds, `[R, N, J, 3]`; see `evaluate`.

  From pictures it also finds the 2D, `[R, N, J, 5]`.
  """
  # One device predicts; all that the state is on would only do the same.
  variables = jax.device_put(variables, jax.local_devices()[0])
  # Pairs may have pictures that a network of keypoints does not look at.
  sees = isinstance(model, ImageNetwork)
  inputs = pairs.images if sees else pairs.inputs
  count, batch_size = len(pairs), min(batch_size, len(pairs))
  if windows is not None:
    count, size = windows.rows.shape
    batch_size = min(max(batch_size // size, 1), count)
  predicted = None
  for start in range(0, count, batch_size):
    # The last batch is filled up from the front to keep one compiled shape.
    batch = np.arange(start, start + batch_size) % count
    rows, length = batch, None
    if windows is not None:
      rows, length = windows.rows[batch], windows.lengths[batch]
    with jax.default_matmul_precision('highest'):
      part = jax.device_get(
        _predict(
          *(model, skeleton, flip_test, num_seeds),
          *(variables, inputs[rows], length),
        )
      )
    if windows is not None:
      own = windows.own[batch]
      rows, part = rows[own], part[:, own]
    if predicted is None:
      shape = (num_seeds, len(pairs), *part.shape[2:])
      predicted = np.empty(shape, part.dtype)
    predicted[:, rows] = part
  assert predicted is not None
  return predicted


def _averages(errors: dict[str, np.ndarray], pairs: Pairs) -> dict[str, Any]:
  """Averages the scores of every pose, `[N]`, to what `evaluate` returns."""
  result = {name: float(values.mean()) for name, values in errors.items()}
  actions = {}
  for index, action in enumerate(pairs.action_names):
    chosen = pairs.actions == index
    if not chosen.any():
      continue
    actions[action] = {
      name: float(values[chosen].mean()) for name, values in errors.items()
    } | {'num_poses': int(chosen.sum())}
  for name in ('mpjpe', 'p_mpjpe'):
    scores = [action[name] for action in actions.values()]
    result[f'{name}_action'] = float(np.mean(scores))
  return result | {'num_poses': len(pairs), 'actions': actions}


# There are two programs, so that the second, which takes longer to compile,
# serves for every model.
@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _predict(
  model: nn.Module,
  skeleton: Skeleton,
  flip_test: bool,
  num_seeds: int,
  variables: dict[str, Any],
  inputs: jax.Array,
  length: jax.Array | None,
) -> jax.Array:
  """Predicts poses, `[R, B, J, 3]`, from inputs `[B, J, 2]` by R seeds.

  From pictures `[B, S, S, 3]` it also finds the 2D, `[R, B, J, 5]`. From clips
  `[B, T, J, 2]` with the lengths `[B]` it predicts `[R, B, T, J, 3]`.
  """

  def predict_seed(variables):
    def network(inputs, **options) -> Any:
      return model.apply(variables, inputs, train=False, **options)

    if isinstance(model, ImageNetwork):
      return predict_from_images(network, inputs, skeleton, flip_test=flip_test)
    predicted = predict(
      network,
      inputs,
      skeleton,
      flip_test=flip_test,
      mirror_inputs=mirror if inputs.shape[-1] == 2 else mirror_inputs,
      length=length,
    )
    return predicted[..., :3]

  if num_seeds == 1:
    return predict_seed(variables)[None]
  return jax.vmap(predict_seed)(variables)


@functools.partial(jax.jit, static_argnums=0)
def _pose_errors(
  skeleton: Skeleton,
  predicted: jax.Array,
  targets: jax.Array,
  canonical_length: float | None,
) -> dict[str, jax.Array]:
  """Scores predictions `[R, B, J, 3]` of targets `[B, J, 3]`, `[R, B]` each."""
  targets = jnp.broadcast_to(targets, predicted.shape)
  if canonical_length is not None:
    predicted = calibrate_scale(predicted, canonical_length, skeleton)
  return {
    'mpjpe': 1000 * metrics.mpjpe(predicted, targets),
    'p_mpjpe': 1000 * metrics.p_mpjpe(predicted, targets),
    'n_mpjpe': 1000 * metrics.n_mpjpe(predicted, targets),
    'pck_150': metrics.pck(predicted, targets),
    'auc': metrics.auc(predicted, targets),
  }


@functools.partial(jax.jit, static_argnums=(0, 1))
def _joint_errors(
  skeleton: Skeleton, size: int, joints: jax.Array, truth: jax.Array
) -> dict[str, jax.Array]:
  """Scores 2D joints `[R, B, J, 2]` of pictures of S pixels, `[R, B]` each."""
  truth = jnp.broadcast_to(truth, joints.shape)
  errors = {'pixel_error': size / 2 * metrics.mpjpe(joints, truth)}
  if skeleton.head is not None:
    errors['pckh'] = metrics.pckh(joints, truth, skeleton.head)
  return errors


def summarize(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
  """Summarizes the results of independent seeds on the same poses.

  Returns:
    The means; the standard deviations `mpjpe_sd`, `p_mpjpe_sd`,
    `mpjpe_action_sd` and `p_mpjpe_action_sd` (mm, with n - 1); and `seeds`, a
    list of the overall scores of each. A single result comes back as it is.
  """
  if len(results) == 1:
    return results[0]
  mean = jax.tree.map(
    lambda *values: type(values[0])(np.mean(values)), *results
  )
  deviations = {
    f'{name}_sd': float(np.std([r[name] for r in results], ddof=1))
    for name in ('mpjpe', 'p_mpjpe', 'mpjpe_action', 'p_mpjpe_action')
  }
  known = HEADINGS | IMAGE_HEADINGS | MOTION_HEADINGS
  headings = [name for name in known if name in results[0]]
  seeds = [{name: r[name] for name in headings} for r in results]
  return mean | deviations | {'seeds': seeds}


def calibrate_scale(
  predicted: jax.Array, canonical_length: float, skeleton: Skeleton
) -> jax.Array:
  """Scales poses so that their bone lengths sum to `canonical_length`.

  Args:
    predicted: The poses, `[..., J, 3]`, the root at the origin.
    canonical_length: The wanted sum, metres.
    skeleton: The skeleton of the poses.

  Returns:
    The scaled poses, `[..., J, 3]`, metres.
  """
  lengths = jnp.linalg.norm(bone_vectors(predicted, skeleton), axis=-1)
  scale = canonical_length / lengths.sum(axis=-1)
  return predicted * scale[..., None, None]


def mean_pose_score(train: Pairs, test: Pairs) -> float:
  """Returns the MPJPE of the mean training pose on the test poses, mm."""
  mean = train.targets.mean(axis=0, dtype=np.float64)
  return 1000 * float(np.linalg.norm(test.targets - mean, axis=-1).mean())
