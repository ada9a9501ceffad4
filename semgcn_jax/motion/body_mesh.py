"""Models the body of a rig: rounded parts that move with its joints."""

import csv
import dataclasses
import functools
import importlib.resources
from collections.abc import Mapping

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.spatial.transform import Rotation

from semgcn_jax.motion.rig import JOINTS, PARENTS, Motion, in_world

_AROUND = 16  # Vertices of a part's cross section.
_CAP = 4  # Rings of each rounded end.
_ALONG = 6  # Rings between them.

_Place = tuple[str, tuple[float, ...]]


@dataclasses.dataclass(frozen=True)
class Surface:
  """A closed mesh of V vertices and F triangles, in the rest pose.

  Attributes:
    points: The vertices, `[V, 3]`, metres, relative to the pelvis.
    normals: Their unit normals, `[V, 3]`.
    joints: The joint of the rig that moves each vertex, `[V]`.
    triangles: The vertices of each triangle, `[F, 3]`, counterclockwise when
      seen from outside.
  """

  points: np.ndarray
  normals: np.ndarray
  joints: np.ndarray
  triangles: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Part:
  """A part of the body: a bar with rounded ends.

  Attributes:
    joint: The joint that moves it.
    start: A joint, and the offset from it where the part begins, metres.
    end: The same, where the part ends.
    radii: The radii at equal distances from start to end, metres.
    depth: The factor of the radii from front to back, or from top to bottom if
      the part points forward.
  """

  joint: str
  start: _Place
  end: _Place
  radii: tuple[float, ...]
  depth: float = 1.0


# The parts are those of a person of this height from the ankles to the top of
# the head, metres; they scale with the person.
_HEIGHT = 1.61


@functools.cache
def _parts() -> dict[str, list[_Part]]:
  """Reads the parts of trunk, left and right; the file has one side only."""
  path = importlib.resources.files('semgcn_jax.motion') / 'body_parts.csv'
  parts: dict[str, list[_Part]] = {'trunk': [], 'left': [], 'right': []}

  def numbers(text):
    return tuple(map(float, text.split()))

  for row in csv.DictReader(path.read_text().splitlines()):
    part = _Part(
      row['joint'],
      (row['start'], numbers(row['start_shift'])),
      (row['end'], numbers(row['end_shift'])),
      numbers(row['radii']),
      float(row['depth']),
    )
    # The collar belongs to the trunk, but there is one on each side.
    group = row['group']
    parts['trunk' if group == 'collar' else group].append(part)
    if group != 'trunk':
      other = 'trunk' if group == 'collar' else 'right'
      parts[other].append(_mirrored(part))
  return parts


def body_surfaces(offsets: np.ndarray) -> dict[str, Surface]:
  """Models a person's body as the surfaces 'trunk', 'left' and 'right'.

  Args:
    offsets: The rest pose of the rig, `[R, 3]`, metres.
  """
  places = rest_places(offsets)
  height = places[JOINTS.index('Head'), 1] - places[JOINTS.index('LAnkle'), 1]
  scale = max(height, 0.1) / _HEIGHT
  return {
    name: _joined([_surface(part, places, scale) for part in group])
    for name, group in _parts().items()
  }


def pose_bodies(
  surfaces: Mapping[str, Surface], motion: Motion, row: int
) -> dict[str, np.ndarray]:
  """Moves the vertices of surfaces with a rig.

  Args:
    surfaces: What `body_surfaces` returns for the rig.
    motion: The motion of the rig.
    row: The frame of the motion.

  Returns:
    The vertices of each, `[V, 3]`, metres, y up.
  """
  turns, places = in_world(
    motion.offsets,
    [Rotation.from_quat(turn) for turn in motion.rotations[row]],
    motion.root[row],
  )
  matrices = np.stack([turn.as_matrix() for turn in turns])
  # A vertex keeps its place relative to its joint.
  shifts = np.stack(places) - np.einsum(
    'rij,rj->ri', matrices, rest_places(motion.offsets)
  )
  return {
    name: np.einsum('vij,vj->vi', matrices[s.joints], s.points)
    + shifts[s.joints]
    for name, s in surfaces.items()
  }


def rest_places(offsets: np.ndarray) -> np.ndarray:
  """Computes the positions of the joints in the rest pose, `[R, 3]`, metres."""
  places = np.zeros_like(offsets)
  for index, parent in enumerate(PARENTS):
    if parent >= 0:
      places[index] = places[parent] + offsets[index]
  return places


def _mirrored(part: _Part) -> _Part:
  """Mirrors a part of the left side."""

  def other(joint):
    return f'R{joint[1:]}' if joint[0] == 'L' else joint

  start, end = (
    (other(joint), (-x, y, z)) for joint, (x, y, z) in (part.start, part.end)
  )
  return dataclasses.replace(
    part, joint=other(part.joint), start=start, end=end
  )


def _surface(part: _Part, places: np.ndarray, scale: float) -> Surface:
  """Models a part, given the positions of the joints, `[R, 3]`, metres."""
  start, end = (
    places[JOINTS.index(joint)] + np.array(shift) * scale
    for joint, shift in (part.start, part.end)
  )
  length = float(np.linalg.norm(end - start))
  axis = (end - start) / length if length > 1e-6 else np.array([0.0, 1, 0])
  length = max(length, 1e-3)  # Coincident rings would have no normals.
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
  # The first and last rings are points.
  points = np.concatenate([caps[:1], rings[1:-1].reshape(-1, 3), caps[1:]])
  triangles = _triangles(len(along) - 2)
  joints = np.full(len(points), JOINTS.index(part.joint))
  return Surface(points, _normals(points, triangles), joints, triangles)


def _profile(length: float, radii: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Outlines a bar with rounded ends.

  Returns:
    The position of each ring along the bar, and its radius, metres; the first
    and last radii are 0.
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
  """Connects rings of vertices, between a first and a last single vertex."""
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
  """Averages the triangles' normals at each vertex, weighted by area."""
  a, b, c = (points[triangles[:, corner]] for corner in range(3))
  across = np.cross(b - a, c - a)
  normals = np.zeros_like(points)
  for corner in range(3):
    np.add.at(normals, triangles[:, corner], across)
  return normals / np.linalg.norm(normals, axis=-1, keepdims=True)


def _joined(surfaces: list[Surface]) -> Surface:
  """Merges surfaces."""
  starts = np.cumsum([0, *(len(surface.points) for surface in surfaces)])
  shifted = zip(surfaces, starts[:-1], strict=True)
  return Surface(
    np.concatenate([surface.points for surface in surfaces]),
    np.concatenate([surface.normals for surface in surfaces]),
    np.concatenate([surface.joints for surface in surfaces]),
    np.concatenate([surface.triangles + start for surface, start in shifted]),
  )
