"""Builds the programs of lifters: of single frames, of clips, and of streams.

Each takes the keypoints of one joint set, and computes what a `Lifter` does.
"""

import dataclasses
import functools
import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.errors import SettingError, listed
from semgcn_jax.export.program import Program, poses_note
from semgcn_jax.geometry.joint_sets import (
  MIN_KEYPOINTS,
  default_joint_set,
  derive_joints,
  joint_sets_of,
  source_table,
)
from semgcn_jax.geometry.skeletons import JointSet, Skeleton
from semgcn_jax.inference.mirroring import (
  is_mirrored,
  is_on_the_left,
  mirror_points,
  mirror_poses,
)
from semgcn_jax.inference.networks import trained_function
from semgcn_jax.inference.programs import (
  input_index,
  joint_sets,
  make_lift,
  make_stream_program,
)
from semgcn_jax.models.inputs import held, hold_lost, shows_enough
from semgcn_jax.runs.networks import Network
from semgcn_jax.simulation.points import Points, points_of

Array = jax.Array

_ABOUT_LIFTED = {
  'image_size': '[B, 2]: width and height of the image in pixels.',
  'focal_length': '[B]: the focal length in pixels; 0 where it is unknown.',
  'center': (
    '[B, 2]: the principal point in pixels; half of image_size, if no other is'
    ' known.'
  ),
}


@dataclasses.dataclass(frozen=True)
class _Lifting:
  """What the programs of a lifter share.

  Attributes:
    network: The network.
    variables: Its params and batch_stats.
    joint_set: The joint set of the keypoints.
  """

  network: Network
  variables: dict[str, Any]
  joint_set: str

  @property
  def skeleton(self) -> Skeleton:
    """The skeleton of the poses."""
    return self.network.skeleton

  @property
  def of(self) -> Points:
    """What its points are."""
    return points_of(self.skeleton)

  @property
  def marked(self) -> JointSet:
    """The joint set."""
    return joint_sets_of(self.skeleton)[self.joint_set]

  @property
  def lift(self) -> Callable[..., tuple[Array, Array]]:
    """The function of points, `[..., P, 3]`, and their cameras."""
    config = self.network.config
    trained = trained_function(config, self.skeleton, self.variables)
    lift = make_lift(trained, config.model, self.skeleton)
    index = input_index(config.model, self.joint_set, self.skeleton)

    def of_points(points, *cameras_and_length):
      indices = jnp.full(points.shape[:-2], index)
      return lift(self.joints(points), indices, *cameras_and_length)

    return of_points

  @property
  def mirrors(self) -> bool:
    """Whether one of a clip and its mirror image is lifted."""
    return is_mirrored(self.network.config)

  def found(self, keypoints: Array) -> Array:
    """Masks the keypoints `[..., K, 3]` that were found, `[..., K]`."""
    return jnp.isfinite(keypoints).all(axis=-1) & (keypoints[..., 2] > 0)

  def points(self, keypoints: Array) -> Array:
    """Puts keypoints `[..., K, 3]` in the order of `of`, `[..., P, 3]`."""
    there = self.found(keypoints)[..., None]
    kept = jnp.where(there, jnp.clip(keypoints, -1e7, 1e7), 0.0)
    own, every = self.marked.points, self.of.names
    rows = np.array([own.index(n) if n in own else len(own) for n in every])
    nothing = jnp.zeros_like(kept[..., :1, :])
    return jnp.concatenate([kept, nothing], axis=-2)[..., rows, :]

  def joints(self, points: Array) -> Array:
    """Derives the skeleton's keypoints, `[..., J, 3]`, from `[..., P, 3]`."""
    (sources,) = source_table([self.marked], self.of.names)
    return derive_joints(points, jnp.asarray(sources))

  def mirrored_back(
    self, turned: Array, poses: Array, errors: Array
  ) -> tuple[Array, Array]:
    """Mirrors poses `[..., J, 3]` and errors where `[...]` says so."""
    others = mirror_poses(poses, errors, self.skeleton)
    return (
      jnp.where(turned[..., None, None], others[0], poses),
      jnp.where(turned[..., None], others[1], errors),
    )

  def program(
    self,
    function: Callable[..., tuple[Array, ...]],
    more: dict[str, tuple[int, ...]],
    notes: dict[str, str],
    draw: Callable[[int], dict[str, np.ndarray]],
    frames: tuple[int, ...] = (),
  ) -> Program:
    """Describes a program.

    Args:
      function: The function.
      more: {name of another input: its shape}. A `state` is also an output,
        `next_state`.
      notes: {name: text} of what differs.
      draw: See `Program`.
      frames: The frames of a clip, `(T,)`; () for single frames.
    """
    known, skeleton = self.marked, self.skeleton
    dims = ', '.join(['B', *map(str, frames)])
    inputs = {
      'keypoints': (*frames, known.num_joints, 3),
      'image_size': (2,),
      'focal_length': (),
      'center': (2,),
    }
    about = {
      'joint_set': self.joint_set,
      'keypoint_names': json.dumps(known.names),
      'keypoints': (
        f'[{dims}, {known.num_joints}, 3]: x and y in pixels, and the'
        ' confidence from 0 to 1. A keypoint was not found where that is 0, or'
        ' a number is NaN.'
      ),
      'poses': poses_note(skeleton, dims),
      'errors': (
        f'[{dims}, {skeleton.num_joints}]: the expected error of each joint in'
        ' metres; NaN where the network does not tell.'
      ),
    }
    about |= _ABOUT_LIFTED
    for name, text in notes.items():
      about[name] = f'{about[name]} {text}' if name in about else text
    outputs = ('poses', 'errors', *(['next_state'] if 'state' in more else []))
    return Program(
      *(function, inputs | more, outputs, about, draw),
      frames=frames[0] if frames else 1,
    )


