"""The Lifter: from the keypoints of any detector and camera to 3D poses."""

import dataclasses
import functools
import logging
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar, Unpack

import jax
import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from semgcn_jax.config import Config, ModelConfig
from semgcn_jax.errors import SettingError, UserError, choose, listed
from semgcn_jax.geometry import rates
from semgcn_jax.geometry.joint_sets import default_joint_set, joint_sets_of
from semgcn_jax.geometry.skeletons import H36M, Skeleton
from semgcn_jax.inference import clips
from semgcn_jax.inference.arguments import (
  Arguments,
  Options,
  knows_lens,
  read_arguments,
)
from semgcn_jax.inference.lifted import Lifted
from semgcn_jax.inference.mirroring import (
  is_mirrored,
  is_on_the_left,
  mirror_points,
  mirror_poses,
)
from semgcn_jax.inference.networks import require_task, trained_function
from semgcn_jax.inference.placing import place_poses, require_h36m, to_height
from semgcn_jax.inference.programs import (
  joint_sets,
  make_program,
  make_stream_program,
)
from semgcn_jax.inference.sides import exchange, find_exchanged
from semgcn_jax.inference.stream import Stream
from semgcn_jax.models.batches import run_batches
from semgcn_jax.models.inputs import hold_lost, shows_enough
from semgcn_jax.runs.networks import Network, restore_network
from semgcn_jax.simulation.points import points_of

