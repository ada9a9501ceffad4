"""Computes joint angles from positions, in the conventions of OpenSim and ISB.

Sixteen joints determine where bones point, but turns about a bone only where
the next one is bent. What they do not determine is NaN or left out: ankles,
unless heels and toes are known,
forearms and the head turn about axes that no joint shows, and a knee has one
angle.
"""

from collections.abc import Mapping

import numpy as np
from scipy.spatial.transform import Rotation

from semgcn_jax.geometry.skeletons import H36M

# From the room (see `upright`) to OpenSim's ground: x forwards for a person who
# faces the camera, y up, z to their right.
GROUND = np.array([(0, 0, 1), (0, 1, 0), (-1, 0, 0)], float)
# The turn of an upper limb about itself is told by a lower limb that is bent by
# this much, degrees.
_BENT = 20.0
_SIDES = {'R': 'r', 'L': 'l'}
_OF_FEET = {'R': slice(0, 2), 'L': slice(2, 4)}  # Heel and toe in `FEET`.
# The signs of flexion, adduction and rotation on each side.
_SIGNS = {'R': np.array([1, 1, 1]), 'L': np.array([1, -1, -1])}

TRANSLATIONS = ('pelvis_tx', 'pelvis_ty', 'pelvis_tz')


def joint_angles(
  positions: np.ndarray, feet: np.ndarray | None = None
) -> dict[str, np.ndarray]:
  """Computes the coordinates of OpenSim's full-body models.

  Segments have axes x forwards, y up and z to the right. Three angles of a
  joint are turns about z, then x, then y of the segment above, as in OpenSim's
  hip, shoulder and lumbar joints; for the hip these are ISB's flexion,
  adduction and internal rotation (Wu et al., J. Biomech. 35, 2002). Positive
  are flexion (extension of the lumbar joint), adduction, internal rotation, and
  bending and turning of pelvis and trunk to the right and to the left.

  Args:
    positions: The joints of `H36M`, `[T, 16, 3]`, metres, in the room.
    feet: The points of `joint_sets.FEET`, `[T, 4, 3]`, likewise. An ankle's
      angle is how far the line from heel to toe is raised to the shank.

  Returns:
    {OpenSim's name of a coordinate: its values, `[T]`}: degrees, and metres for
    `TRANSLATIONS`. They are NaN where joints are missing, or do not determine
    them.
  """
  joints = dict(
    zip(H36M.joints, (positions @ GROUND.T).swapaxes(0, 1), strict=True)
  )
  pelvis = _axes(
    joints['Spine'] - joints['Pelvis'], joints['RHip'] - joints['LHip'], 'z'
  )
  thorax = _axes(
    joints['Thorax'] - joints['Spine'],
    joints['RShoulder'] - joints['LShoulder'],
    'y',
  )
  angles: dict[str, np.ndarray] = {}
  for name, values in zip(
    ('tilt', 'list', 'rotation'), _three(pelvis).T, strict=True
  ):
    angles[f'pelvis_{name}'] = values
  angles |= dict(zip(TRANSLATIONS, joints['Pelvis'].T, strict=True))
  for side, suffix in _SIDES.items():
    hip, knee, ankle = (joints[f'{side}{n}'] for n in ('Hip', 'Knee', 'Ankle'))
    bend = _between(knee - hip, ankle - knee)
    # Bent, the shank points backwards.
    turns = _limb(pelvis, hip - knee, knee - ankle, bend) * _SIGNS[side]
    for name, values in zip(
      ('flexion', 'adduction', 'rotation'), turns.T, strict=True
    ):
      angles[f'hip_{name}_{suffix}'] = values
    angles[f'knee_angle_{suffix}'] = bend
    if feet is not None:
      heel, toe = np.moveaxis(feet @ GROUND.T, 1, 0)[_OF_FEET[side]]
      raised = 90 - _between(toe - heel, knee - ankle)
      angles[f'ankle_angle_{suffix}'] = raised
  for name, values in zip(
    ('extension', 'bending', 'rotation'),
    _three(_relative(pelvis, thorax)).T,
    strict=True,
  ):
    angles[f'lumbar_{name}'] = values
  for side, suffix in _SIDES.items():
    shoulder, elbow, wrist = (
      joints[f'{side}{n}'] for n in ('Shoulder', 'Elbow', 'Wrist')
    )
    bend = _between(elbow - shoulder, wrist - elbow)
    # Bent, the forearm points forwards.
    turns = _limb(thorax, shoulder - elbow, wrist - elbow, bend) * _SIGNS[side]
    for name, values in zip(('flex', 'add', 'rot'), turns.T, strict=True):
      angles[f'arm_{name}_{suffix}'] = values
    angles[f'elbow_flex_{suffix}'] = bend
  return angles


def unknown(angles: Mapping[str, np.ndarray]) -> dict[str, float]:
  """Returns the share of the known poses that do not determine an angle."""
  known = np.isfinite(angles['pelvis_tilt'])
  shares = {
    name: float(np.isnan(values[known]).mean()) if known.any() else 0.0
    for name, values in angles.items()
  }
  return {name: share for name, share in shares.items() if share}


def _axes(up: np.ndarray, right: np.ndarray, keep: str) -> np.ndarray:
  """Builds the axes x, y, z of a segment as columns, `[T, 3, 3]`.

  Args:
    up: Vectors `[T, 3]` along y.
    right: Vectors `[T, 3]` along z.
    keep: The axis, 'y' or 'z', that is matched exactly.
  """
  forwards = np.cross(up, right)
  if keep == 'y':
    right = np.cross(forwards, up)
  else:
    up = np.cross(right, forwards)
  axes = np.stack([forwards, up, right], axis=-1)
  length = np.linalg.norm(axes, axis=1, keepdims=True)
  return axes / np.where(length > 1e-9, length, np.nan)


def _relative(above: np.ndarray, below: np.ndarray) -> np.ndarray:
  """Returns the rotations of segments relative to those above."""
  return above.swapaxes(1, 2) @ below


def _three(turns: np.ndarray) -> np.ndarray:
  """Splits rotations into turns about z, x and y, `[T, 3]`, degrees."""
  result = np.full((len(turns), 3), np.nan)
  known = np.isfinite(turns).all(axis=(1, 2))
  if known.any():
    rotations = Rotation.from_matrix(turns[known])
    result[known] = rotations.as_euler('ZXY', degrees=True)
  return result


def _limb(
  above: np.ndarray, up: np.ndarray, bent: np.ndarray, bend: np.ndarray
) -> np.ndarray:
  """Computes flexion, adduction and rotation of an upper limb.

  Args:
    above: The axes of the segment above, `[T, 3, 3]`.
    up: Vectors along the limb, towards the body, `[T, 3]`.
    bent: Vectors `[T, 3]` that are in front of the limb if the next joint is
      bent.
    bend: The bend of the next joint, `[T]`, degrees.
  """
  told = bend > _BENT
  across = np.where(told[:, None], np.cross(bent, up), above[..., 2])
  turns = _three(_relative(above, _axes(up, across, 'y')))
  turns[~told, 2] = np.nan
  return turns


def _between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Returns the angles between vectors `[T, 3]`, `[T]`, degrees."""
  across = np.linalg.norm(np.cross(first, second), axis=-1)
  return np.rad2deg(np.arctan2(across, (first * second).sum(axis=-1)))
