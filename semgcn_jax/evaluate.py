"""Evaluation: pose errors per action and over all poses."""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax import checkpoints, data, metrics, models, published
from semgcn_jax.augment import flip
from semgcn_jax.config import Config
from semgcn_jax.data import Pairs
from semgcn_jax.errors import FlagError
from semgcn_jax.files import write_text
from semgcn_jax.skeleton import Skeleton, bone_vectors

# Columns of the table: key and heading. The first three are millimetres.
COLUMNS = {
  'mpjpe': 'MPJPE',
  'p_mpjpe': 'P-MPJPE',
  'n_mpjpe': 'N-MPJPE',
  'pck_150': 'PCK@150',
  'auc': 'AUC',
}


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
) -> dict[str, Any]:
  """Scores a model on every pose exactly once, in float32 'highest'.

  Args:
    model: `[..., J, 2]` -> `[..., J, 3]`.
    variables: its params and batch_stats.
    pairs: inputs, and targets in metres.
    skeleton: of the poses.
    batch_size: poses per step.
    flip_test: see `predict`.
    canonical_length: sum of bone lengths in metres that every prediction is
      scaled to (the paper's section 5.2, after arXiv:1704.02447); None: as is.
    num_seeds: with several, the variables are those of all, stacked.

  Returns:
    Of one seed, else what `summarize` makes of those of all:
    {'mpjpe', 'p_mpjpe', 'n_mpjpe' (mm), 'pck_150', 'auc' (percent), over all
    poses; 'mpjpe_action', 'p_mpjpe_action' (means over actions); 'num_poses';
    'actions': {name: the same and 'num_poses'}}.
  """
  # On one device, not the same on each that the state is on.
  variables = jax.device_put(variables, jax.local_devices()[0])
  batch_size = min(batch_size, len(pairs))
  errors = []
  for start in range(0, len(pairs), batch_size):
    # The last batch is filled up from the front to keep one compiled shape.
    rows = np.arange(start, start + batch_size) % len(pairs)
    with jax.default_matmul_precision('highest'):
      predicted = _predict(
        model, skeleton, flip_test, num_seeds, variables, pairs.inputs[rows]
      )
      errors.append(
        _pose_errors(skeleton, predicted, pairs.targets[rows], canonical_length)
      )
  errors = {
    name: np.concatenate([e[name] for e in errors], axis=1)[:, : len(pairs)]
    for name in COLUMNS
  }
  return summarize(
    [
      _averages(
        {name: e[seed].astype(float) for name, e in errors.items()}, pairs
      )
      for seed in range(num_seeds)
    ]
  )


def _averages(errors: dict[str, np.ndarray], pairs: Pairs) -> dict[str, Any]:
  """What `evaluate` returns of one seed, from the errors of every pose."""
  result = {name: float(values.mean()) for name, values in errors.items()}
  actions = {}
  for index, action in enumerate(pairs.action_names):
    chosen = pairs.actions == index
    actions[action] = {
      name: float(values[chosen].mean()) for name, values in errors.items()
    } | {'num_poses': int(chosen.sum())}
  for name in ('mpjpe', 'p_mpjpe'):
    scores = [action[name] for action in actions.values()]
    result[f'{name}_action'] = float(np.mean(scores))
  return result | {'num_poses': len(pairs), 'actions': actions}


# Two programs, so that the second, which takes longer to compile, serves for
# every model.
@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _predict(
  model: nn.Module,
  skeleton: Skeleton,
  flip_test: bool,
  num_seeds: int,
  variables: dict[str, Any],
  inputs: jax.Array,
) -> jax.Array:
  """`[B, J, 2]` -> the predictions of R seeds, `[R, B, J, 3]`."""

  def predict_seed(variables):
    network = functools.partial(model.apply, variables, train=False)
    return predict(network, inputs, skeleton, flip_test=flip_test)

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
  """Every metric of every pose: `[R, B, J, 3]` and `[B, J, 3]` -> `[R, B]`."""
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


