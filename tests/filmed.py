"""People whose joints are known, seen by a known camera."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import FilmingConfig
from semgcn_jax.data.synthetic import generate
from semgcn_jax.geometry.joint_sets import JOINT_SETS
from semgcn_jax.simulation.points import OF_PEOPLE, mark


def standing(count):
  """Poses of the synthetic motion, `[N, 16, 3]`: y down, pelvis at 0."""
  clips = [clip for clips in generate(0).values() for clip in clips.values()]
  return level(np.concatenate(clips)[:: len(clips) * 25 // count][:count])


def moving(count):
  """Poses that follow each other."""
  clips = next(iter(generate(0).values()))
  return level(next(iter(clips.values()))[:count])


def level(poses):
  """Turns z up to y down."""
  poses = np.stack([poses[..., 0], -poses[..., 2], poses[..., 1]], axis=-1)
  return np.float32(poses - poses[:, :1])


@dataclasses.dataclass(frozen=True)
class Filmed:
  """Poses `[N, 16, 3]` in the camera frame, their roots, and the camera."""

  poses: np.ndarray
  roots: np.ndarray
  focal: float
  size: tuple[int, int]

  def keypoints(self, joint_set):
    """The exact keypoints of a joint set, `[N, J, 2]`, in pixels."""
    points = mark(None, jnp.asarray(self.poses), FilmingConfig())
    points = np.asarray(points) + self.roots[:, None]
    pixels = points[..., :2] / points[..., 2:] * self.focal
    pixels = pixels + np.array(self.size) / 2
    keypoints = np.full(
      (len(pixels), JOINT_SETS[joint_set].num_joints, 2), 10.0
    )
    for index, name in enumerate(JOINT_SETS[joint_set].points):
      if name in OF_PEOPLE.names:
        keypoints[:, index] = pixels[:, OF_PEOPLE.names.index(name)]
    return keypoints


def film_level(poses, size, focal=1100.0):
  """Films poses by a level camera, each at another place."""
  number = np.arange(len(poses))
  roots = np.stack(
    [np.sin(number), 0.1 * np.cos(number), 6 + 0.02 * number], axis=-1
  )
  return Filmed(poses, roots, focal, size)


def keypoints_of(count=12, name='coco'):
  """Sure keypoints, `[N, J, 3]`, of one who moves at one place."""
  filmed = film_level(moving(count), (1280, 720))
  filmed = dataclasses.replace(filmed, roots=filmed.roots * 0 + (0, 0, 6))
  keypoints = filmed.keypoints(name)
  sure = np.full_like(keypoints[..., :1], 0.9)
  return np.concatenate([keypoints, sure], axis=-1)
