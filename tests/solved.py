"""A person who walks through a room, and a lifter's poses of them."""

import numpy as np
from filmed import level
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation

from semgcn_jax.data.synthetic import generate
from semgcn_jax.detections.clips import Clip, Person
from semgcn_jax.geometry.skeletons import H36M

SIZE = (1280, 720)
FPS, FOCAL = 20.0, 1100.0
PITCH, ROLL, HEIGHT = 12.0, 8.0, 1.6  # Degrees, degrees, metres.
SOLE = 0.08
_ANKLES = [H36M.joints.index(name) for name in ('RAnkle', 'LAnkle')]


def walk(count=49):
  """Walks on the ground at y = 0, y down.

  The lower foot stays where it is until the other one is lower.

  Returns:
    The joints, `[T, 16, 3]`, metres, and which foot rests, `[T, 2]`.
  """
  poses = level(generate(0)['S1']['Walking 1']).astype(float)
  times = np.arange(len(poses))
  poses = CubicSpline(times, poses)(np.arange(count) / 2)
  feet = poses[:, _ANKLES]
  lower = feet[..., 1].argmax(axis=1)
  root = np.zeros((count, 3))
  for t in range(1, count):
    foot = lower[t - 1]
    root[t] = root[t - 1] + feet[t - 1, foot] - feet[t, foot]
  root[:, 1] = -SOLE - feet[np.arange(count), lower, 1]
  root[:, [0, 2]] -= root[:, [0, 2]].mean(axis=0)
  return poses + root[:, None], np.arange(2) == lower[:, None]


def film(joints):
  """Turns joints `[T, J, 3]` of the room to a camera's frame, metres."""
  turn = Rotation.from_euler('zx', (ROLL, PITCH), degrees=True).as_matrix()
  return (joints + (0, HEIGHT, 6)) @ turn.T


def person(joints, *, name='1', noise=0.02, seed=0, **more):
  """A person `[T, 16, 3]` in the camera frame, as a lifter would see them."""
  rng = np.random.default_rng(seed)
  off = noise * rng.normal(size=(1, 16, 3)) + 0.3 * noise * rng.normal(
    size=joints.shape
  )
  poses = joints - joints[:, :1]
  lifted = poses + off * (np.arange(16) > 0)[:, None]
  pixels = joints[..., :2] / joints[..., 2:] * FOCAL + np.array(SIZE) / 2
  return Person(
    name,
    np.arange(len(joints)),
    np.insert(pixels, 2, 0.9, axis=-1),
    lifted.astype(np.float32),
    np.full(joints.shape[:2], 0.04, np.float32),
    truth=poses,
    **more,
  )


def clip(*people):
  """A clip of people, seen by that camera."""
  return Clip('walk', people, FPS, SIZE)
