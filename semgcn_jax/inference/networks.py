"""Turns a trained network into a function for predictions."""

import functools
from collections.abc import Callable
from typing import Any

import jax

from semgcn_jax.config import Config
from semgcn_jax.errors import UserError
from semgcn_jax.geometry.graphs import Graph
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.models.folding import fold
from semgcn_jax.models.forward import make_forward

# The inputs of a network by task, and the class that runs it.
_TAKES = {
  'frames': ('keypoints', 'Lifter'),
  'clips': ('clips', 'Lifter'),
  'pictures': ('images', 'ImageLifter'),
  'nodes': ('features of the nodes of a graph', 'load_predictor'),
}


def require_task(
  config: Config, *tasks: str, name: str = 'the network'
) -> None:
  """Checks that a network has one of the tasks, and makes usable poses.

  Args:
    *tasks: The tasks, values of `Config.takes`.
    name: The name of the network, for the message.

  Raises:
    UserError: It has another task, has only learned 2D joints, or its poses
      have no scale.
  """
  if config.takes not in tasks:
    takes, use = _TAKES[config.takes]
    raise UserError(f'{name}: takes {takes}; use {use} instead')
  if config.only_2d:
    raise UserError(
      f'{name}: a run with `stage=keypoints` has only learned 2D joints, so its'
      ' poses mean nothing; train one with `stage=graph` and `init_from`'
    )
  if config.calibrates:
    raise UserError(
      f'{name}: predictions of a run with `image_aligned` or'
      ' `scale_calibration` have no scale of their own: they can be scored, but'
      ' neither made nor drawn'
    )


def trained_function(
  config: Config,
  skeleton: Skeleton | Graph,
  variables: dict[str, Any],
  *,
  precision: str = 'highest',
) -> Callable[..., jax.Array]:
  """Builds the pure function that runs a trained network.

  The weights are constants with the batch norms folded in, so a compiler can
  precompute whatever depends only on them.

  Args:
    variables: The params and batch_stats of one seed.
    precision: See `make_forward`.

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
