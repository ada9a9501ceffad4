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
from semgcn_jax.errors import SettingError, UserError, listed
from semgcn_jax.filming.inputs import (
  derive_joints,
  filled,
  joints_of,
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
  read_arguments,
)
from semgcn_jax.lifting.bounds import bound
from semgcn_jax.lifting.folding import FoldedNorm, fold
from semgcn_jax.lifting.placing import height_factors, place_poses
from semgcn_jax.lifting.predictor import split
from semgcn_jax.models.build import build
from semgcn_jax.models.root_relative import expected_error, predict
from semgcn_jax.runs.checkpoints import Network, restore_network
from semgcn_jax.skeleton import H36M, mirror

_BATCH_SIZES = (1, 16, 256)


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
    if network.config.model.backbone:
      raise UserError(f'{name}: takes pictures; use `ImageLifter` for it')
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
    return joint_sets(self.model)

  def __call__(
    self,
    keypoints: ArrayLike,
    image_size: ArrayLike,
    joints: str = 'coco',
    **options: Any,
  ) -> np.ndarray:
    """Lifts keypoints to poses; see `lift` for the arguments.

    Returns:
      The poses, `[..., 16, 3]`, metres, the pelvis at the origin, in the camera
      frame (x right, y down, z forward).
    """
    return self.lift(keypoints, image_size, joints, **options).poses

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
      UserError: The keypoints cannot be what is asked for.
      SettingError: Another argument cannot.
    """
    if joints in JOINT_SETS and joints not in self.joint_sets:
      raise SettingError(
        f'`joints={joints}`: this network lifts {listed(self.joint_sets)}'
      )
    given = read_arguments(
      keypoints,
      image_size,
      joints,
      min_confidence=min_confidence,
      field_of_view=field_of_view,
      focal_length=focal_length,
      center=center,
    )
    if check:
      check_pixels(given.keypoints, given.image_size, joints)
    count = len(given.keypoints)
    points = np.zeros((count, len(NAMES), 3), np.float32)
    for index, name in enumerate(point_names(joints)):
      if name in NAMES:
        points[:, NAMES.index(name)] = given.keypoints[:, index]
    number = np.full(count, self.joint_sets.index(joints), np.int32)
    poses, errors = self._run(
      points, number, given.image_size, given.focal, given.center
    )
    found = given.keypoints[..., 2] > 0
    used = sorted({i for source in JOINT_SETS[joints].sources for i in source})
    missing = found.sum(axis=-1) < MIN_KEYPOINTS
    missing |= ~found[:, used].any(axis=-1)
    if height is not None:
      factors = height_factors(poses, height)
      poses, errors = poses * factors[:, None, None], errors * factors[:, None]
    poses[missing], errors[missing] = np.nan, np.nan
    return Lifted(
      poses.reshape(*given.leading, *poses.shape[1:]),
      errors.reshape(*given.leading, *errors.shape[1:]),
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
    min_confidence: float = 0.0,
    field_of_view: ArrayLike | None = None,
    focal_length: ArrayLike | None = None,
    center: ArrayLike | None = None,
  ) -> np.ndarray:
    """Finds where the pelvis of a pose is; see `placing.place_poses`.

    Args:
      pose: The poses, `[..., 16, 3]`, metres, as `lift` returns them.
      keypoints: The keypoints that they were lifted from; the other arguments
        are those of `lift`, too. The lens must be known.

    Returns:
      The places of the pelvis in the camera frame, `[..., 3]`, metres; NaN
      where they cannot be known.

    Raises:
      UserError: The keypoints or the poses cannot be what is asked for.
      SettingError: Another argument cannot, or the lens is not known.
    """
    if focal_length is None and field_of_view is None:
      raise SettingError('give `focal_length` or `field_of_view`, one of both')
    given = read_arguments(
      keypoints,
      image_size,
      joints,
      min_confidence=min_confidence,
      field_of_view=field_of_view,
      focal_length=focal_length,
      center=center,
    )
    try:
      poses = np.asarray(pose, float)
    except (TypeError, ValueError) as error:
      raise UserError(f'`pose`: is not an array ({error})') from error
    if poses.shape != (*given.leading, 16, 3):
      raise UserError(
        f'`pose`: has the shape {poses.shape}, not {(*given.leading, 16, 3)}'
      )
    seen = joints_of(given.keypoints, joints)
    places = place_poses(
      poses.reshape(-1, 16, 3), seen, given.focal, given.center
    )
    return places.reshape(*given.leading, 3)


def joint_sets(model: ModelConfig) -> tuple[str, ...]:
  """Lists the joint sets that a network lifts."""
  if not model.input_joints:
    return tuple(JOINT_SETS)
  exact = ('h36m_17', 'h36m_32') if 'h36m' in model.input_joints else ()
  return (*model.input_joints, *exact)


def input_index(model: ModelConfig, joint_set: str) -> int:
  """Finds what a network with `input_joints` knows a joint set as.

  Returns:
    The index in `input_joints`; all of Human3.6M's own sets have the same.
  """
  known = model.input_joints
  return known.index(joint_set if joint_set in known else 'h36m')


def _make_program(
  model: ModelConfig, variables: dict[str, Any], *, flip_test: bool
) -> Callable[..., tuple[jax.Array, jax.Array]]:
  """Makes the function of a batch that lifts points of any joint sets.

  Its arguments are the points `[B, P, 3]`, the joint sets `[B]`, the image
  sizes `[B, 2]`, the focal lengths `[B]` (0 where not known) and the principal
  points `[B, 2]`. It returns poses, `[B, 16, 3]`, and errors, `[B, 16]`.
  """
  names = joint_sets(model)
  table = source_table(names, NAMES)
  numbers = [input_index(model, n) for n in names if model.input_joints]
  lift = make_lift(model, variables, flip_test=flip_test)

  def program(points, joint_set, image_size, focal, center):
    keypoints = derive_joints(points, jnp.asarray(table)[joint_set])
    if model.input_joints:
      joint_set = jnp.array(numbers)[joint_set]
    return lift(keypoints, joint_set, image_size, focal, center)

  return program


def make_lift(
  model: ModelConfig, variables: dict[str, Any], *, flip_test: bool
) -> Callable[..., tuple[jax.Array, jax.Array]]:
  """Makes the pure function of a batch that lifts the joints of `H36M`.

  Its arguments are those of `filming.inputs.make_inputs`: keypoints
  `[B, 16, 3]`, as `derive_joints` makes them, the indices of their joint sets
  in `input_joints` `[B]`, the image sizes `[B, 2]`, pixels, the focal lengths
  `[B]`, pixels, 0 where not known, and the principal points `[B, 2]`, pixels.
  It returns poses, `[B, 16, 3]`, metres, and errors, `[B, 16]`, metres.

  Args:
    model: The settings of the network.
    variables: The params and batch_stats of the network.
    flip_test: Whether to average with the prediction for the mirrored input.
  """
  network = functools.partial(
    build(model, H36M, norm=FoldedNorm, dtype=jnp.float32).apply,
    jax.device_get(fold(variables)),
  )

  def lift(keypoints, joint_set, image_size, focal, center):
    with jax.default_matmul_precision('highest'):
      if model.input_joints:
        inputs, rotation = make_inputs(
          keypoints, joint_set, image_size, focal, center, model
        )
      else:
        half = image_size[:, None, :1] / 2
        inputs = (filled(keypoints) - image_size[:, None] / 2) / half
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

  return lift
