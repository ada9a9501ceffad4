"""A clip: its people, frame by frame, and facts about the frames."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int

from semgcn_jax.geometry.joint_sets import joint_sets_of
from semgcn_jax.geometry.skeletons import H36M, JointSet, Skeleton
from semgcn_jax.pictures.videos import Album


@dataclasses.dataclass(frozen=True)
class Person:
  """A person in T frames of a clip.

  Attributes:
    name: The name of the person in the clip, such as '1'.
    frames: The numbers of the frames, ascending, `[T]`.
    keypoints: The joints in 2D, `[T, J, 3]`: pixels, and the confidence, which
      is 0 for missing joints; None if unknown.
    poses: The poses, `[T, J, 3]`, metres, the root at the origin, camera frame;
      NaN where unknown, empty before lifting.
    errors: The expected error of each joint, `[T, J]`, metres; None or NaN
      where unknown.
    places: The root in the camera frame, `[T, 3]`, metres; None or NaN where
      unknown.
    truth: The true poses, `[T, J, 3]`, like `poses`; None if unknown.
    marked_feet: The points of `joint_sets.FEET` in 2D, `[T, 4, 3]`, like
      `keypoints`; None if the detector does not mark them.
    feet: They in 3D, `[T, 4, 3]`, like `poses`; None if unknown.
    contacts: Whether the right and the left foot rest on the ground, `[T, 2]`;
      None if unknown.
    is_mirrored: Whether it is the mirror image of the skeleton, as a left hand
      is of `HAND`.
  """

  name: str
  frames: Int[np.ndarray, ' T']
  keypoints: Float[np.ndarray, 'T points 3'] | None = None
  poses: Float[np.ndarray, '_ J 3'] = dataclasses.field(
    default_factory=lambda: np.zeros((0, 16, 3))
  )
  errors: Float[np.ndarray, 'T J'] | None = None
  places: Float[np.ndarray, 'T 3'] | None = None
  truth: Float[np.ndarray, 'T J 3'] | None = None
  marked_feet: Float[np.ndarray, 'T 4 3'] | None = None
  feet: Float[np.ndarray, 'T 4 3'] | None = None
  contacts: Bool[np.ndarray, 'T 2'] | None = None
  is_mirrored: bool = False

  @property
  def is_whole(self) -> np.ndarray:
    """Which poses are known in all their joints, `[T]`."""
    return np.asarray(np.isfinite(self.poses).all(axis=(1, 2)))


@dataclasses.dataclass(frozen=True)
class View:
  """The camera of a clip, and where it is, as solving finds it.

  Attributes:
    focal_length: The focal length, pixels.
    center: The principal point, pixels.
    pitch: The angle by which the camera looks down, degrees.
    roll: The angle by which the vertical leans to the right in the image,
      degrees.
    height: The height of the camera above the ground, metres.
  """

  focal_length: float
  center: tuple[float, float]
  pitch: float
  roll: float
  height: float


@dataclasses.dataclass(frozen=True)
class Clip:
  """The people in a clip, from its file to the page that shows them.

  Attributes:
    name: The name of the clip.
    people: The people, each with a different name.
    fps: The frames per second.
    image_size: The width and height of the images, in pixels.
    pictures: Small images of the frames, if there are any.
    joint_set: The name of the keypoints' joint set; '' if they are the joints
      of the skeleton, as in a lifted clip.
    is_named: Whether the user or the file names the joint set, so that it is
      not inferred from the number of joints.
    skeleton: The skeleton of the poses.
    pitch: The degrees by which the camera looks down, if it is calibrated.
    view: The camera, if the clip is solved.
    source: Its file, for messages.
  """

  name: str
  people: tuple[Person, ...]
  fps: float
  image_size: tuple[int, int]
  pictures: Album | None = None
  joint_set: str = ''
  is_named: bool = False
  skeleton: Skeleton = H36M
  pitch: float | None = None
  view: View | None = None
  source: str = ''

  @property
  def marked(self) -> JointSet:
    """The joint set of the keypoints, before they are lifted."""
    return joint_sets_of(self.skeleton)[self.joint_set]

  @property
  def frames(self) -> range:
    """The frame numbers, from the first to the last with a person."""
    ends = [int(n) for p in self.people for n in p.frames[:1]]
    ends += [int(n) + 1 for p in self.people for n in p.frames[-1:]]
    return range(min(ends, default=0), max(ends, default=0))