def predict(
  network: Callable[[jax.Array], jax.Array],
  inputs: jax.Array,
  skeleton: Skeleton,
  *,
  flip_test: bool = False,
) -> jax.Array:
  """Joints `[B, ..., J, 2]` -> `[B, ..., J, 3]` with the root at the origin.

  The network does the same with its root anywhere. With `flip_test` it is the
  mean with the prediction for the mirrored input, mirrored back.
  """
  if flip_test:
    # In one batch: half the program to compile.
    both = network(jnp.concatenate([inputs, flip(inputs, skeleton)]))
    predicted, mirrored = jnp.split(both, 2)
    predicted = (predicted + flip(mirrored, skeleton)) / 2
  else:
    predicted = network(inputs)
  return predicted - predicted[..., skeleton.root, None, :]


def seed_variables(variables: Any, config: Config) -> list[Any]:
  """The variables of each seed of a run, from those of all, stacked."""
  if config.num_seeds == 1:
    return [variables]
  return [
    jax.tree.map(lambda x, index=index: x[index], variables)
    for index in range(config.num_seeds)
  ]


def summarize(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
  """One result of several, of the same poses by independent seeds.

  Returns:
    Of one, itself; else the means, with `mpjpe_sd`, `p_mpjpe_sd`,
    `mpjpe_action_sd`, `p_mpjpe_action_sd` (mm, with n - 1) and `seeds` (a list
    of the overall metrics of each).
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
  seeds = [{name: r[name] for name in COLUMNS} for r in results]
  return mean | deviations | {'seeds': seeds}


def calibrate_scale(
  predicted: jax.Array, canonical_length: float, skeleton: Skeleton
) -> jax.Array:
  """Scales root-relative poses `[..., J, 3]` so that the lengths of their bones
  sum to `canonical_length`."""
  lengths = jnp.linalg.norm(bone_vectors(predicted, skeleton), axis=-1)
  scale = canonical_length / lengths.sum(axis=-1)
  return predicted * scale[..., None, None]


def mean_pose_score(train: Pairs, test: Pairs) -> float:
  """MPJPE in mm of the mean training pose as prediction for every test pose."""
  mean = train.targets.mean(axis=0, dtype=np.float64)
  return 1000 * float(np.linalg.norm(test.targets - mean, axis=-1).mean())


def format_table(
  result: dict[str, Any], published: dict[str, float] | None = None
) -> str:
  """The result as text, a line per action.

  Args:
    result: of `evaluate`.
    published: {action: MPJPE in mm} to print beside.
  """
  width = max(len('mean of actions'), *map(len, result['actions'])) + 1
  header = f'{"":{width}}' + ''.join(f'{h:>9}' for h in COLUMNS.values())
  header += f'{"poses":>9}' + (f'{"published":>11}' if published else '')

  def line(name, values, count=''):
    cells = ''.join(
      f'{values[c]:9.2f}' if c in values else f'{"":9}' for c in COLUMNS
    )
    reference = (published or {}).get(name)
    reference = f'{reference:11.1f}' if reference is not None else ''
    return f'{name:{width}}{cells}{count:>9}{reference}'.rstrip()

  lines = [header]
  for name, values in result['actions'].items():
    lines.append(line(name, values, values['num_poses']))
  means = {name: result[f'{name}_action'] for name in ('mpjpe', 'p_mpjpe')}
  lines.append(line('mean of actions', means))
  lines.append(line('all poses', result, result['num_poses']))
  if 'seeds' in result:
    deviations = {name: result[f'{name}_sd'] for name in ('mpjpe', 'p_mpjpe')}
    lines.append(line(f'± of {len(result["seeds"])} seeds', deviations))
  return '\n'.join(lines)


def print_result(result: dict[str, Any], config: Config) -> None:
  """Prints the table of a checkpoint, beside what was published for it."""
  references, released = published.references(config)
  print(f'\nepoch {result["epoch"]}, errors in mm:')
  print(format_table(result, references))
  if released:
    print(released)


def make_score(
  config: Config, skeleton: Skeleton, dataset: data.Dataset
) -> Callable[[dict[str, Any]], dict[str, Any]]:
  """How variables are scored after an epoch.

  Args:
    config: of the run.
    skeleton: of the poses.
    dataset: with its training split.

  Returns:
    Variables -> what `evaluate` returns for the test split, and `val_mpjpe`
    where some subjects are kept for validation; of several seeds what
    `summarize` makes of it.
  """
  model = models.build(config, skeleton)
  length = None
  if config.calibrates:
    length = data.canonical_length(dataset.train, skeleton)

  def score_split(variables, split):
    if config.image_aligned:
      split = data.center_inputs(split, skeleton)
    return evaluate(
      model,
      variables,
      split,
      skeleton,
      batch_size=config.eval_batch_size,
      flip_test=config.flip_test,
      canonical_length=length,
      num_seeds=config.num_seeds,
    )

  def score(variables):
    result = score_split(variables, dataset.test)
    if dataset.val is not None:
      result['val_mpjpe'] = score_split(variables, dataset.val)['mpjpe']
    return result

  return score


def rank(record: dict[str, Any], choose_on: str) -> float:
  """What the best epoch is lowest in."""
  return {
    'last': -record['epoch'],
    'val': record.get('val_mpjpe'),
    'test': record['mpjpe'],
  }[choose_on]


def check_flip(config: Config, skeleton: Skeleton) -> None:
  """Raises a FlagError where mirrored poses are asked for and make no sense."""
  if (config.flip or config.flip_test) and not skeleton.left:
    raise FlagError(
      f'--skeleton={config.skeleton}: has no left and right to exchange; use'
      ' --noflip --noflip_test'
    )


def evaluate_run(
  workdir: pathlib.Path,
  which: str,
  overrides: dict[str, Any],
  *,
  averaged: bool = True,
  seed: int | None = None,
) -> dict[str, Any]:
  """Scores a checkpoint of a run, and prints the table.

  Args:
    workdir: folder of the run.
    which: 'best', 'last' or the number of an epoch.
    overrides: fields that replace those of the run's config.
    averaged: the averaged weights, if the run has some.
    seed: of a run with several seeds only this one; None: all.

  Returns:
    What `evaluate` returns, with 'epoch' and 'num_params'.

  Raises:
    UserError: no run, no checkpoint, or no data.
    FlagError: the run has no such seed.
  """
  own, skeleton, variables, progress = checkpoints.restore_network(
    workdir, which, averaged=averaged
  )
  config = dataclasses.replace(own, **overrides)
  model = models.build(config, skeleton)
  num_params = sum(leaf.size for leaf in jax.tree.leaves(variables['params']))
  num_params //= own.num_seeds
  index = None if seed is None else own.index_of_seed(seed)
  if index is not None:
    variables = seed_variables(variables, own)[index]
  test = data.load(config, skeleton, train=False).test
  check_flip(config, skeleton)
  canonical_length = None
  if config.calibrates:
    # Of the poses that the run was trained on, wherever they lie now.
    own = dataclasses.replace(own, data_dir=config.data_dir)
    train = data.load(own, skeleton).train
    canonical_length = data.canonical_length(train, skeleton)
  if config.image_aligned:
    test = data.center_inputs(test, skeleton)
  result = evaluate(
    model,
    variables,
    test,
    skeleton,
    batch_size=config.eval_batch_size,
    flip_test=config.flip_test,
    canonical_length=canonical_length,
    num_seeds=own.num_seeds if index is None else 1,
  )
  result['epoch'] = progress.epoch
  result['num_params'] = num_params
  print_result(result, config)
  return result


def check_output(path: pathlib.Path) -> None:
  """Raises a FlagError where no file can be written."""
  if path.is_dir() or not path.parent.is_dir():
    raise FlagError(f'--output={path}: name a file in an existing folder')


def write_json(result: dict[str, Any], path: pathlib.Path) -> None:
  """Writes a result.

  Raises:
    FlagError: the file cannot be written.
  """
  check_output(path)
  try:
    write_text(path, json.dumps(result, indent=2) + '\n')
  except OSError as error:
    raise FlagError(f'--output={path}: {error.strerror}') from error
