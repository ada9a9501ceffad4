"""Models the body of a rig: rounded parts that move with its joints."""

import dataclasses

import numpy as np
from scipy.interpolate import PchipInterpolator

from semgcn_jax.motion.rig import JOINTS, PARENTS

_AROUND = 16  # Corners of a part's cross section.
_CAP = 4  # Rings of each of its rounded ends.
_ALONG = 6  # Rings between them.

Shift = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Surface:
  """A closed surface of V corners and F triangles, in the rest pose.

  Attributes:
    points: The corners, `[V, 3]`, metres; the pelvis is at the origin.
    normals: The unit normals of the surface there, `[V, 3]`.
    joints: The joint of the rig that each corner moves with, `[V]`.
    triangles: The corners of each triangle, `[F, 3]`, counterclockwise when
      seen from outside.
  """

  points: np.ndarray
  normals: np.ndarray
  joints: np.ndarray
  triangles: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Part:
  """A part of the body: a bar with rounded ends between two places.

  Attributes:
    joint: The joint that it moves with.
    start: The joint where it begins, and how far from it, metres.
    end: The joint where it ends, and how far from it, metres.
    radii: The radii at equal distances from start to end, metres.
    depth: The factor of the radii from front to back; from top to bottom if the
      part lies from back to front.
  """

  joint: str
  start: tuple[str, Shift]
  end: tuple[str, Shift]
  radii: tuple[float, ...]
  depth: float = 1.0


_AT = (0.0, 0.0, 0.0)
# The sizes are those of a person who is so tall from the ankles to the top of
# the head, in metres; they grow with the person.
_HEIGHT = 1.61
_PARTS = {
  'trunk': (
    _Part('Pelvis', ('LHip', _AT), ('RHip', _AT), (0.088, 0.112, 0.088), 0.95),
    _Part(
      'LowerSpine', ('Pelvis', _AT), ('Spine', _AT), (0.13, 0.125, 0.125), 0.74
    ),
    _Part(
      'Spine',
      ('Spine', _AT),
      ('Thorax', (0, -0.11, 0)),
      (0.125, 0.14, 0.15),
      0.74,
    ),
    _Part(
      'Neck', ('Thorax', (0, -0.05, 0)), ('Head', (0, -0.14, 0)), (0.06, 0.05)
    ),
    _Part(
      'Head',
      ('Head', (0, -0.13, 0.015)),
      ('Head', (0, -0.09, 0.01)),
      (0.082, 0.09),
      1.15,
    ),
  ),
  'left': (
    _Part('LHip', ('LHip', _AT), ('LKnee', _AT), (0.084, 0.083, 0.069, 0.055)),
    _Part(
      'LKnee', ('LKnee', _AT), ('LAnkle', _AT), (0.055, 0.059, 0.047, 0.037)
    ),
    _Part(
      'LAnkle',
      ('LAnkle', (0, -0.04, -0.025)),
      ('LAnkle', (0, -0.05, 0.15)),
      (0.04, 0.046, 0.036),
      0.8,
    ),
    _Part(
      'LShoulder', ('LShoulder', _AT), ('LElbow', _AT), (0.058, 0.05, 0.041)
    ),
    _Part(
      'LElbow', ('LElbow', _AT), ('LWrist', _AT), (0.041, 0.042, 0.035, 0.028)
    ),
    _Part(
      'LWrist',
      ('LWrist', (0.03, 0, 0)),
      ('LWrist', (0.14, 0, 0)),
      (0.02, 0.024, 0.016),
      1.8,
    ),
  ),
}
# The collar belongs to the trunk, but there is one on each side.
_COLLAR = _Part(
  'LClavicle',
  ('Thorax', (0.02, -0.045, 0)),
  ('LShoulder', _AT),
  (0.085, 0.07, 0.055),
)


def body_surfaces(offsets: np.ndarray) -> dict[str, Surface]:
  """Models the body of a person as three surfaces.

  Args:
    offsets: The rest pose of the rig, `[R, 3]`, metres.

  Returns:
    The surfaces 'trunk', 'left' (the left limbs) and 'right'.
  """
  places = np.zeros_like(offsets)
  for index, parent in enumerate(PARENTS):
    if parent >= 0:
      places[index] = places[parent] + offsets[index]
  height = places[JOINTS.index('Head'), 1] - places[JOINTS.index('LAnkle'), 1]
  scale = max(height, 0.1) / _HEIGHT
  parts = {
    'trunk': (*_PARTS['trunk'], _COLLAR, _mirrored(_COLLAR)),
    'left': _PARTS['left'],
    'right': tuple(_mirrored(part) for part in _PARTS['left']),
  }
  return {
    name: _joined([_surface(part, places, scale) for part in group])
    for name, group in parts.items()
  }


