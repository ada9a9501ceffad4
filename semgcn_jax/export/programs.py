"""Turns a trained network into a single function, to export it.

The inputs and outputs are named; exported files contain their descriptions.
"""

import dataclasses
import json
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax import __version__
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.export.lifter_programs import lifter_program
from semgcn_jax.export.program import Program, poses_note
from semgcn_jax.geometry.graphs import Graph
from semgcn_jax.inference.networks import require_task, trained_function
from semgcn_jax.runs.networks import Network

CLIP = 128  # The frames of a clip, by default.


def make_program(
  network: Network,
  seed: int | None = None,
  joint_set: str | None = None,
  licence: str = '',
  frames: int | None = None,
) -> Program:
  """Builds the program of a network.

  It does what a `Lifter` does for one joint set if the network has
  `input_joints`, an `ImageLifter` if it takes images, or else a `Predictor`.

  Args:
    network: The trained network.
    seed: The seed of a run with several; None selects the first.
    joint_set: The joint set that a lifter takes; None selects `coco`.
    licence: The license of the weights, to note in the file.
    frames: For a network that sees time, the frames of each clip; None selects
      the program of a stream for a causal network, and `CLIP` frames for
      others.

  Raises:
    UserError: The predictions have no scale of their own or are not trained, or
      a lifter has a skeleton other than Human3.6M's.
    SettingError: There is no such seed or joint set, or the network sees
      single frames and `frames` is given.
  """
  model = network.config.model
  require_task(network.config, 'frames', 'clips', 'pictures', 'nodes')
  if model.is_temporal and not model.input_joints:
    raise UserError(
      '`output`: a network over time that knows only the cameras of its dataset'
      ' cannot be exported as a program; name a folder for its weights'
    )
  if frames is not None and not model.is_temporal:
    raise SettingError(f'`frames={frames}`: this network takes single frames')
  variables = network.of_seed(seed)
  function = trained_function(network.config, network.skeleton, variables)
  if model.is_temporal and not model.causal:
    frames = frames or CLIP
  if model.takes == 'pictures' and joint_set is None:
    program = _image_program(network, function)
  elif model.input_joints:
    program = lifter_program(network, variables, joint_set, frames)
  elif joint_set is not None:
    raise SettingError(
      f'`joint_set={joint_set}`: the network takes only the 2D joints of its'
      ' own skeleton; leave it out'
    )
  elif isinstance(network.skeleton, Graph):
    program = _graph_program(network.skeleton, function)
  else:
    program = _predictor_program(network, function)
  about = {'program': f'semgcn_jax {__version__}'}
  for name in ('joints', 'parents', 'edges'):
    if hasattr(network.skeleton, name):
      about[name] = json.dumps(getattr(network.skeleton, name))
  if licence:
    about['licence'] = licence
  return dataclasses.replace(program, notes=about | program.notes)


def _predictor_program(
  network: Network, forward: Callable[..., jax.Array]
) -> Program:
  """Builds the program of a network for the cameras of its dataset."""
  skeleton = network.skeleton
  shape = (skeleton.num_joints, network.config.model.input_channels)

  def function(inputs):
    finite = jnp.isfinite(inputs).all(axis=(1, 2))[:, None, None]
    poses = forward(jnp.where(finite, inputs, 0))[..., :3]
    return (jnp.where(finite, poses, jnp.nan),)

  def draw(count):
    rng = np.random.default_rng(count)
    return {'inputs': rng.uniform(-0.5, 0.5, (count, *shape)).astype('f')}

  notes = {
    'inputs': (
      f'[B, {shape[0]}, 2]: the 2D joints on the normalized screen, which is'
      ' (2 x / width - 1, (2 y - height) / width) of pixels x and y.'
    ),
    'poses': poses_note(skeleton)
    + ' A pose is NaN where one of its inputs is not finite.',
  }
  return Program(function, {'inputs': shape}, ('poses',), notes, draw)


def _graph_program(graph: Graph, forward: Callable[..., jax.Array]) -> Program:
  """Builds the program of a network for the nodes of a graph."""
  channels, features = len(graph.inputs.mean), len(graph.targets.mean)
  shape = (graph.num_nodes, channels)

  def draw(count):
    rng = np.random.default_rng(count)
    values = graph.inputs.undo(rng.normal(size=(count, *shape)))
    return {'inputs': values.astype(np.float32)}

  notes = {
    'inputs': f'[B, {shape[0]}, {channels}]: the features; NaN where missing.',
    'targets': f'[B, {shape[0]}, {features}]: the predicted features.',
  }

  def function(inputs):
    return (forward(inputs),)

  return Program(
    *(function, {'inputs': shape}, ('targets',), notes, draw),
    unit='standard deviations',
    scale=np.asarray(graph.targets.sd),
  )


def _image_program(
  network: Network, forward: Callable[..., jax.Array]
) -> Program:
  """Builds the program of a network that takes images."""
  size, skeleton = network.config.data.crop_size, network.skeleton

  def function(images):
    found = forward(images)
    return found[..., :3], found[..., 3:]

  def draw(count):
    rng = np.random.default_rng(count)
    return {'images': rng.uniform(0, 255, (count, size, size, 3)).astype('f')}

  notes = {
    'images': (
      f'[B, {size}, {size}, 3]: squares about one person each: red, green and'
      ' blue from 0 to 255.'
    ),
    'poses': poses_note(skeleton),
    'joints': (
      f'[B, {skeleton.num_joints}, 2]: the 2D joints, where -1 and 1 are the'
      ' edges of a square, x to the right and y down.'
    ),
  }
  shape = {'images': (size, size, 3)}
  return Program(function, shape, ('poses', 'joints'), notes, draw)