def lifter_program(
  network: Network,
  variables: dict[str, Any],
  joint_set: str | None = None,
  frames: int | None = None,
) -> Program:
  """Builds the program of a network that lifts keypoints of any camera.

  Args:
    network: The network; one that sees time gives the program of clips, or of
      streams if it is causal.
    variables: Its params and batch_stats.
    joint_set: The joint set that it takes; None takes the default.
    frames: For a network that sees time, the frames of each clip; None makes
      the program of a stream.

  Raises:
    SettingError: The network does not lift the joint set, or not frame by
      frame.
  """
  model = network.config.model
  known = joint_sets(model, network.skeleton)
  joint_set = joint_set or default_joint_set(network.skeleton, known)
  if joint_set not in known:
    known = listed(known)
    raise SettingError(f'`joint_set={joint_set}`: this network lifts {known}')
  lifting = _Lifting(network, variables, joint_set)
  if not model.is_temporal:
    return _frame_program(lifting)
  return _clip_program(lifting, frames) if frames else _stream_program(lifting)


def _frame_program(lifting: _Lifting) -> Program:
  """Builds the program of single frames."""
  lift, used = lifting.lift, lifting.marked.used

  def function(keypoints, image_size, focal_length, center):
    found = lifting.found(keypoints)
    poses, errors = lift(
      lifting.points(keypoints), image_size, _known(focal_length), center
    )
    unused = ~found[:, np.array(used)].any(axis=-1)
    missing = (found.sum(axis=-1) < MIN_KEYPOINTS) | unused
    return _without(missing, poses, errors)

  note = f'A pose is NaN where fewer than {MIN_KEYPOINTS} keypoints were found.'
  return lifting.program(
    function,
    {},
    {'poses': note},
    functools.partial(_draw, lifting.marked),
  )


def _clip_program(lifting: _Lifting, frames: int) -> Program:
  """Builds the program of clips of up to `frames` frames."""
  lift, rate = lifting.lift, lifting.network.config.model.frame_rate

  def function(keypoints, image_size, focal_length, center, length):
    points, row = lifting.points(keypoints), jnp.arange(frames)
    length = jnp.clip(length, 0, frames).astype(jnp.int32)[:, None]
    enough = shows_enough(lifting.joints(points)) & (row < length)
    # A clip starts with the first frame that shows enough.
    first = jnp.argmax(enough, axis=1, keepdims=True)
    later = jnp.minimum(row + first, frames - 1)
    points, shown = (
      jnp.take_along_axis(points, later[..., None, None], axis=1),
      jnp.take_along_axis(enough, later, axis=1) & (row + first < length),
    )
    points = hold_lost(points, shown)
    turned = jnp.zeros_like(first[:, 0], bool)
    if lifting.mirrors:
      turned = is_on_the_left(points[:, 0], center, lifting.of)
      mirrored = mirror_points(points, center[:, None], lifting.of)
      points = jnp.where(turned[:, None, None, None], mirrored, points)

    def each(values):
      shape = (points.shape[0], frames, *values.shape[1:])
      return jnp.broadcast_to(values[:, None], shape)

    poses, errors = lift(
      points,
      *map(each, (image_size, _known(focal_length), center)),
      (length - first)[:, 0],
    )
    poses, errors = lifting.mirrored_back(turned[:, None], poses, errors)
    earlier = jnp.maximum(row - first, 0)
    poses = jnp.take_along_axis(poses, earlier[..., None, None], axis=1)
    errors = jnp.take_along_axis(errors, earlier[..., None], axis=1)
    missing = (row < first) | (row >= length) | ~enough.any(axis=1)[:, None]
    return _without(missing, poses, errors)

  def draw(count):
    rng = np.random.default_rng(count)
    arrays = _draw(lifting.marked, count, frames)
    length = rng.integers(1, frames + 1, count)
    return arrays | {'length': length.astype(np.float32)}

  notes = {
    'frame_rate': f'{rate:g}',
    'length': (
      f'[B]: the number of frames of each clip, up to {frames}; what follows in'
      ' the arrays is ignored.'
    ),
    'keypoints': f'The frames are {rate:g} a second.',
    'poses': (
      'Those before the first frame with enough keypoints, and after the last'
      ' frame, are NaN.'
    ),
  }
  return lifting.program(function, {'length': ()}, notes, draw, (frames,))