def _mirrored(part: _Part) -> _Part:
  """Makes the part of the right side that is like one of the left."""

  def other(place: tuple[str, Shift]) -> tuple[str, Shift]:
    joint, (x, y, z) = place
    return joint.replace('L', 'R', 1) if joint[0] == 'L' else joint, (-x, y, z)

  return dataclasses.replace(
    part,
    joint=other((part.joint, _AT))[0],
    start=other(part.start),
    end=other(part.end),
  )


def _surface(part: _Part, places: np.ndarray, scale: float) -> Surface:
  """Models a part, given the places `[R, 3]` of the joints, in metres."""
  start, end = (
    places[JOINTS.index(joint)] + np.array(shift) * scale
    for joint, shift in (part.start, part.end)
  )
  length = float(np.linalg.norm(end - start))
  axis = (end - start) / length if length > 1e-6 else np.array([0.0, 1, 0])
  length = max(length, 1e-3)  # Rings in one place would have no normals.
  front = np.array([0.0, 1, 0] if abs(axis[2]) > 0.7 else [0.0, 0, 1])
  front -= (front @ axis) * axis
  front /= np.linalg.norm(front)
  side = np.cross(front, axis)
  along, radii = _profile(length, np.array(part.radii) * scale)
  angles = np.arange(_AROUND) * (2 * np.pi / _AROUND)
  circle = np.cos(angles)[:, None] * side
  circle += np.sin(angles)[:, None] * front * part.depth
  rings = start + along[:, None, None] * axis + radii[:, None, None] * circle
  caps = start + along[[0, -1], None] * axis
  # The first and the last ring of the profile are points.
  points = np.concatenate([caps[:1], rings[1:-1].reshape(-1, 3), caps[1:]])
  triangles = _triangles(len(along) - 2)
  joints = np.full(len(points), JOINTS.index(part.joint))
  return Surface(points, _normals(points, triangles), joints, triangles)


def _profile(length: float, radii: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Makes the outline of a bar with rounded ends.

  Returns:
    For each ring its place along the bar, which begins at 0, and its radius,
    in metres; the radius of the first and the last is 0.
  """
  share = np.linspace(0, 1, _ALONG)
  middle = PchipInterpolator(np.linspace(0, 1, len(radii)), radii)(share)
  angle = np.linspace(0, np.pi / 2, _CAP + 1)[:-1]
  first, last = radii[0], radii[-1]
  along = [
    -first * np.cos(angle),
    share * length,
    length + last * np.cos(angle[::-1]),
  ]
  rounded = [first * np.sin(angle), middle, last * np.sin(angle[::-1])]
  return np.concatenate(along), np.concatenate(rounded)


def _triangles(rings: int) -> np.ndarray:
  """Joins rings of corners, between a first and a last single corner."""
  here = np.arange(_AROUND)
  beside = np.roll(here, -1)
  last = 1 + rings * _AROUND
  faces = [np.stack([np.zeros_like(here), 1 + beside, 1 + here], axis=-1)]
  for ring in range(rings - 1):
    low, high = 1 + ring * _AROUND, 1 + (ring + 1) * _AROUND
    faces.append(np.stack([low + here, low + beside, high + here], axis=-1))
    faces.append(np.stack([low + beside, high + beside, high + here], axis=-1))
  top = last - _AROUND
  end = np.full_like(here, last)
  faces.append(np.stack([top + here, top + beside, end], axis=-1))
  return np.concatenate(faces)


def _normals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
  """Averages the normals of the triangles at each corner, by their areas."""
  a, b, c = (points[triangles[:, corner]] for corner in range(3))
  across = np.cross(b - a, c - a)
  normals = np.zeros_like(points)
  for corner in range(3):
    np.add.at(normals, triangles[:, corner], across)
  return normals / np.linalg.norm(normals, axis=-1, keepdims=True)


def _joined(surfaces: list[Surface]) -> Surface:
  """Puts surfaces into one."""
  starts = np.cumsum([0, *(len(surface.points) for surface in surfaces)])
  return Surface(
    np.concatenate([surface.points for surface in surfaces]),
    np.concatenate([surface.normals for surface in surfaces]),
    np.concatenate([surface.joints for surface in surfaces]),
    np.concatenate(
      [s.triangles + n for s, n in zip(surfaces, starts[:-1], strict=True)]
    ),
  )
