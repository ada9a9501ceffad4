"""Turns a trained network into the function that users run."""

import functools
from collections.abc import Callable
from typing import Any

import jax

from semgcn_jax.config import Config
from semgcn_jax.errors import UserError
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.models.folding import fold
from semgcn_jax.models.forward import make_forward

# What the network of each task takes, and what runs it.
_TAKES = {
  'frames': ('keypoints', 'Lifter'),
  'clips': ('clips', 'Lifter'),
  'pictures': ('pictures', 'ImageLifter'),
}


def require_task(
  config: Config, *tasks: str, name: str = 'the network'
) -> None:
  """Checks that a network is of one of some tasks, and trained for use.

  Args:
    config: The config of its run.
    *tasks: The tasks, values of `ModelConfig.task`.
    name: What the network is called, for the message.

  Raises:
    UserError: It is of another task, has learned 2D joints alone, or its poses
      have no scale.
  """
  if config.model.task not in tasks:
    takes, use = _TAKES[config.model.task]
    raise UserError(f'{name}: takes {takes}; use `{use}` for it')
  if config.only_2d:
    raise UserError(
      f'{name}: a run of `stage=keypoints` has learned 2D joints alone, and its'
      ' poses mean nothing; train a run of `stage=graph` with `init_from`'
    )
  if config.calibrates:
    raise UserError(
      f'{name}: predictions of a run with `image_aligned` or'
      ' `scale_calibration` have no scale of their own: they can be scored, but'
      ' neither made nor drawn'
    )


def trained_function(
  config: Config,
  skeleton: Skeleton,
  variables: dict[str, Any],
  *,
  precision: str = 'highest',
) -> Callable[..., jax.Array]:
  """Makes the pure function of a network's inputs.

  The weights are constants of it, with the batch norms folded in, so that a
  compiler computes only once what depends on them alone.

  Args:
    config: The config of the run, of which the model and `flip_test` are used.
    skeleton: The skeleton of the poses.
    variables: The params and batch_stats of one seed.
    precision: How exactly to compute, see `make_forward`.

  Returns:
    A function (inputs, length=None) -> predicted; see `predict_poses`.
  """
  forward = make_forward(
    config.model,
    skeleton,
    flip_test=config.evaluation.flip_test,
    folded=True,
    precision=precision,
  )
  return functools.partial(forward, jax.device_get(fold(variables)))
