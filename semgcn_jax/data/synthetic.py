"""Computes a dataset: moving people, seen by Human3.6M's cameras.

Joint angles follow smooth random paths within anatomical limits, and forward
kinematics turns them into positions. The bits are the same on every machine:
random numbers come from PCG64's raw output, and everything else is elementwise
+, -, *, / and square roots, which IEEE 754 rounds alike everywhere. Sines come
from a polynomial, because those of libraries differ.
"""

import dataclasses
import functools
import importlib.resources
import json

import numpy as np

from semgcn_jax.config import DataConfig
from semgcn_jax.data.h36m import TEST_SUBJECTS, TRAIN_SUBJECTS
from semgcn_jax.data.npz import Poses3D
from semgcn_jax.data.pairs import Source
from semgcn_jax.errors import choose
from semgcn_jax.geometry.cameras import h36m_cameras, rotate
from semgcn_jax.geometry.skeletons import H36M

RATE = 10  # Frames per second.
FRAMES = 25  # Per clip.
# Each subject's clips per family.
CLIPS = {'S1': 4, 'S5': 4, 'S6': 4, 'S7': 4, 'S8': 4, 'S9': 3, 'S11': 2}


# These bones point up, so they bend forward by a turn about -x.
_UPRIGHT = ('Pelvis', 'Spine', 'Thorax', 'Head')


@dataclasses.dataclass(frozen=True)
class Family:
  """A kind of motion, with angles in degrees.

  Attributes:
    pose: The mean pose: {bone: [flexion, abduction, twist]}, or a pair of such
      lists, right and left, where the sides differ.
    swing: The bones that swing: {bone: [amplitude of the flexion, phase on the
      right, phase on the left]}, with phases in cycles.
    rate: The cycles per second of the swing.
    speed: The walking speed, in metres per second.
    wander: The size of the slow random motion of every angle.
  """

  pose: dict = dataclasses.field(default_factory=dict)
  swing: dict = dataclasses.field(default_factory=dict)
  rate: float = 0.5
  speed: float = 0.0
  wander: float = 12.0


_FOLDER = importlib.resources.files('semgcn_jax.data')
_TABLES = json.loads((_FOLDER / 'synthetic_motions.json').read_text())
# The offset `[3]` of each joint of `H36M` from its parent, in the neutral pose
# with the arms hanging: x right, y forward, z up, metres.
OFFSETS = np.array(list(_TABLES['offsets'].values()))
# {bone: the (low, high) of its flexion, abduction and twist}, in degrees. A
# bone is named after the joint at its end, without the side. Flexion moves it
# forward, abduction away from the body (upward for the shoulder).
LIMITS = _TABLES['limits']
FAMILIES = {
  name: Family(**fields) for name, fields in _TABLES['families'].items()
}


def read(config: DataConfig) -> Source:
  """Computes the dataset, which does not depend on the seed of a run.

  Raises:
    SettingError: The keypoints are not 'gt'.
  """
  choose('keypoints', config.keypoints, {'gt': None})
  return Source(
    name='the synthetic dataset',
    poses_3d=generate(seed=0),
    poses_2d=None,
    cameras=h36m_cameras(),
    train_subjects=TRAIN_SUBJECTS,
    test_subjects=TEST_SUBJECTS,
    fps=float(RATE),
  )


def generate(seed: int) -> Poses3D:
  """Computes the poses of all subjects, once per process and seed.

  Returns:
    {subject: {'<family> <clip>': [25, 16, 3] float32}}, in metres, in the world
    frame, z up. The arrays are read-only, because all callers share them.
  """
  return {subject: dict(clips) for subject, clips in _generate(seed).items()}


@functools.cache
def _generate(seed: int) -> Poses3D:
  random = _Random(seed)
  poses = {}
  for subject, clips in CLIPS.items():
    offsets = _body(random)
    poses[subject] = {
      f'{name} {clip}': _clip(family, offsets, random)
      for name, family in FAMILIES.items()
      for clip in range(1, clips + 1)
    }
  return poses