_BATCH_SIZES = (1, 16, 256)
# The other sides are taken if the detector has them in at least this share of
# the frames, and if their expected error, relative to its own, is below this.
_MINORITY, _SURER = 0.25, 0.9


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Lifter:
  """Lifts keypoints, pose by pose or, if the network sees time, as clips.

  Lifters can be pickled, for other processes, and compared.

  Examples:
    >>> import numpy as np
    >>> from semgcn_jax import Lifter
    >>> lifter = Lifter.load('cmu')
    >>> keypoints = np.random.default_rng(0).uniform(300, 700, (5, 17, 2))
    >>> lifter(keypoints, image_size=(1920, 1080), joints='coco').shape
    (5, 16, 3)

  Attributes:
    config: The settings of its run.
    variables: The params and batch_stats of its network.
    program: The compiled program, see `make_program`.
    skeleton: The skeleton of the poses.
  """

  config: Config
  variables: dict[str, Any]
  program: Callable[..., Any]
  skeleton: Skeleton = H36M

  @property
  def model(self) -> ModelConfig:
    """The settings of its network."""
    return self.config.model

  def __repr__(self) -> str:
    count = sum(leaf.size for leaf in jax.tree.leaves(self.variables['params']))
    return f'Lifter({self.model.takes}, {count:,} parameters)'

  def __eq__(self, other: object) -> bool:
    return (
      isinstance(other, Lifter)
      and self.config == other.config
      and self.skeleton == other.skeleton
      and jax.tree.structure(self.variables)
      == jax.tree.structure(other.variables)
      and all(
        jax.tree.leaves(
          jax.tree.map(np.array_equal, self.variables, other.variables)
        )
      )
    )

  def __hash__(self) -> int:
    return hash((type(self), repr(self)))

  def __reduce__(self) -> tuple[Any, ...]:
    # A compiled program cannot be pickled; it is compiled again.
    return _make, (type(self), self.config, self.skeleton, self.variables)

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
      checkpoint: The name of bundled weights, or the folder of a run.
      which: For a run, 'best', 'last' or the number of an epoch.
      seed: The seed to take from a run with several; None takes the first.

    Raises:
      UserError: The run or checkpoint does not exist, is damaged, or does not
        lift keypoints.
      SettingError: There is no such checkpoint or seed.
    """
    return cls.of(restore_network(checkpoint, which), seed, str(checkpoint))

  @classmethod
  def of(
    cls, network: Network, seed: int | None = None, name: str = 'the network'
  ) -> Self:
    """Makes the lifter of a network; see `load`."""
    require_task(network.config, 'frames', 'clips', name=name)
    if not network.config.model.input_joints:
      logging.getLogger('semgcn_jax').warning(
        '%s: knows only the cameras it was trained with; for others, train'
        ' with `recipe=wild`',
        name,
      )
    variables = jax.device_get(network.of_seed(seed))
    return _make(cls, network.config, network.skeleton, variables)

  @property
  def joint_sets(self) -> tuple[str, ...]:
    """The joint sets that can be lifted."""
    return joint_sets(self.model, self.skeleton)

  def __call__(
    self,
    keypoints: ArrayLike,
    image_size: ArrayLike,
    joints: str = '',
    **options: Any,
  ) -> Float[np.ndarray, '*poses J 3']:
    """Lifts keypoints to poses, `Lifted.poses`; see `lift`."""
    return self.lift(keypoints, image_size, joints, **options).poses

  def lift(
    self,
    keypoints: ArrayLike,
    image_size: ArrayLike,
    joints: str = '',
    *,
    height: float | None = None,
    fps: float = rates.DEFAULT,
    check: bool = True,
    **options: Unpack[Options],
  ) -> Lifted:
    """Lifts keypoints to poses with their expected errors.

    Args:
      keypoints: `[..., J, 2]`, pixels, or `[..., J, 3]` with the confidence; a
        keypoint is missing if that is 0 or one of its numbers is NaN. A network
        that sees time takes clips of consecutive frames, `[..., T, J, 2]` or
        `[..., T, J, 3]`; a frame with fewer than four joints gets a pose from
        the frames around it.
      image_size: The width and height of the image in pixels, `[2]`, or of the
        image of each pose, `[..., 2]`.
      joints: The joint set, one of `joint_sets`; by default COCO's. Other
        skeletons than Human3.6M's have their own; the last is the default.
      height: The person's height in metres, if known, to set the scale; each
        sequence of poses, `[..., T, J, 3]`, is one person. Only Human3.6M's
        skeleton has a height.
      fps: The frame rate of clips; networks for single frames ignore it.
      check: Whether to reject likely mistakes: a crowd upside down, coordinates
        that are not pixels or far outside the image, a lens that cannot be.
        Single keypoints far outside, and single poses in the corner of their
        image, then count as not found.
      **options: The confidence needed and the lens, see `arguments.Options`.

    Raises:
      UserError: The keypoints have the wrong shape or impossible values.
      SettingError: Another argument is wrong.

    Examples:
      >>> import numpy as np
      >>> from semgcn_jax import Lifter
      >>> clip = np.random.default_rng(0).uniform(300, 700, (20, 17, 3))
      >>> clip[..., 2] = 0.9  # The confidence.
      >>> lifter = Lifter.load('cmu-video')
      >>> lifted = lifter.lift(clip, (1280, 720), 'coco', fps=25, height=1.7)
      >>> lifted.poses.shape, lifted.errors.shape, lifted.num_missing
      ((20, 16, 3), (20, 16), 0)
    """
    if self.model.is_temporal:
      rates.check_fps(fps)
    joints = joints or default_joint_set(self.skeleton, self.joint_sets)
    given = self._read(keypoints, image_size, joints, **options)
    if check:
      given = given.checked()
    arrays = given.arrays(self._number(joints))
    if self.model.is_temporal:
      seen = shows_enough(given.joints)
      frames = given.leading[-1] if given.leading else 1
      poses, errors, missing, exchanged = self._run_clips(
        arrays, seen, frames, fps
      )
    else:
      poses, errors = self._run(*arrays)
      missing, exchanged = given.too_few, np.zeros(len(poses), bool)
    poses[missing], errors[missing] = np.nan, np.nan
    poses = poses.reshape(*given.leading, *poses.shape[1:])
    errors = errors.reshape(*given.leading, *errors.shape[1:])
    if height is not None:
      require_h36m(self.skeleton, 'height')
      poses, errors = to_height(poses, errors, height)
    return Lifted(
      *(poses, errors, int(missing.sum()), exchanged.reshape(given.leading)),
      keypoints=given.keypoints.reshape(
        *given.leading, *given.keypoints.shape[1:]
      ),
      joints=joints,
      image_size=given.image_size,
      fps=float(fps),
      skeleton=self.skeleton,
    )

  def stream(
    self,
    image_size: ArrayLike,
    joints: str = '',
    *,
    fps: float = rates.DEFAULT,
    check: bool = True,
    **options: Unpack[Options],
  ) -> Stream:
    """Starts lifting a live stream, frame by frame.

    The poses equal those that `lift`, which documents the arguments, gives for
    the whole clip. Each person needs a stream.

    Raises:
      SettingError: The network is not causal, or an argument is wrong.

    Examples:
      >>> import numpy as np
      >>> from semgcn_jax import Lifter
      >>> stream = Lifter.load('cmu-stream').stream((1280, 720), fps=30)
      >>> for frame in np.random.default_rng(0).uniform(300, 700, (3, 17, 2)):
      ...   lifted = stream(frame)
      >>> lifted.poses.shape
      (16, 3)
    """
    if not (self.model.is_temporal and self.model.causal):
      sees = (
        'also needs later frames'
        if self.model.is_temporal
        else ('sees single frames, which `lift` takes')
      )
      raise SettingError(
        f'this network {sees}; for a stream take cmu-stream, or train one with'
        ' `model=semgcn_temporal` and `causal`'
      )
    joints = joints or default_joint_set(self.skeleton, self.joint_sets)
    number = self._number(joints)
    rates.check_fps(fps)
    read = functools.partial(
      self._read, image_size=image_size, joints=joints, **options
    )
    count = joint_sets_of(self.skeleton)[joints].num_joints
    times = clips.times_of(fps, self.model.frame_rate)
    return Stream(
      *(*self._stream_program, read, np.zeros((count, 3)), number, fps, times),
      check=check,
      mirrors=is_mirrored(self.config),
    )

  @functools.cached_property
  def _stream_program(self) -> tuple[Callable[..., Any], Any]:
    """The compiled program of a stream, and its first cache."""
    advance, cache = make_stream_program(
      self.model,
      self.variables,
      self.skeleton,
      flip_test=self.config.evaluation.flip_test,
    )
    return jax.jit(advance), cache

  def _read(
    self,
    keypoints: ArrayLike,
    image_size: ArrayLike,
    joints: str,
    **options: Unpack[Options],
  ) -> Arguments:
    """Reads keypoints of this skeleton; see `read_arguments`."""
    return read_arguments(
      keypoints, image_size, joints, skeleton=self.skeleton, **options
    )

  def _number(self, joints: str) -> int:
    """Finds the index of a joint set among those of the network."""
    choose('joints', joints, joint_sets_of(self.skeleton))
    if joints not in self.joint_sets:
      raise SettingError(
        f'`joints={joints}`: this network lifts {listed(self.joint_sets)}'
      )
    return self.joint_sets.index(joints)

  def _run_clips(
    self,
    arrays: Sequence[np.ndarray],
    seen: np.ndarray,
    frames: int,
    fps: float,
  ) -> tuple[np.ndarray, ...]:
    """Runs the program on consecutive clips of `frames` frames.

    Returns:
      The poses; the errors; a mask of the missing ones, which are those before
      the first frame that shows enough of a person; and of those whose sides
      were exchanged.
    """
    count = len(seen)
    joints = self.skeleton.num_joints
    poses = np.full((count, joints, 3), np.nan, np.float32)
    errors = np.full((count, joints), np.nan, np.float32)
    missing, exchanged = np.ones(count, bool), np.zeros(count, bool)
    for start in range(0, count, max(frames, 1)):
      shown = np.flatnonzero(seen[start : start + frames])
      if not len(shown):
        continue
      rows = slice(start + int(shown[0]), start + frames)
      points, *others = (array[rows] for array in arrays)
      points = hold_lost(points, seen[rows])
      poses[rows], errors[rows], exchanged[rows] = self._run_clip(
        points, others, fps
      )
      missing[rows] = False
    return poses, errors, missing, exchanged

  def _run_clip(
    self, points: np.ndarray, others: Sequence[np.ndarray], fps: float
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Runs the program on a clip, with exchanged sides repaired.

    Returns:
      The poses, the errors, and whether a frame's sides were exchanged, `[T]`.
    """

    of = points_of(self.skeleton)

    def run(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
      center = others[-1]
      turned = is_mirrored(self.config) and is_on_the_left(
        points[0], center[0], of
      )
      if turned:
        points = mirror_points(points, center, of)
      result = clips.run_clip(
        self.program, (points, *others), fps, self.model, self.skeleton
      )
      return mirror_poses(*result, self.skeleton) if turned else result

    # A stream cannot wait for the frames that tell.
    exchanged = np.zeros(len(points), bool)
    if not self.model.causal:
      exchanged = find_exchanged(points, fps, of)
    result = run(exchange(points, exchanged, of))
    if exchanged.mean() > _MINORITY:
      # The sides of most frames are right, unless the poses say otherwise.
      other = run(exchange(points, ~exchanged, of))
      if other[1].mean() < _SURER * result[1].mean():
        result, exchanged = other, ~exchanged
    if exchanged.any():
      logging.getLogger('semgcn_jax').warning(
        'left and right are exchanged in %d of %d frames; exchanged back',
        exchanged.sum(),
        len(exchanged),
      )
    return *result, exchanged

  def _run(self, *arrays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Runs the program on any number of poses."""
    if not len(arrays[0]):
      nobody = np.zeros((0, self.skeleton.num_joints, 3), np.float32)
      return nobody, nobody[..., 0]
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
    joints: str = '',
    **options: Unpack[Options],
  ) -> Float[np.ndarray, '*poses 3']:
    """Finds where the root of a pose is; see `placing.place_poses`.

    Args:
      pose: The poses, `[..., J, 3]`, metres, as `lift` returns them.
      keypoints: The keypoints that they were lifted from.
      image_size: See `lift`.
      joints: See `lift`.
      **options: See `arguments.Options`; the lens must be known.

    Returns:
      The position of the root in the camera frame, `[..., 3]`, metres; NaN
      where it cannot be determined.

    Raises:
      UserError: The keypoints or poses have the wrong shape or impossible
        values.
      SettingError: Another argument is wrong, or the lens is not known.
    """
    if not knows_lens(options):
      raise SettingError('give either `focal_length` or `field_of_view`')
    joints = joints or default_joint_set(self.skeleton, self.joint_sets)
    given = self._read(keypoints, image_size, joints, **options)
    try:
      poses = np.asarray(pose, float)
    except (TypeError, ValueError) as error:
      raise UserError(f'`pose`: is not an array ({error})') from error
    shape = (*given.leading, self.skeleton.num_joints, 3)
    if poses.shape != shape:
      raise UserError(f'`pose`: has the shape {poses.shape}, not {shape}')
    places = place_poses(
      poses.reshape(-1, *shape[-2:]), given.joints, given.focal, given.center
    )
    return places.reshape(*given.leading, 3)


L = TypeVar('L', bound=Lifter)


def _make(
  kind: type[L], config: Config, skeleton: Skeleton, variables: dict[str, Any]
) -> L:
  """Makes a lifter, whose program is compiled when it is first called."""
  function = trained_function(config, skeleton, variables)
  program = jax.jit(make_program(function, config.model, skeleton))
  return kind(config, variables, program, skeleton)