def _stream_program(lifting: _Lifting) -> Program:
  """Builds the program of the next frame of streams, with their states.

  A state holds the caches of the network, the last points with enough of the
  person, and a sign: 0 before the first of them, -1 if they are mirrored.
  """
  config = lifting.network.config
  if not config.model.causal:
    raise SettingError(
      '`frames`: this network also needs later frames; give the number of'
      ' frames of a clip'
    )
  advance, zeros = make_stream_program(
    config.model,
    lifting.variables,
    lifting.skeleton,
    flip_test=config.evaluation.flip_test,
  )
  leaves, structure = jax.tree.flatten(zeros)
  ends = np.cumsum(
    [1, 3 * len(lifting.of.names), *(leaf.size for leaf in leaves)]
  )
  known = joint_sets(config.model, lifting.skeleton)
  number = known.index(lifting.joint_set)

  def one(keypoints, image_size, focal_length, center, state):
    sign, last, *caches = jnp.split(state, ends[:-1])
    cache = structure.unflatten(
      own.reshape(leaf.shape).astype(leaf.dtype)
      for own, leaf in zip(caches, leaves, strict=True)
    )
    points = lifting.points(keypoints)
    enough = shows_enough(lifting.joints(points))
    left = jnp.array(False)
    if lifting.mirrors:
      left = is_on_the_left(points, center, lifting.of)
    starts = jnp.where(left, -1.0, 1.0)
    sign = jnp.where((sign[0] == 0) & enough, starts, sign[0])
    mirrored = mirror_points(points, center, lifting.of)
    points = jnp.where(sign < 0, mirrored, points)
    last = last.reshape(points.shape)
    points = jnp.where(enough, points, held(last))
    cache, poses, errors = advance(
      cache,
      *(points[None, None], jnp.full((1, 1), number)),
      *(image_size[None, None], _known(focal_length)[None, None]),
      center[None, None],
    )
    poses, errors = lifting.mirrored_back(sign < 0, poses[0, 0], errors[0, 0])
    last = jnp.where(enough, points, last)
    arrays = [sign, last, *jax.tree.leaves(cache)]
    after = [array.reshape(-1).astype(state.dtype) for array in arrays]
    after = jnp.where(sign == 0, state, jnp.concatenate(after))
    return *_without(sign == 0, poses, errors), after

  function, size = jax.vmap(one), int(ends[-1])
  draw = functools.partial(_draw_state, function, lifting.marked, size)
  notes = _stream_notes(config.model.frame_rate, size)
  return lifting.program(function, {'state': (size,)}, notes, draw)


def _draw_state(
  function: Callable[..., Any], joint_set: JointSet, size: int, count: int
) -> dict[str, np.ndarray]:
  """Draws keypoints as `_draw`, and the states `[B, size]` after two frames."""
  arrays = _draw(joint_set, count)
  state = np.zeros((count, size), np.float32)
  for _ in range(2):
    *_, state = jax.jit(function)(*arrays.values(), state)
  return arrays | {'state': np.asarray(state)}


def _stream_notes(rate: float, size: int) -> dict[str, str]:
  """Describes the arrays of a stream whose state is `[size]`."""
  return {
    'frame_rate': f'{rate:g}',
    'keypoints': f'The frames come at {rate:g} a second.',
    'state': (
      f'[B, {size}]: what is remembered of earlier frames; zeros before the'
      ' first frame.'
    ),
    'next_state': f'[B, {size}]: the state for the next frame.',
    'poses': 'They are NaN before the first frame with enough keypoints.',
  }


def _known(focal: Array) -> Array:
  """Replaces focal lengths that are no numbers by 0, for unknown."""
  return jnp.where(jnp.isfinite(focal), focal, 0)


def _without(
  missing: Array, poses: Array, errors: Array
) -> tuple[Array, Array]:
  """Makes NaN of the poses `[..., J, 3]` and errors where `[...]` says so."""
  return (
    jnp.where(missing[..., None, None], jnp.nan, poses),
    jnp.where(missing[..., None], jnp.nan, errors),
  )


def _draw(
  joint_set: JointSet, poses: int, *frames: int
) -> dict[str, np.ndarray]:
  """Draws keypoints, `[B, *frames, K, 3]`, and their cameras."""
  rng = np.random.default_rng(poses)
  count = joint_set.num_joints
  size = rng.uniform(400, 2000, (poses, 2))
  each = (poses, *(1 for _ in frames), 1)
  middle = rng.uniform(0.3, 0.7, (*each, 2)) * size.reshape(*each, 2)
  spread = rng.uniform(0.05, 0.3, (*each, 1)) * size.max()
  points = middle + spread * rng.normal(size=(poses, *frames, count, 2))
  confidence = rng.uniform(0.2, 1, (*points.shape[:-1], 1))
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