class _Random:
  """Random numbers that are the same in every NumPy release and machine."""

  def __init__(self, seed: int):
    self._bits = np.random.PCG64(seed)

  def uniform(self, low, high, *shape: int) -> np.ndarray:
    """Draws an array of this shape, uniformly from low to high."""
    raw = self._bits.random_raw(int(np.prod(shape, dtype=int)))
    unit = (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return low + unit.reshape(shape) * (np.asarray(high) - low)


def _sin_cos(degrees: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Computes sine and cosine by their Taylor series, to 1e-13."""
  x = (degrees - 360 * np.rint(degrees / 360)) * (3.141592653589793 / 180)
  square = x * x
  sin, cos = np.ones_like(x), np.ones_like(x)
  for k in range(26, 0, -2):
    sin = 1 - sin * square / (k * (k + 1))
    cos = 1 - cos * square / (k * (k - 1))
  return x * sin, cos


def _body(random: _Random) -> np.ndarray:
  """Draws the offsets `[16, 3]` of a person: their size and proportions."""
  factors = random.uniform(0.92, 1.08, H36M.num_joints)
  for left, right in zip(H36M.left, H36M.right, strict=True):
    factors[left] = factors[right]
  return OFFSETS * (factors * random.uniform(0.92, 1.08, 1))[:, None]


def _clip(family: Family, offsets: np.ndarray, random: _Random) -> np.ndarray:
  """Draws a clip `[T, 16, 3]` float32, in metres, in the world frame, z up."""
  time = np.arange(FRAMES) / RATE
  mirrored = bool(random.uniform(0, 1) < 0.5)
  angles = _angles(family, time, mirrored, random)
  heading = random.uniform(0, 360) + random.uniform(-25, 25) * time
  heading = heading + _smooth(time, random, 20.0)
  positions = _forward_kinematics(angles, heading, offsets)
  # The lowest joint, usually an ankle, stays near the floor.
  positions[..., 2] += 0.08 - positions[..., 2].min(axis=1, keepdims=True)
  sin, cos = _sin_cos(heading)
  step = family.speed * random.uniform(0.8, 1.2) / RATE
  track = np.stack([np.cumsum(-sin * step), np.cumsum(cos * step)], axis=-1)
  track += random.uniform(-0.4, 0.4, 2) - track[FRAMES // 2]
  positions[..., :2] += track[:, None]
  positions = positions.astype(np.float32)
  positions.flags.writeable = False
  return positions


def _smooth(time: np.ndarray, random: _Random, size, *shape) -> np.ndarray:
  """Draws slow random paths `[T, *shape]` around zero, of about this size."""
  frequency = random.uniform(0.05, 0.5, 3, *shape)
  phase = random.uniform(0, 1, 3, *shape)
  weight = random.uniform(0.3, 1, 3, *shape)
  path = np.zeros((len(time), *shape))
  time = time.reshape(-1, *(1,) * len(shape))
  for f, p, w in zip(frequency, phase, weight, strict=True):
    path += w * _sin_cos(360 * (f * time + p))[0]
  return size * path


def _angles(
  family: Family, time: np.ndarray, mirrored: bool, random: _Random
) -> np.ndarray:
  """Draws the angles of every bone in a clip, within the limits.

  Args:
    family: The kind of motion.
    time: The time of each frame, `[T]`, in seconds.
    mirrored: Whether left and right are swapped.
    random: The random numbers.

  Returns:
    Flexion, abduction and twist of the bones, `[T, 16, 3]`, in degrees.
  """
  bones = [joint.lstrip('LR') for joint in H36M.joints]
  side = np.array([j in H36M.left for j in range(H36M.num_joints)]) ^ mirrored
  limits = np.array([LIMITS[bone] for bone in bones], np.float64)
  angles = _smooth(time, random, family.wander, H36M.num_joints, 3)
  phase = random.uniform(0, 1) + family.rate * random.uniform(0.8, 1.2) * time
  for j, bone in enumerate(bones):
    pose = family.pose.get(bone, (0, 0, 0))
    angles[:, j] += pose[int(side[j])] if isinstance(pose[0], list) else pose
    if bone in family.swing:
      amplitude, *phases = family.swing[bone]
      angles[:, j, 0] += (
        amplitude * _sin_cos(360 * (phase + phases[int(side[j])]))[0]
      )
  return np.clip(angles, limits[..., 0], limits[..., 1])


def _forward_kinematics(
  angles: np.ndarray, heading: np.ndarray, offsets: np.ndarray
) -> np.ndarray:
  """Computes the positions of the joints relative to the pelvis.

  Args:
    angles: The rotation of each bone relative to its parent, `[T, 16, 3]`:
      flexion, abduction and twist, in degrees.
    heading: The rotation of the person about the vertical, `[T]`, in degrees.
    offsets: The offset of each joint from its parent, `[16, 3]`, in metres.

  Returns:
    The positions `[T, 16, 3]`, in metres, z up.
  """
  sign = np.ones((H36M.num_joints, 3))
  for j, joint in enumerate(H36M.joints):
    sign[j, 0] = -1 if joint in _UPRIGHT else 1
    sign[j, 1:] = (1, 1) if j in H36M.left else (-1, -1)
  quaternions = _from_euler(angles * sign)
  world = np.zeros((len(angles), H36M.num_joints, 4))
  positions = np.zeros((len(angles), H36M.num_joints, 3))
  zeros = np.zeros_like(heading)
  turn = _from_euler(np.stack([zeros, zeros, heading], axis=-1))
  world[:, 0] = _multiply(turn, quaternions[:, 0])
  for parent, child in H36M.bones:
    # The legs hang from the pelvis but do not lean with it.
    frame = turn if H36M.joints[child][1:] == 'Hip' else world[:, parent]
    world[:, child] = _multiply(frame, quaternions[:, child])
    positions[:, child] = positions[:, parent] + rotate(
      world[:, child], offsets[child]
    )
  return positions


def _from_euler(degrees: np.ndarray) -> np.ndarray:
  """Converts angles `[..., 3]` about x, then y, z to quaternions `[..., 4]`."""
  sin, cos = _sin_cos(degrees / 2)
  x, y, z = np.zeros((3, *degrees.shape[:-1], 4))
  for axis, quaternion in enumerate((x, y, z)):
    quaternion[..., 0] = cos[..., axis]
    quaternion[..., 1 + axis] = sin[..., axis]
  return _multiply(z, _multiply(y, x))


def _multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """Multiplies quaternions `[..., 4]`, w first."""
  w, x, y, z = np.moveaxis(a, -1, 0)
  s, p, q, r = np.moveaxis(b, -1, 0)
  product = (
    w * s - x * p - y * q - z * r,
    w * p + x * s + y * r - z * q,
    w * q - x * r + y * s + z * p,
    w * r + x * q - y * p + z * s,
  )
  return np.stack(product, axis=-1)
