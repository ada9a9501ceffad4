"""Scores a network on poses, overall and per action."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import Config
from semgcn_jax.data.image_aligned import canonical_length
from semgcn_jax.data.pairs import Pairs
from semgcn_jax.evaluation import metrics, regression
from semgcn_jax.evaluation.motion import motion_errors
from semgcn_jax.geometry.skeletons import H36M, Skeleton, bone_vectors
from semgcn_jax.models.batches import run_batches
from semgcn_jax.tasks import make_task

# The scores of a pose: the first three in millimetres, the others in percent.
HEADINGS = {
  'mpjpe': 'MPJPE',
  'p_mpjpe': 'P-MPJPE',
  'n_mpjpe': 'N-MPJPE',
  'pck_150': 'PCK@150',
  'pck': 'PCK',
  'auc': 'AUC',
}
# The scores of motion, see motion.py.
MOTION_HEADINGS = {
  'mpjve': 'MPJVE',
  'acceleration_error': 'acceleration error',
  'jitter': 'jitter',
  'true_jitter': 'true jitter',
}
# The scores of the 2D joints found in images, in pixels and in percent.
IMAGE_HEADINGS = {'pixel_error': '2D pixels', 'pckh': 'PCKh@0.5'}

# Scores variables on pairs; returns the result of `score_predictions`.
Score = Callable[[dict[str, Any], Pairs], dict[str, Any]]


def make_score(
  config: Config,
  skeleton: Any,
  train: Pairs | None = None,
  *,
  num_seeds: int | None = None,
) -> Score:
  """Builds the function that scores variables on pairs.

  Args:
    config: The config of the run.
    skeleton: The skeleton of the poses, or the graph of a regression.
    train: The training pairs, needed if the config asks to calibrate the scale.
    num_seeds: The number of seeds in the variables; None takes the run's.

  Raises:
    SettingError: `flip_test` is set and the skeleton has no sides.
  """
  if config.takes == 'nodes':
    return regression.make_score(config, skeleton, num_seeds=num_seeds)
  if config.evaluation.flip_test:
    skeleton.require_sides('flip_test')
  task, length = make_task(config, skeleton), None
  if config.calibrates:
    assert train is not None
    length = canonical_length(train, skeleton)
  predict = task.make_predict(num_seeds or config.training.num_seeds)
  batch_size = config.evaluation.eval_batch_size

  def score(variables, pairs):
    pairs = task.to_score(pairs)
    predicted = predict(variables, pairs, batch_size)
    return score_predictions(
      predicted[..., :3],
      pairs,
      skeleton,
      batch_size=batch_size,
      canonical_length=length,
      joints=task.joints(predicted),
    )

  return score


def rank(record: dict[str, Any], choose_on: str, by: str = 'mpjpe') -> float:
  """Ranks the epoch of a record; lower is better.

  Args:
    record: The record of the epoch.
    choose_on: The value of the setting `choose_on`.
    by: The score to rank by.

  Raises:
    KeyError: The record lacks the score.
  """
  if choose_on == 'last':
    return -record['epoch']
  return record[{'val': f'val_{by}', 'test': by}[choose_on]]


def score_predictions(
  poses: np.ndarray,
  pairs: Pairs,
  skeleton: Skeleton,
  *,
  batch_size: int,
  canonical_length: float | None = None,
  joints: np.ndarray | None = None,
) -> dict[str, Any]:
  """Scores every predicted pose exactly once, in full float32 precision.

  Args:
    poses: The predictions of R seeds, `[R, N, J, 3]`, metres.
    pairs: The pairs with the targets, metres.
    skeleton: The skeleton of the poses.
    batch_size: The number of poses to score at a time.
    canonical_length: The sum of bone lengths to scale every prediction to,
      metres (the paper's section 5.2, after arXiv:1704.02447); None does not
      scale.
    joints: The 2D joints found in images, `[R, N, J, 2]`.

  Returns:
    A dict of the means over all poses, 'mpjpe', 'p_mpjpe', 'n_mpjpe' (mm),
    'pck_150', 'auc' (percent), of other skeletons than `H36M` 'pck' and 'auc'
    up to 'pck_threshold' (mm, see `pck_threshold`); the means over actions,
    'mpjpe_action' and 'p_mpjpe_action' (mm); 'num_poses'; and 'actions': {name:
    the means over its poses, and 'num_poses'}. Images add 'pixel_error' and
    'pckh'; clips add the result of `motion.motion_errors`. Several seeds are
    `summarize`d.
  """

  threshold = pck_threshold(pairs.targets, skeleton)

  def measure(rows):
    with jax.default_matmul_precision('highest'):
      errors = _pose_errors(
        *(skeleton, threshold, poses[:, rows], pairs.targets[rows]),
        canonical_length,
      )
      if joints is not None:
        size, truth = pairs.images.shape[1], pairs.inputs[rows]
        errors |= _joint_errors(skeleton, size, joints[:, rows], truth)
    return {name: np.asarray(values).T for name, values in errors.items()}

  errors = run_batches(measure, len(pairs), (min(batch_size, len(pairs)),))
  results = []
  for seed, predicted in enumerate(poses):
    result = _averages(
      {name: values[:, seed].astype(float) for name, values in errors.items()},
      pairs,
    )
    if pairs.views is not None and canonical_length is None:
      result |= motion_errors(predicted, pairs.targets, pairs.views)
    if skeleton != H36M:
      result['pck_threshold'] = 1000 * threshold
    results.append(result)
  return summarize(results)


def _averages(errors: dict[str, np.ndarray], pairs: Pairs) -> dict[str, Any]:
  """Averages the scores of poses, `[N]`, overall and per action."""
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


def pck_threshold(targets: np.ndarray, skeleton: Skeleton) -> float:
  """Returns how far a joint may be off to count as correct, metres.

  It is 150 mm for people (arXiv:1611.09813), and for other skeletons the share
  of their size that this is: a sixth of how far they reach from the root.

  Args:
    targets: The true poses, `[N, J, 3]`, metres, the root at the origin.
  """
  if skeleton == H36M:
    return 0.15
  return float(np.linalg.norm(targets, axis=-1).max(axis=-1).mean()) / 6


@functools.partial(jax.jit, static_argnums=0)
def _pose_errors(
  skeleton: Skeleton,
  threshold: float,
  predicted: jax.Array,
  targets: jax.Array,
  canonical_length: float | None,
) -> dict[str, jax.Array]:
  """Scores predictions `[R, B, J, 3]` on targets `[B, J, 3]`: `[R, B]` each."""
  targets = jnp.broadcast_to(targets, predicted.shape)
  pck = 'pck_150' if skeleton == H36M else 'pck'
  if canonical_length is not None:
    predicted = calibrate_scale(predicted, canonical_length, skeleton)
  return {
    'mpjpe': 1000 * metrics.mpjpe(predicted, targets),
    'p_mpjpe': 1000 * metrics.p_mpjpe(predicted, targets),
    'n_mpjpe': 1000 * metrics.n_mpjpe(predicted, targets),
    pck: metrics.pck(predicted, targets, threshold),
    'auc': metrics.auc(predicted, targets, threshold),
  }


@functools.partial(jax.jit, static_argnums=(0, 1))
def _joint_errors(
  skeleton: Skeleton, size: int, joints: jax.Array, truth: jax.Array
) -> dict[str, jax.Array]:
  """Scores 2D joints `[R, B, J, 2]` in images of this size: `[R, B]` each."""
  truth = jnp.broadcast_to(truth, joints.shape)
  errors = {'pixel_error': size / 2 * metrics.mpjpe(joints, truth)}
  if skeleton.head is not None:
    errors['pckh'] = metrics.pckh(joints, truth, skeleton.head)
  return errors


def summarize(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
  """Summarizes the results of independent seeds on the same poses.

  Returns:
    The means; the standard deviations `mpjpe_sd`, `p_mpjpe_sd`,
    `mpjpe_action_sd` and `p_mpjpe_action_sd` (mm, with n - 1); and `seeds`, the
    overall scores of each. A single result is returned as is.
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
  """Scales poses `[..., J, 3]` so that their bones sum to this length, metres.

  The root must be at the origin.
  """
  lengths = jnp.linalg.norm(bone_vectors(predicted, skeleton), axis=-1)
  scale = canonical_length / lengths.sum(axis=-1)
  return predicted * scale[..., None, None]


def mean_pose_score(train: Pairs, test: Pairs) -> float:
  """Returns the MPJPE of the mean training pose on the test poses, mm."""
  mean = train.targets.mean(axis=0, dtype=np.float64)
  return 1000 * float(np.linalg.norm(test.targets - mean, axis=-1).mean())
