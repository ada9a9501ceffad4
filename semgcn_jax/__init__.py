"""Semantic Graph Convolutional Networks (arXiv:1904.03345) in JAX.

These are the public names; anything not listed here may change:

  Lifter, Lifted: from the keypoints of any detector and camera to 3D poses.
  ImageLifter: the same from pictures, by a network that was trained on them.
  load_predictor: a network of a run, compiled, for 2D of its own cameras.
  preset, train, evaluate: what the commands do, called from Python.
  Skeleton, H36M, JOINT_SETS: the joints of poses and of detectors.
  Graph, GraphDataset: graphs of any kind, and features at their nodes.
  UserError, SettingError: mistakes that the caller can fix.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = '0.2.0'

if TYPE_CHECKING:
  from semgcn_jax.config.presets import preset
  from semgcn_jax.data.graphs import GraphDataset
  from semgcn_jax.errors import SettingError, UserError
  from semgcn_jax.evaluation.evaluate import evaluate
  from semgcn_jax.geometry.graphs import Graph
  from semgcn_jax.geometry.joint_sets import JOINT_SETS
  from semgcn_jax.geometry.skeletons import H36M, Skeleton
  from semgcn_jax.inference.image_lifter import ImageLifter
  from semgcn_jax.inference.lifted import Lifted
  from semgcn_jax.inference.lifter import Lifter
  from semgcn_jax.inference.predictor import load_predictor
  from semgcn_jax.training.loop import train

__all__ = [
  'H36M',
  'JOINT_SETS',
  'Graph',
  'GraphDataset',
  'ImageLifter',
  'Lifted',
  'Lifter',
  'SettingError',
  'Skeleton',
  'UserError',
  '__version__',
  'evaluate',
  'load_predictor',
  'preset',
  'train',
]

# Where each name is. Modules are imported when a name is first used: code that
# only lifts loads no optimizer, and `--help` does not wait for JAX.
_HOMES = {
  'H36M': 'geometry.skeletons',
  'JOINT_SETS': 'geometry.joint_sets',
  'Graph': 'geometry.graphs',
  'GraphDataset': 'data.graphs',
  'ImageLifter': 'inference.image_lifter',
  'Lifted': 'inference.lifted',
  'Lifter': 'inference.lifter',
  'SettingError': 'errors',
  'Skeleton': 'geometry.skeletons',
  'UserError': 'errors',
  'evaluate': 'evaluation.evaluate',
  'load_predictor': 'inference.predictor',
  'preset': 'config.presets',
  'train': 'training.loop',
}


def __getattr__(name: str) -> Any:
  """Imports the module of a public name when the name is first used.

  Raises:
    AttributeError: The module has no attribute of this name.
  """
  if name not in _HOMES:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  return getattr(importlib.import_module(f'{__name__}.{_HOMES[name]}'), name)


def __dir__() -> list[str]:
  """Lists the public names."""
  return sorted(__all__)
