"""Builds bodies from round parts around the joints."""

import dataclasses
import itertools

import numpy as np

from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.simulation.drawn_people import People

_SKIN, _HAIR, _TOP, _TROUSERS, _SHOES, _TOP_2, _TROUSERS_2 = range(7)


@dataclasses.dataclass(frozen=True)
class Bodies:
  """The K parts of N bodies, in metres, in the frame of the poses.

  A part is the union of balls whose centers and radii change linearly from one
  end of a line to the other. Stretching makes the balls ellipsoids.

  Attributes:
    starts: Where the lines begin, `[N, K, 3]`.
    ends: Where they end, `[N, K, 3]`.
    radii: The radii at both ends, `[N, K, 2]`.
    across: Two unit vectors, roughly perpendicular to the line, `[N, K, 2, 3]`.
    stretch: The factors of the radii along these, `[N, K, 2]`.
    colors: The color up to `cut`, that of the stripes there, and the color
      beyond, `[N, K, 3, 3]`.
    cut: Where the color changes, as a fraction of the line, `[N, K]`.
    stripes: Stripes per metre along and across the line, `[N, K, 2]`.
  """

  starts: np.ndarray
  ends: np.ndarray
  radii: np.ndarray
  across: np.ndarray
  stretch: np.ndarray
  colors: np.ndarray
  cut: np.ndarray
  stripes: np.ndarray

  @property
  def reach(self) -> np.ndarray:
    """The radii of bounding balls at both ends, `[N, K, 2]`."""
    return self.radii * np.maximum(self.stretch.max(axis=-1), 1)[..., None]


def make(poses: np.ndarray, people: People, yaw: np.ndarray) -> Bodies:
  """Builds the bodies of people.

  Args:
    poses: The joints, `[N, 16, 3]`, metres.
    people: The people.
    yaw: The angle by which each turns the head to the left, `[N]`, radians.
  """
  joints = dict(zip(H36M.joints, np.moveaxis(poses, 1, 0), strict=True))
  parts = _Parts(people)
  _add_trunk(parts, joints)
  _add_head(parts, joints, yaw)
  for side in 'RL':
    _add_leg(parts, joints, side)
    _add_arm(parts, joints, side)
  return parts.stacked()


class _Parts:
  """Collects the parts of bodies."""

  def __init__(self, people: People):
    self.people = people
    self._parts: list[tuple] = []

  def add(
    self,
    line: tuple[np.ndarray, np.ndarray],
    radii: tuple,
    axes: tuple[np.ndarray, np.ndarray],
    near: int,
    far: int | None = None,
    cut: np.ndarray | None = None,
    stretch: tuple = (1.0, 1.0),
  ) -> None:
    """Adds a part to every body; clothing thickens it. See `Bodies`.

    Args:
      line: Its ends, `[N, 3]` each.
      radii: The radii there, each a number or `[N]`.
      axes: The unit vectors across it, `[N, 3]` each.
      near: The index of the color up to the cut.
      far: That of the color beyond; None for the same.
      cut: Where the cut is, `[N]`; None for no cut.
      stretch: The factors of the radii along the axes, each a number or `[N]`.
    """
    people, count = self.people, len(line[0])
    far = near if far is None else far
    second = {_TOP: _TOP_2, _TROUSERS: _TROUSERS_2}.get(near, near)
    stripes = {_TOP: people.stripes[:, 0], _TROUSERS: people.stripes[:, 1]}
    loose = people.loose if near in stripes else 0.0
    self._parts.append(
      (
        *line,
        np.stack([np.broadcast_to(r + loose, count) for r in radii], -1),
        np.stack(axes, axis=1),
        np.stack([np.broadcast_to(s, count) for s in stretch], -1),
        people.colors[:, [near, second, far]],
        np.full(count, 2.0) if cut is None else cut,
        stripes.get(near, np.zeros((count, 2))),
      )
    )

  def stacked(self) -> Bodies:
    """Returns the bodies."""
    return Bodies(
      *(np.stack(f, axis=1) for f in zip(*self._parts, strict=True))
    )


def _unit(vectors: np.ndarray) -> np.ndarray:
  length = np.linalg.norm(vectors, axis=-1, keepdims=True)
  return vectors / np.maximum(length, 1e-9)


def _without(vectors: np.ndarray, axis: np.ndarray) -> np.ndarray:
  """Projects vectors onto the plane across a unit axis, and normalizes them."""
  # Perturbed, as a vector along the axis would have no direction left.
  vectors = vectors + 1e-4 * np.roll(axis, 1, axis=-1)
  return _unit(vectors - (vectors * axis).sum(-1, keepdims=True) * axis)


