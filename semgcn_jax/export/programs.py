"""Turns a trained network into a single function, to export it.

The inputs and outputs are named; exported files contain their descriptions.
"""

import dataclasses
import functools
import json
from collections.abc import Callable
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from semgcn_jax import __version__
from semgcn_jax.errors import SettingError, UserError, listed
from semgcn_jax.geometry.joint_sets import (
  JOINT_SETS,
  MIN_KEYPOINTS,
  derive_joints,
  source_table,
)
from semgcn_jax.geometry.skeletons import H36M, Skeleton
from semgcn_jax.inference.networks import require_task, trained_function
from semgcn_jax.inference.programs import input_index, joint_sets, make_lift
from semgcn_jax.runs.checkpoints import Network

MAX_DIFFERENCE = 1e-4  # Between the poses of a file and of JAX, metres.
CHECKED_SIZES = (1, 7, 64)  # The batch sizes that files are checked with.


@dataclasses.dataclass(frozen=True)
class Program:
  """A network as a function of a batch of B poses.

  Attributes:
    function: A function from input arrays to output arrays.
    inputs: {name of an input: its shape without B}; all are float32.
    outputs: The names of the outputs.
    notes: {key: text} about the network and its arrays.
    draw: Draws random inputs for a given batch size.
  """

  function: Callable[..., tuple[jax.Array, ...]]
  inputs: dict[str, tuple[int, ...]]
  outputs: tuple[str, ...]
  notes: dict[str, str]
  draw: Callable[[int], dict[str, np.ndarray]]

  def abstract_inputs(self) -> list[jax.ShapeDtypeStruct]:
    """Returns abstract inputs with a symbolic dimension B."""
    scope = jax.export.SymbolicScope()
    (batch,) = jax.export.symbolic_shape('B', scope=scope)
    return [
      jax.ShapeDtypeStruct((batch, *shape), jnp.float32)
      for shape in self.inputs.values()
    ]


def make_program(
  network: Network,
  seed: int | None = None,
  joint_set: str | None = None,
  licence: str = '',
) -> Program:
  """Builds the program of a network.

  It does what a `Lifter` does for one joint set if the network has
  `input_joints`, an `ImageLifter` if it takes images, or else a `Predictor`.

  Args:
    network: The trained network.
    seed: The seed of a run with several; None selects the first.
    joint_set: The joint set that a lifter takes; None selects `coco`.
    licence: The license of the weights, to note in the file.

  Raises:
    UserError: The predictions have no scale of their own or are not trained, or
      a lifter has a skeleton other than Human3.6M's.
    SettingError: There is no such seed or joint set.
  """
  if network.config.model.task == 'clips':
    raise UserError(
      '`output`: a network over time cannot be exported as a program; name a'
      ' folder for its weights'
    )
  require_task(network.config, 'frames', 'pictures')
  variables = network.of_seed(seed)
  function = trained_function(network.config, network.skeleton, variables)
  model = network.config.model
  if model.task == 'pictures' and joint_set is None:
    program = _image_program(network, function)
  elif model.input_joints:
    program = _lifter_program(network, function, joint_set or 'coco')
  elif joint_set is not None:
    raise SettingError(
      f'`joint_set={joint_set}`: the network takes only the 2D joints of its'
      ' own skeleton; leave it out'
    )
  else:
    program = _predictor_program(network, function)
  about = {
    'program': f'semgcn_jax {__version__}',
    'joints': json.dumps(network.skeleton.joints),
    'parents': json.dumps(network.skeleton.parents),
  }
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
    'poses': _poses_note(skeleton)
    + ' A pose is NaN where one of its inputs is not finite.',
  }
  return Program(function, {'inputs': shape}, ('poses',), notes, draw)


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
    'poses': _poses_note(skeleton),
    'joints': (
      f'[B, {skeleton.num_joints}, 2]: the 2D joints, where -1 and 1 are the'
      ' edges of a square, x to the right and y down.'
    ),
  }
  shape = {'images': (size, size, 3)}
  return Program(function, shape, ('poses', 'joints'), notes, draw)


def _poses_note(skeleton: Skeleton) -> str:
  return (
    f'[B, {skeleton.num_joints}, 3]: the joints in metres, with'
    f' {skeleton.joints[skeleton.root]} at the origin, in the frame of the'
    ' camera: x to the right, y down, z forward.'
  )


