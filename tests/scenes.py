"""People of synthetic motion, as a lifter would give them."""

import numpy as np
from filmed import moving, standing

from semgcn_jax.detections.clips import Clip, Person

SIZE = (1280, 720)


def person(count=20, name='1', *, truth=None, pitch=0.0, **more):
  """A person who walks, seen by a camera that looks down by so many degrees.

  `truth=True` makes one that is off by sqrt(3) cm.
  """
  poses = moving(25)[np.arange(count) % 25] @ tilt(pitch).T
  root = np.array([0.3, 0.2, 5.0])
  pixels = (poses + root)[..., :2] / (poses + root)[..., 2:] * 1000
  keypoints = np.insert(pixels + np.array(SIZE) / 2, 2, 0.9, axis=-1)
  fields = dict(
    name=name,
    frames=np.arange(count),
    poses=poses.astype(np.float32),
    errors=np.full((count, 16), 0.06, np.float32),
    keypoints=keypoints,
    truth=poses + 0.01 * (np.arange(16) > 0)[:, None]
    if truth is True
    else truth,
  )
  return Person(**(fields | more))


def clip(*people, name='walk', fps=25.0, **more):
  """A clip of these people."""
  return Clip(name, people, **{'fps': fps, 'image_size': SIZE} | more)


def crowd(count=200):
  """A person in many poses."""
  poses = standing(count)
  return Person('1', np.arange(len(poses)), poses=poses)


def tilt(pitch):
  """The matrix from a level camera's frame to that of one that looks down."""
  c, s = np.cos(np.deg2rad(pitch)), np.sin(np.deg2rad(pitch))
  return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