def _axes(right: np.ndarray, line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns two axes perpendicular to a unit line, the first to the right."""
  across = _without(right, line)
  return across, np.cross(line, across)


def _frame(joints: dict, right: str, left: str, low: str, high: str):
  """Returns right, front and up of a part of the trunk, `[N, 3]` each."""
  up = _unit(joints[high] - joints[low])
  side = _without(joints[right] - joints[left], up)
  return side, np.cross(up, side), up


def _add_trunk(parts: _Parts, joints: dict) -> None:
  """Adds hips, belly, chest, shoulders and neck."""
  people = parts.people
  girth = people.girth[:, 0]
  wide, broad = people.trunk[:, 0], people.trunk[:, 1]
  pelvis, spine, thorax = joints['Pelvis'], joints['Spine'], joints['Thorax']
  side, front, up = _frame(joints, 'RHip', 'LHip', 'Pelvis', 'Spine')
  inner = 0.36 * (joints['RHip'] - joints['LHip'])
  back = (joints['RHip'] + joints['LHip']) / 2 - 0.01 * front
  hips, line = 0.097 * girth, (back - inner, back + inner)
  parts.add(line, (hips, hips), (front, up), _TROUSERS, stretch=(1.0, 1.1))
  low = pelvis + 0.25 * (spine - pelvis)
  parts.add(
    (spine, low),
    (0.1 * girth, 0.105 * girth),
    (side, front),
    _TOP,
    far=_TROUSERS,
    cut=np.full(len(low), 0.9),
    stretch=(wide, 1.0),
  )
  side, front, up = _frame(joints, 'RShoulder', 'LShoulder', 'Spine', 'Thorax')
  high = spine + 0.66 * (thorax - spine) + 0.01 * front
  radii, axes = (0.1 * girth, 0.112 * girth), (side, front)
  parts.add((spine, high), radii, axes, _TOP, stretch=(broad, 1.0))
  base = thorax - 0.05 * up
  radii = 0.072 * girth, 0.055 * girth
  for shoulder in (joints['RShoulder'], joints['LShoulder']):
    parts.add((base, shoulder), radii, (front, up), _TOP)
  throat = thorax + 0.55 * (joints['Head'] - thorax)
  girth = people.girth[:, 3]
  radii = 0.058 * girth, 0.05 * girth
  parts.add((thorax - 0.02 * up, throat), radii, axes, _SKIN)


def _add_head(parts: _Parts, joints: dict, yaw: np.ndarray) -> None:
  """Adds the head, its hair and its nose."""
  people = parts.people
  girth = people.girth[:, 3]
  side, front, up = _frame(joints, 'RShoulder', 'LShoulder', 'Thorax', 'Head')
  cos, sin = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
  side, front = cos * side + sin * front, cos * front - sin * side
  axes, narrow = (side, front), (0.86, 1.0)
  neck = joints['Head'] - joints['Thorax']
  middle = joints['Thorax'] + 0.82 * neck
  chin = joints['Thorax'] + 0.55 * neck + 0.035 * front
  radii = 0.058 * girth, 0.093 * girth
  parts.add((chin, middle), radii, axes, _SKIN, stretch=narrow)
  crown = middle - 0.02 * front + 0.016 * up
  ends = crown - people.hair[:, None] * (up + 0.25 * front)
  radii = 0.097 * girth, 0.08 * girth
  parts.add((crown, ends), radii, axes, _HAIR, stretch=narrow)
  nose = middle + 0.088 * front - 0.02 * up
  line = nose, nose + 0.014 * front - 0.03 * up
  parts.add(line, (0.011, 0.017), axes, _SKIN)


def _add_limb(
  parts: _Parts,
  joints: tuple[np.ndarray, ...],
  radii: tuple[tuple, ...],
  right: np.ndarray,
  color: int,
  covered: np.ndarray,
) -> None:
  """Adds a limb, of which clothing covers the first `covered` bones."""
  bones = zip(itertools.pairwise(joints), radii, strict=True)
  for number, (line, thick) in enumerate(bones):
    axes = _axes(right, _unit(line[1] - line[0]))
    parts.add(line, thick, axes, color, far=_SKIN, cut=covered - number)


def _add_leg(parts: _Parts, joints: dict, side: str) -> None:
  """Adds a thigh, a shin and a foot; the toes point where the knee bends."""
  people, girth = parts.people, parts.people.girth[:, 2]
  hip, knee, ankle = (joints[side + j] for j in ('Hip', 'Knee', 'Ankle'))
  right, front, _ = _frame(joints, 'RHip', 'LHip', 'Pelvis', 'Spine')
  thigh, shin = _unit(knee - hip), _unit(ankle - knee)
  radii = (0.088 * girth, 0.055 * girth), (0.056 * girth, 0.038 * girth)
  _add_limb(parts, (hip, knee, ankle), radii, right, _TROUSERS, people.legs)
  bend = thigh - (thigh * shin).sum(-1, keepdims=True) * shin
  toes = _without(front + 1.5 * bend, shin)
  heel = ankle + 0.03 * shin - 0.035 * toes
  tip = ankle + 0.045 * shin + people.foot[:, None] * toes
  axes = np.cross(toes, shin), shin
  parts.add((heel, tip), (0.042, 0.031), axes, _SHOES, stretch=(1.15, 0.95))


def _add_arm(parts: _Parts, joints: dict, side: str) -> None:
  """Adds an upper arm, a forearm and a hand."""
  people, girth = parts.people, parts.people.girth[:, 1]
  arm = tuple(joints[side + j] for j in ('Shoulder', 'Elbow', 'Wrist'))
  right, _, _ = _frame(joints, 'RShoulder', 'LShoulder', 'Spine', 'Thorax')
  radii = (0.053 * girth, 0.041 * girth), (0.041 * girth, 0.029 * girth)
  _add_limb(parts, arm, radii, right, _TOP, people.sleeves)
  _, elbow, wrist = arm
  lower = _unit(wrist - elbow)
  line = wrist + 0.03 * lower, wrist + 0.125 * lower
  radii, axes = (0.042 * girth, 0.031 * girth), _axes(right, lower)
  parts.add(line, radii, axes, _SKIN, stretch=(0.5, 1.0))
