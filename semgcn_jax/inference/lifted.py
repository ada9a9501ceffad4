"""The result of lifting."""

import dataclasses
import math

import numpy as np
from jaxtyping import Bool, Float

from semgcn_jax.detections.clips import Clip, Person
from semgcn_jax.errors import SettingError
from semgcn_jax.figures.page import framed, page_html
from semgcn_jax.geometry import rates
from semgcn_jax.geometry.joint_sets import feet_of, joint_sets_of, joints_of
from semgcn_jax.geometry.skeletons import H36M, Skeleton
from semgcn_jax.inference.sides import exchange_joints
from semgcn_jax.motion.upright import make_scenes

_HEIGHT = 600  # Of the page in a notebook, pixels.


@dataclasses.dataclass(frozen=True)
class Lifted:
  """Poses with their expected errors.

  Attributes:
    poses: The poses, `[..., J, 3]`, metres, the root at the origin, in the
      camera frame (x right, y down, z forward); NaN where fewer than four
      keypoints were found. With a network that sees time, only frames before
      the first one with four joints are NaN.
    errors: The expected error of each joint, `[..., J]`, metres; NaN if the
      network does not predict it.
    num_missing: The number of poses that are NaN.
    exchanged: The frames of clips whose sides were exchanged back, `[...]`;
      None in streams, which do not look for them.
    keypoints: What was lifted, `[..., K, 3]`, pixels and confidence, which
      `show` draws; None in streams.
    joints: The name of its joint set.
    image_size: The width and height of each image, `[N, 2]`, pixels.
    fps: The frames per second.
    skeleton: The skeleton of the poses.
  """

  poses: Float[np.ndarray, '*poses joints 3']
  errors: Float[np.ndarray, '*poses joints']
  num_missing: int
  exchanged: Bool[np.ndarray, '*poses'] | None = None
  keypoints: Float[np.ndarray, '*poses points 3'] | None = None
  joints: str = 'h36m'
  image_size: Float[np.ndarray, 'N 2'] | None = None
  fps: float = rates.DEFAULT
  skeleton: Skeleton = H36M

  def show(self, *, people: bool = False, height: int = _HEIGHT) -> None:
    """Shows the poses in a notebook: 2D beside 3D, to play and rotate.

    Poses `[..., T, J, 3]` are shown as people in T frames.

    Args:
      people: Whether poses `[N, J, 3]` are N people in one picture instead.
      height: The height of the page, pixels.

    Raises:
      SettingError: IPython, which notebooks run in, is not installed.
    """
    try:
      from IPython.display import HTML, display  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
      raise SettingError(
        '`show`: needs a notebook; elsewhere, predict.py writes a page'
      ) from error
    display(HTML(self._page(people, height)))

  def _repr_html_(self) -> str:
    """Shows the poses where they are the last value of a notebook's cell."""
    return self._page(False, _HEIGHT)

  def _page(self, people: bool, height: int) -> str:
    """Builds the page as a part of another one."""
    page = page_html(make_scenes([self.clip(people=people)]), title='poses')
    return framed(page, height)

  def clip(self, *, people: bool = False) -> Clip:
    """Makes a clip of the poses, the last leading axis of which is time.

    Args:
      people: Whether that axis is people in one picture instead.
    """
    leading = self.poses.shape[:-2]
    frames = 1 if people or not leading else leading[-1]
    count = math.prod(leading if people else leading[:-1])

    def split(array):
      return array.reshape(count, frames, *array.shape[len(leading) :])

    poses, errors = split(self.poses), split(self.errors)
    keypoints, feet, size = None, None, (0, 0)
    if self.keypoints is not None and self.image_size is not None:
      keypoints = self.keypoints
      joint_set = joint_sets_of(self.skeleton)[self.joints]
      if self.exchanged is not None:
        keypoints = exchange_joints(
          keypoints, self.exchanged, joint_set, self.skeleton
        )
      feet = feet_of(keypoints, joint_set)
      feet = None if feet is None else split(feet)
      keypoints = split(joints_of(keypoints, joint_set))
      if len(self.image_size):
        size = int(self.image_size[0, 0]), int(self.image_size[0, 1])
    known = np.isfinite(self.errors).any()
    shown = tuple(
      Person(
        str(n + 1),
        np.arange(frames),
        None if keypoints is None else keypoints[n],
        poses[n],
        errors[n] if known else None,
        marked_feet=None if feet is None else feet[n],
      )
      for n in range(len(poses))
    )
    return Clip('poses', shown, self.fps, size, skeleton=self.skeleton)
