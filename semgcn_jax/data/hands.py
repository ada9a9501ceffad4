"""Generates hands: 21 joints, within the limits of real ones.

Lengths are those of an average adult's hand, 19 cm long, as anthropometric
tables have them; angles are uniform within the ranges of motion that
textbooks of anatomy give. Fingers bend together more often than alone, and are
straight more often than bent.
"""

import numpy as np
from scipy.spatial.transform import Rotation

from semgcn_jax.geometry.skeletons import HAND

# The labels of the NYU hand pose dataset (Tompson et al., SIGGRAPH 2014).
NYU = (
  *('pinky_tip', 'pinky_pip', 'ring_tip', 'ring_pip', 'middle_tip'),
  *('middle_pip', 'index_tip', 'index_pip', 'thumb_tip', 'thumb_ip'),
  *('thumb_mcp', 'wrist_1', 'wrist_2', 'palm'),
)
_FINGERS = ('index', 'middle', 'ring', 'pinky')
# Where fingers and thumb begin, millimetres from the wrist: towards the thumb,
# towards the fingertips, and out of the palm.
_KNUCKLES = {
  'thumb': (27, 24, 8),
  'index': (26, 90, 0),
  'middle': (4, 93, 2),
  'ring': (-16, 86, 1),
  'pinky': (-34, 76, -3),
}
# The lengths of the bones from there to the tip, millimetres.
_BONES = {
  'thumb': (45, 33, 28),
  'index': (45, 26, 23),
  'middle': (50, 30, 24),
  'ring': (46, 29, 24),
  'pinky': (36, 21, 21),
}
# The direction of each straight finger, degrees towards the thumb.
_FAN = {'index': 5, 'middle': 0, 'ring': -5, 'pinky': -11}
# The ranges of the joints, degrees: of flexion at the knuckle, the middle and
# the last joint, and of abduction at the knuckle.
_KNUCKLE, _MIDDLE, _LAST, _ABDUCTION = (-25, 90), (0, 105), (-5, 75), (-15, 15)
# The thumb's: of the metacarpal out of the palm, and away from the fingers; and
# of flexion at its two other joints.
_OUT, _AWAY, _THUMB_1, _THUMB_2 = (-5, 60), (15, 65), (-10, 60), (-15, 80)
# Of hands that are held up: how far the fingertips lean towards the camera, and
# the standard deviation about each axis, degrees.
_LEAN, _TURN_SD = 30, 35
# How much hands, and parts of them, differ in size: standard deviations.
_HAND_SD, _PART_SD = 0.09, 0.06


def generate(
  rng: np.random.Generator, count: int, held_up: float = 0.75
) -> np.ndarray:
  """Generates right hands in front of a camera, with the wrist at the origin.

  Args:
    rng: The random numbers.
    count: The number of hands, N.
    held_up: The share of them that are held up to the camera, more or less:
      palm forward, fingers up and leaning towards it. The others are turned at
      random.

  Returns:
    The joints of `HAND`, `[N, 21, 3]` float32, metres: x to the right, y down,
    z away from the camera.
  """

  def between(low, high):
    return np.deg2rad(rng.uniform(low, high, count))

  def size(sd):
    return np.exp(sd * np.clip(rng.normal(size=(count, 1)), -2.5, 2.5))

  palm = size(_PART_SD)
  # How far all fingers are bent, and how much each follows.
  together, follows = rng.beta(1, 1.5, count), rng.uniform(0.3, 1, count)
  joints = [np.zeros((count, 3))]
  for finger in ('thumb', *_FINGERS):
    place = np.array(_KNUCKLES[finger]) * palm * size(_PART_SD / 2)
    lengths = np.array(_BONES[finger]) * size(_PART_SD)
    if finger == 'thumb':
      directions = _thumb(between)
    else:
      bent = follows * together + (1 - follows) * rng.beta(1, 1.5, count)
      directions = _finger(finger, bent, between)
    joints.append(place)
    for direction, length in zip(directions, lengths.T, strict=True):
      place = place + direction * length[:, None]
      joints.append(place)
  hands = np.stack(joints, axis=1) / 1000 * size(_HAND_SD)[:, None]
  turned = np.deg2rad(_TURN_SD) * rng.normal(size=(count, 3))
  # The palm faces the camera, and the fingertips lean towards it.
  base = Rotation.from_euler('x', _LEAN, degrees=True).as_matrix()
  base = base @ np.diag([1, -1, -1])
  is_held_up = rng.uniform(size=(count, 1, 1)) < held_up
  turns = np.where(
    is_held_up,
    Rotation.from_rotvec(turned).as_matrix() @ base,
    Rotation.random(count, rng).as_matrix(),
  )
  return np.einsum('nij,nkj->nki', turns, hands).astype(np.float32)


def nyu_labels(hands: np.ndarray) -> np.ndarray:
  """Places the labels `NYU` on hands.

  Args:
    hands: The joints of `HAND`, `[N, 21, 3]`.

  Returns:
    The labels, `[N, 14, 3]`. Those of the thumb are on its bones, two are on
    either side of the wrist, and the last is in the palm.
  """
  joint = dict(zip(HAND.joints, hands.swapaxes(0, 1), strict=True))

  def between(first, second, share):
    return joint[first] + share * (joint[second] - joint[first])

  across = joint['index_mcp'] - joint['pinky_mcp']
  across = across / np.linalg.norm(across, axis=-1, keepdims=True)
  knuckles = np.mean([joint[f'{finger}_mcp'] for finger in _FINGERS], axis=0)
  wrist = joint['wrist']
  labels = [
    *(joint[name] for name in NYU[:9]),
    between('thumb_tip', 'thumb_ip', 0.75),
    between('thumb_mcp', 'thumb_ip', 0.2),
    *(wrist - 0.0155 * across, wrist + 0.0155 * across),
    wrist + 0.75 * (knuckles - wrist),
  ]
  return np.stack(labels, axis=1)


def _finger(finger, bent, between):
  """Yields the directions `[N, 3]` of the three bones of a finger."""
  side = np.deg2rad(_FAN[finger]) + between(*_ABDUCTION) * (1 - bent)
  angle = 0.0
  for low, high in (_KNUCKLE, _MIDDLE, _LAST):
    middle = np.deg2rad(low + (high - low) * bent)
    reach = np.deg2rad(0.15 * (high - low))
    angle = angle + np.clip(
      middle + reach * between(-57.3, 57.3), *np.deg2rad((low, high))
    )
    yield _direction(side, angle)


def _thumb(between):
  """Yields the directions `[N, 3]` of the three bones of a thumb."""
  side, out = between(*_AWAY), between(*_OUT)
  yield _direction(side, out)
  for limits in (_THUMB_1, _THUMB_2):
    # Its joints bend across the palm, towards the little finger.
    angle = between(*limits)
    side, out = side - angle, out + 0.3 * angle
    yield _direction(side, out)


def _direction(side, out):
  """Returns unit vectors, `[N, 3]`, by their angles to the side and out."""
  return np.stack(
    [np.sin(side) * np.cos(out), np.cos(side) * np.cos(out), np.sin(out)],
    axis=-1,
  )
