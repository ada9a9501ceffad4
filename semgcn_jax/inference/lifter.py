"""The Lifter: from the keypoints of any detector and camera to poses in 3D."""

import dataclasses
import functools
import logging
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, Self

import jax
import numpy as np
from numpy.typing import ArrayLike

from semgcn_jax.config import ModelConfig
from semgcn_jax.errors import SettingError, UserError, choose, listed
from semgcn_jax.geometry import rates
from semgcn_jax.geometry.joint_sets import JOINT_SETS, joints_of
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.inference import clips
from semgcn_jax.inference.arguments import (
  check_pixels,
  few_keypoints,
  place_points,
  read_arguments,
)
from semgcn_jax.inference.lifted import Lifted
from semgcn_jax.inference.networks import require_task, trained_function
from semgcn_jax.inference.placing import place_poses, to_height
from semgcn_jax.inference.programs import (
  joint_sets,
  make_program,
  make_stream_program,
)
from semgcn_jax.inference.stream import Stream
from semgcn_jax.models.batches import run_batches
from semgcn_jax.models.inputs import hold_lost
from semgcn_jax.runs.checkpoints import Network, restore_network

_BATCH_SIZES = (1, 16, 256)


@dataclasses.dataclass(frozen=True)
class Lifter:
  """Lifts keypoints: each pose by itself, or clips by a network that sees time.

  Attributes:
    model: The settings of its network.
    flip_test: Whether it averages with the prediction for the mirrored input.
    variables: The params and batch_stats of its network.
    program: The compiled function of the points, joint set, image size, focal
      length and principal point of each pose; see `make_program`.
  """

  model: ModelConfig
  flip_test: bool
  variables: dict[str, Any] = dataclasses.field(repr=False)
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
    require_task(network.config, 'frames', 'clips', name=name)
    if not network.config.model.input_joints:
      logging.getLogger('semgcn_jax').warning(
        '%s: knows only the cameras that it was trained with; for any other'
        ' train with `recipe=wild`',
        name,
      )
    variables = jax.device_get(network.of_seed(seed))
    model = network.config.model
    flip_test = network.config.evaluation.flip_test
    function = trained_function(network.config, H36M, variables)
    program = make_program(function, model)
    return cls(model, flip_test, variables, jax.jit(program))

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
    fps: float = rates.DEFAULT,
    check: bool = True,
  ) -> Lifted:
    """Lifts keypoints to poses, and tells how good they are.

    Args:
      keypoints: `[..., J, 2]`, pixels, or `[..., J, 3]` with the confidence; a
        keypoint is not found where that is 0, or one of its numbers is NaN. For
        a network that sees time these are clips, `[..., T, J, 2]` or
        `[..., T, J, 3]`, whose frames follow each other; a frame in which fewer
        than four joints are found gets a pose by those around it.
      image_size: The width and height of the image in pixels, `[2]`, or of the
        image of each pose, `[..., 2]`.
      joints: The joint set, a key of `JOINT_SETS`.
      min_confidence: Keypoints of a lower confidence count as not found.
      field_of_view: The field of view of the longer side, degrees, if known; a
        number, or one for each pose.
      focal_length: The focal length in pixels, if known, instead.
      center: The principal point in pixels, if it is known not to be the middle
        of the image.
      height: The person's height in metres, if known, for the scale; poses
        `[..., T, 16, 3]` are scaled as those of a person each.
      fps: The frames a second of clips; a network for single frames does not
        ask.
      check: Whether to refuse what is probably a mistake: a crowd upside down,
        coordinates that are not pixels or far outside of the image.

    Raises:
      UserError: The keypoints cannot be what is asked for.
      SettingError: Another argument cannot.
    """
    self._check_joints(joints)
    if self.model.is_temporal:
      rates.check_fps(fps)
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
    points = place_points(given.keypoints, joints)
    number = np.full(count, self.joint_sets.index(joints), np.int32)
    arrays = points, number, given.image_size, given.focal, given.center
    if self.model.is_temporal:
      seen = clips.enough(given.keypoints, joints)
      frames = given.leading[-1] if given.leading else 1
      poses, errors, missing = self._run_clips(arrays, seen, frames, fps)
    else:
      poses, errors = self._run(*arrays)
      missing = few_keypoints(given.keypoints, joints)
    poses[missing], errors[missing] = np.nan, np.nan
    poses = poses.reshape(*given.leading, *poses.shape[1:])
    errors = errors.reshape(*given.leading, *errors.shape[1:])
    if height is not None:
      poses, errors = to_height(poses, errors, height)
    return Lifted(poses, errors, int(missing.sum()))

  def stream(
    self,
    image_size: ArrayLike,
    joints: str = 'coco',
    *,
    fps: float = rates.DEFAULT,
    min_confidence: float = 0.0,
    field_of_view: float | None = None,
    focal_length: float | None = None,
    center: ArrayLike | None = None,
    check: bool = True,
  ) -> Stream:
    """Starts to lift a live stream, frame by frame.

    The poses are those that `lift`, which says what the arguments are, gives
    for the whole clip. Start another stream for another person.

    Raises:
      SettingError: The network is not causal, or an argument is wrong.
    """
    if not (self.model.is_temporal and self.model.causal):
      raise SettingError(
        'this network needs later frames, too; for a stream train one with'
        ' `model=semgcn_temporal` and `causal`'
      )
    choose('joints', joints, JOINT_SETS)
    self._check_joints(joints)
    rates.check_fps(fps)
    read = functools.partial(
      read_arguments,
      image_size=image_size,
      joints=joints,
      min_confidence=min_confidence,
      field_of_view=field_of_view,
      focal_length=focal_length,
      center=center,
    )
    advance, cache = self._stream_program
    times = clips.times_of(fps, self.model.frame_rate)
    number = self.joint_sets.index(joints)
    return Stream(advance, cache, read, joints, number, times, check)

  @functools.cached_property
  def _stream_program(self) -> tuple[Callable[..., Any], Any]:
    """The compiled function of a frame of a stream, and the first cache."""
    advance, cache = make_stream_program(
      self.model, self.variables, flip_test=self.flip_test
    )
    return jax.jit(advance), cache

  def _check_joints(self, joints: str) -> None:
    if joints in JOINT_SETS and joints not in self.joint_sets:
      raise SettingError(
        f'`joints={joints}`: this network lifts {listed(self.joint_sets)}'
      )

  def _run_clips(
    self,
    arrays: Sequence[np.ndarray],
    seen: np.ndarray,
    frames: int,
    fps: float,
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Runs the program on clips of so many frames, one after the other.

    Returns:
      The poses, the errors, and which have nothing to be told from: those
      before the first frame that shows enough of a person.
    """
    count = len(seen)
    poses = np.full((count, 16, 3), np.nan, np.float32)
    errors = np.full((count, 16), np.nan, np.float32)
    missing = np.ones(count, bool)
    for start in range(0, count, max(frames, 1)):
      shown = np.flatnonzero(seen[start : start + frames])
      if not len(shown):
        continue
      rows = slice(start + int(shown[0]), start + frames)
      points, *others = (array[rows] for array in arrays)
      points = hold_lost(points, seen[rows])
      poses[rows], errors[rows] = clips.run_clip(
        self.program, (points, *others), fps, self.model
      )
      missing[rows] = False
    return poses, errors, missing

  def _run(self, *arrays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Runs the program on batches of a few sizes, whatever the number."""
    if not len(arrays[0]):
      return np.zeros((0, 16, 3), np.float32), np.zeros((0, 16), np.float32)
    return run_batches(
      lambda rows: self.program(*(array[rows] for array in arrays)),
      len(arrays[0]),
      _BATCH_SIZES,
    )

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
