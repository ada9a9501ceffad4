"""The Lifter: from the keypoints of any detector and camera to poses in 3D."""

import dataclasses
import functools
import logging
import pathlib
from collections.abc import Callable
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from semgcn_jax.config import ModelConfig
from semgcn_jax.errors import UserError, choose, listed
from semgcn_jax.filming.inputs import (
  derive_joints,
  make_inputs,
  mirror_inputs,
  point_names,
  source_table,
)
from semgcn_jax.filming.points import NAMES
from semgcn_jax.filming.rotations import rotate
from semgcn_jax.joint_sets import JOINT_SETS
from semgcn_jax.lifting.arguments import (
  MIN_KEYPOINTS,
  check_pixels,
  focal_lengths,
  for_each,
  read_keypoints,
)
from semgcn_jax.lifting.bounds import bound
from semgcn_jax.lifting.folding import FoldedNorm, fold
from semgcn_jax.lifting.predictor import split
from semgcn_jax.models.build import build
from semgcn_jax.models.root_relative import expected_error, predict
from semgcn_jax.runs.checkpoints import Network, restore_network
from semgcn_jax.skeleton import H36M, bone_vectors, mirror

_BATCH_SIZES = (1, 16, 256)
# The bones that make up a standing person's height, by their child: the mean of
# both legs, and the trunk. What is below the ankles is missing, in metres.
_UPRIGHT = {'RKnee': 0.5, 'RAnkle': 0.5, 'LKnee': 0.5, 'LAnkle': 0.5}
_UPRIGHT |= {'Spine': 1.0, 'Thorax': 1.0, 'Head': 1.0}
_BELOW_ANKLES = 0.08


@dataclasses.dataclass(frozen=True)
class Lifted:
  """Poses, and what is known about them.

  Attributes:
    poses: The poses, `[..., 16, 3]`, metres, the pelvis at the origin, in the
      camera frame (x right, y down, z forward); NaN where fewer than four
      keypoints were found.
    errors: The expected error of each joint, `[..., 16]`, metres; NaN where
      the network does not tell.
    num_missing: How many poses are NaN.
  """

  poses: np.ndarray
  errors: np.ndarray
  num_missing: int