def _lifter_program(
  network: Network, forward: Callable[..., jax.Array], joint_set: str
) -> Program:
  """Builds the program of a network that lifts keypoints of any camera."""
  model, known = network.config.model, joint_sets(network.config.model)
  if network.skeleton != H36M:
    raise UserError(
      'the network has another skeleton; keypoints are lifted to h36m only'
    )
  if joint_set not in known:
    raise SettingError(
      f'`joint_set={joint_set}`: this network lifts {listed(known)}'
    )
  lift = make_lift(forward, model)
  known_set = JOINT_SETS[joint_set]
  (sources,) = source_table([joint_set], known_set.points)
  count = known_set.num_joints

  def function(keypoints, image_size, focal_length, center):
    found = jnp.isfinite(keypoints).all(axis=-1) & (keypoints[..., 2] > 0)
    keypoints = jnp.where(found[..., None], jnp.clip(keypoints, -1e7, 1e7), 0.0)
    index = jnp.full(focal_length.shape, input_index(model, joint_set))
    poses, errors = lift(
      derive_joints(keypoints, jnp.asarray(sources)),
      index,
      image_size,
      jnp.where(jnp.isfinite(focal_length), focal_length, 0),
      center,
    )
    unused = ~found[:, np.array(known_set.used)].any(axis=-1)
    missing = ((found.sum(axis=-1) < MIN_KEYPOINTS) | unused)[:, None]
    return (
      jnp.where(missing[..., None], jnp.nan, poses),
      jnp.where(missing, jnp.nan, errors),
    )

  inputs = {'keypoints': (count, 3), 'image_size': (2,)}
  inputs |= {'focal_length': (), 'center': (2,)}
  draw = functools.partial(_draw_keypoints, count)
  notes = _lifter_notes(joint_set)
  return Program(function, inputs, ('poses', 'errors'), notes, draw)


def _lifter_notes(joint_set: str) -> dict[str, str]:
  """Describes the inputs and outputs of a lifter for this joint set."""
  known = JOINT_SETS[joint_set]
  return {
    'joint_set': joint_set,
    'keypoint_names': json.dumps(known.names),
    'keypoints': (
      f'[B, {known.num_joints}, 3]: x and y in pixels, and the confidence from'
      ' 0 to 1. A keypoint was not found where that is 0, or a number is NaN.'
    ),
    'image_size': '[B, 2]: width and height of the image in pixels.',
    'focal_length': '[B]: the focal length in pixels; 0 where it is unknown.',
    'center': (
      '[B, 2]: the principal point in pixels; half of image_size, if no other'
      ' is known.'
    ),
    'poses': _poses_note(H36M)
    + f' A pose is NaN where fewer than {MIN_KEYPOINTS} keypoints were found.',
    'errors': (
      '[B, 16]: the expected error of each joint in metres; NaN where the'
      ' network does not tell.'
    ),
  }


def _draw_keypoints(count: int, poses: int) -> dict[str, np.ndarray]:
  """Draws the inputs of a lifter of `count` keypoints, with random cameras."""
  rng = np.random.default_rng(poses)
  size = rng.uniform(400, 2000, (poses, 2))
  middle = rng.uniform(0.3, 0.7, (poses, 1, 2)) * size[:, None]
  spread = rng.uniform(0.05, 0.3, (poses, 1, 1)) * size.max()
  points = middle + spread * rng.normal(size=(poses, count, 2))
  confidence = rng.uniform(0.2, 1, (poses, count, 1))
  confidence *= rng.uniform(size=confidence.shape) > 0.2
  focal = size.max(axis=1) * rng.uniform(0.6, 2, poses)
  known = rng.uniform(size=poses) > 0.5
  shift = rng.uniform(-0.05, 0.05, (poses, 2)) * size
  arrays = {
    'keypoints': np.concatenate([points, confidence], axis=-1),
    'image_size': size,
    'focal_length': focal * known,
    'center': size / 2 + shift * known[:, None],
  }
  return {name: array.astype(np.float32) for name, array in arrays.items()}


def largest_difference(
  program: Program, call: Callable[..., Any], sizes=CHECKED_SIZES
) -> float:
  """Compares the outputs of an exported file with those of its program.

  Args:
    program: The program.
    call: Runs the file on the input arrays, in order.
    sizes: The batch sizes to compare.

  Returns:
    The largest difference of all outputs, metres; infinite if only one of the
    two is finite, or shapes differ.
  """
  function, largest = jax.jit(program.function), 0.0
  for size in sizes:
    arrays = list(program.draw(size).values())
    for own, wanted in zip(call(*arrays), function(*arrays), strict=True):
      own, wanted = np.asarray(own), np.asarray(wanted)
      if own.shape != wanted.shape or (np.isnan(own) != np.isnan(wanted)).any():
        return float('inf')
      both = np.isfinite(own) & np.isfinite(wanted)
      largest = max(largest, np.abs(own - wanted).max(where=both, initial=0))
  return float(largest)


def check_difference(difference: float, path: Any, program: str) -> None:
  """Raises a UserError if a file does not compute what JAX computes.

  Args:
    difference: The result of `largest_difference`, metres.
    path: The file, which is not written yet.
    program: The name of the program that ran it, for the message.
  """
  if not difference <= MAX_DIFFERENCE:
    raise UserError(
      f'{path}: not written, as {program} computes poses that differ from'
      f" JAX's by up to {difference:.2g} m; update {program} and JAX"
    )