@dataclasses.dataclass(frozen=True)
class Lifter:
  """Lifts keypoints; each pose by itself.

  Attributes:
    model: The settings of its network.
    program: The compiled function of the points, joint set, image size, focal
      length and principal point of each pose; see `_make_program`.
  """

  model: ModelConfig
  program: Callable[..., Any]

  @classmethod
  def load(
    cls,
    checkpoint: str | pathlib.Path = 'cmu',
    which: str = 'best',
    *,
    seed: int | None = None,
  ) -> Self:
    """Loads weights.

    Args:
      checkpoint: The name of weights in the box, or the folder of a run.
      which: For a run, 'best', 'last' or the number of an epoch.
      seed: The seed to take from a run with several; None takes the first.

    Raises:
      UserError: There is no such run or checkpoint, it is damaged, or of
        another skeleton than Human3.6M's.
      SettingError: There is no such checkpoint or seed.
    """
    network = restore_network(checkpoint, which)
    return cls.of(network, seed, str(checkpoint))

  @classmethod
  def of(
    cls, network: Network, seed: int | None = None, name: str = 'the network'
  ) -> Self:
    """Makes the lifter of a network; see `load`."""
    if network.skeleton != H36M:
      raise UserError(
        f'{name}: is of another skeleton; keypoints are lifted to `h36m` alone'
      )
    if network.config.calibrates:
      raise UserError(f'{name}: its predictions have no scale of their own')
    if not network.config.model.input_joints:
      logging.getLogger('semgcn_jax').warning(
        '%s: knows only the cameras that it was trained with; for any other'
        ' train with `recipe=wild`',
        name,
      )
    variables = jax.device_get(network.of_seed(seed))
    model = network.config.model
    flip_test = network.config.evaluation.flip_test
    program = _make_program(model, variables, flip_test=flip_test)
    return cls(model, jax.jit(program))

  @property
  def joint_sets(self) -> tuple[str, ...]:
    """The joint sets that can be lifted."""
    return _joint_sets(self.model)

  def __call__(
    self, keypoints: ArrayLike, image_size: ArrayLike, **options: Any
  ) -> np.ndarray:
    """Lifts keypoints to poses; see `lift` for the arguments.

    Returns:
      The poses, `[..., 16, 3]`, metres, the pelvis at the origin, in the camera
      frame (x right, y down, z forward).
    """
    return self.lift(keypoints, image_size, **options).poses

  def lift(
    self,
    keypoints: ArrayLike,
    image_size: ArrayLike,
    joints: str = 'coco',
    *,
    min_confidence: float = 0.0,
    field_of_view: ArrayLike | None = None,
    focal_length: ArrayLike | None = None,
    center: ArrayLike | None = None,
    height: float | None = None,
    check: bool = True,
  ) -> Lifted:
    """Lifts keypoints to poses, and tells how good they are.

    Args:
      keypoints: `[..., J, 2]`, pixels, or `[..., J, 3]` with the confidence; a
        keypoint is not found where that is 0, or one of its numbers is NaN.
      image_size: The width and height of the image in pixels, `[2]`, or of the
        image of each pose, `[..., 2]`.
      joints: The joint set, a key of `JOINT_SETS`.
      min_confidence: Keypoints of a lower confidence count as not found.
      field_of_view: The field of view of the longer side, degrees, if known; a
        number, or one for each pose.
      focal_length: The focal length in pixels, if known, instead.
      center: The principal point in pixels, if it is known not to be the middle
        of the image.
      height: The person's height in metres, if known, for the scale.
      check: Whether to refuse what is probably a mistake: a crowd upside down,
        coordinates that are not pixels or far outside of the image.

    Raises:
      UserError: The keypoints or another argument cannot be what is asked for.
    """
    named = choose('joints', joints, JOINT_SETS)
    if joints not in self.joint_sets:
      raise UserError(
        f'`joints={joints}`: this network lifts {listed(self.joint_sets)}'
      )
    found = read_keypoints(keypoints, joints, named.num_joints, min_confidence)
    leading = found.shape[:-2]
    found = found.reshape(-1, *found.shape[-2:])
    size = for_each(image_size, 'image_size', leading, 2)
    if not (np.isfinite(size) & (size > 0)).all():
      raise UserError('`image_size`: give width and height in pixels, above 0')
    if check:
      check_pixels(found, size, joints)
    focal = focal_lengths(focal_length, field_of_view, size, leading)
    middle = (
      size / 2 if center is None else for_each(center, 'center', leading, 2)
    )
    if not np.isfinite(middle).all():
      raise UserError('`center`: must be finite numbers')
    points = np.zeros((len(found), len(NAMES), 3), np.float32)
    for index, name in enumerate(point_names(joints)):
      if name in NAMES:
        points[:, NAMES.index(name)] = found[:, index]
    number = self.joint_sets.index(joints)
    poses, errors = self._run(
      points, np.full(len(points), number, np.int32), size, focal, middle
    )
    missing = (found[..., 2] > 0).sum(axis=-1) < MIN_KEYPOINTS
    if height is not None:
      poses = _scale(poses, height)
    poses[missing], errors[missing] = np.nan, np.nan
    return Lifted(
      poses.reshape(*leading, *poses.shape[1:]),
      errors.reshape(*leading, *errors.shape[1:]),
      int(missing.sum()),
    )

  def _run(self, *arrays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Runs the program on batches of a few sizes, whatever the number."""
    parts, start, count = [], 0, len(arrays[0])
    for size in split(count, _BATCH_SIZES) if count else ():
      part = [array[start : start + size] for array in arrays]
      rows = len(part[0])
      if rows < size:
        part = [np.resize(array, (size, *array.shape[1:])) for array in part]
      result = jax.device_get(self.program(*part))
      parts.append([array[:rows] for array in result])
      start += size
    if not parts:
      return np.zeros((0, 16, 3), np.float32), np.zeros((0, 16), np.float32)
    poses, errors = (np.concatenate(p) for p in zip(*parts, strict=True))
    return poses, errors

  def place(
    self,
    pose: ArrayLike,
    keypoints: ArrayLike,
    image_size: ArrayLike,
    joints: str = 'coco',
    *,
    field_of_view: ArrayLike | None = None,
    focal_length: ArrayLike | None = None,
    center: ArrayLike | None = None,
  ) -> np.ndarray:
    """Finds where the pelvis of a pose is, by least squares in the image.

    Args:
      pose: The poses, `[..., 16, 3]`, metres, as `lift` returns them.
      keypoints: The keypoints that they were lifted from, and the other
        arguments of `lift`; the camera must be known.

    Returns:
      The places of the pelvis in the camera frame, `[..., 3]`, metres; NaN
      where the pose is.

    Raises:
      UserError: The lens is not known, or the shapes do not fit.
    """
    if (focal_length is None) == (field_of_view is None):
      raise UserError('give `focal_length` or `field_of_view`, one of the two')
    poses = np.asarray(pose, float)
    named = choose('joints', joints, JOINT_SETS)
    found = read_keypoints(keypoints, joints, named.num_joints, 0.0)
    leading = found.shape[:-2]
    if poses.shape != (*leading, 16, 3):
      raise UserError(
        f'`pose`: has the shape {poses.shape}, not {(*leading, 16, 3)}'
      )
    poses = poses.reshape(-1, 16, 3)
    found = found.reshape(-1, *found.shape[-2:])
    size = for_each(image_size, 'image_size', leading, 2)
    focal = focal_lengths(focal_length, field_of_view, size, leading)
    middle = (
      size / 2 if center is None else for_each(center, 'center', leading, 2)
    )
    names = point_names(joints)
    table = source_table([joints], names)
    joined = np.asarray(
      derive_joints(jnp.asarray(found, jnp.float32), jnp.asarray(table))
    )
    # (x + X) / (z + Z) = u for each joint is linear in X, Y and Z.
    u = (joined[..., :2] - middle[:, None]) / focal[:, None, None]
    weight = np.sqrt(joined[..., 2])
    zero, one = np.zeros_like(u[..., 0]), np.ones_like(u[..., 0])
    left = np.concatenate(
      [
        np.stack([one, zero, -u[..., 0]], axis=-1),
        np.stack([zero, one, -u[..., 1]], axis=-1),
      ],
      axis=1,
    )
    right = np.concatenate(
      [u[..., axis] * poses[..., 2] - poses[..., axis] for axis in (0, 1)],
      axis=1,
    )
    weight = np.concatenate([weight, weight], axis=1)
    left, right = left * weight[..., None], right * weight
    places = np.full((len(poses), 3), np.nan)
    for index in np.flatnonzero(np.isfinite(right).all(axis=1)):
      places[index] = np.linalg.lstsq(left[index], right[index], rcond=None)[0]
    return places.reshape(*leading, 3)


def _joint_sets(model: ModelConfig) -> tuple[str, ...]:
  """Lists the joint sets that a network lifts."""
  if not model.input_joints:
    return tuple(JOINT_SETS)
  exact = ('h36m_17', 'h36m_32') if 'h36m' in model.input_joints else ()
  return (*model.input_joints, *exact)


def _make_program(
  model: ModelConfig, variables: dict[str, Any], *, flip_test: bool
) -> Callable[..., tuple[jax.Array, jax.Array]]:
  """Makes the function of a batch that lifts it.

  Its arguments are the points `[B, P, 3]`, the joint sets `[B]`, the image
  sizes `[B, 2]`, the focal lengths `[B]` (0 where not known) and the principal
  points `[B, 2]`. It returns poses, `[B, 16, 3]`, and errors, `[B, 16]`.
  """
  names = _joint_sets(model)
  # All joints of Human3.6M's own sets are the same points.
  table = source_table(names, NAMES)
  same = np.array(
    [min(i, len(model.input_joints) - 1) for i in range(len(names))], np.int32
  )
  if 'h36m' in model.input_joints:
    same[len(model.input_joints) :] = model.input_joints.index('h36m')
  network = functools.partial(
    build(model, H36M, norm=FoldedNorm, dtype=jnp.float32).apply,
    jax.device_get(fold(variables)),
  )

  def program(points, joint_set, image_size, focal, center):
    with jax.default_matmul_precision('highest'):
      keypoints = derive_joints(points, jnp.asarray(table)[joint_set])
      if model.input_joints:
        inputs, rotation = make_inputs(
          keypoints,
          jnp.asarray(same)[joint_set],
          image_size,
          focal,
          center,
          model,
        )
      else:
        half = image_size[:, None, :1] / 2
        inputs = (keypoints[..., :2] - image_size[:, None] / 2) / half
        rotation = None
      predicted = predict(
        network,
        inputs,
        H36M,
        flip_test=flip_test,
        mirror_inputs=mirror_inputs if model.input_joints else mirror,
      )
      poses = predicted[..., :3]
      if rotation is not None:
        poses = rotate(rotation.swapaxes(1, 2), poses)
      errors = (
        expected_error(predicted)
        if model.expected_error
        else jnp.full(poses.shape[:-1], jnp.nan)
      )
      return bound(poses), errors

  return program


def _scale(poses: np.ndarray, height: float) -> np.ndarray:
  """Scales poses to a person's height in metres."""
  if not 0.3 < height < 3:
    raise UserError(f'`height={height}`: must be from 0.3 to 3 metres')
  lengths = np.linalg.norm(bone_vectors(poses, H36M), axis=-1)
  ends = [H36M.joints[child] for _, child in H36M.bones]
  weights = np.array([_UPRIGHT.get(joint, 0.0) for joint in ends])
  wanted = height - _BELOW_ANKLES
  return poses * (wanted / (lengths * weights).sum(axis=-1))[:, None, None]
