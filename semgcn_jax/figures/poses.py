"""Drawings of poses: 2D, prediction and truth, as in the paper's Fig. 5."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection

from semgcn_jax.detections.clips import Person
from semgcn_jax.figures.palette import PAPER
from semgcn_jax.figures.style import new_figure
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.motion.upright import Scene

_FLOOR = '#d8d8d8'
_MOST_LINES = 100  # On the floor, on each side of the middle.
# Views of the room: azimuth and elevation, degrees.
FRONT, SIDE, TOP = (25.0, 12.0), (115.0, 12.0), (25.0, 89.0)
_ROWS, _COLUMNS = 3, 3  # Of samples, in a grid.
_NOTE = {'fontsize': 'x-small', 'color': '#777777', 'va': 'top'}


@dataclasses.dataclass(frozen=True, eq=False)
class _Sample:
  """A pose to draw: a row of a person of a scene."""

  scene: Scene
  person: int
  row: int
  error: float

  @property
  def title(self) -> str:
    """The title to write above it."""
    clip = self.scene.clip
    person = clip.people[self.person]
    parts = [clip.name]
    if len(clip.people) > 1:
      parts.append(f'person {person.name}')
    parts.append(f'frame {person.frames[self.row]}')
    if np.isfinite(self.error):
      kind = '' if person.truth is not None else '± '
      digits = 0 if self.scene.unit >= 1 else 1
      parts.append(f'{kind}{1000 * self.error:.{digits}f} mm')
    return ', '.join(parts)


def draw_grid(scenes: Sequence[Scene]) -> Any:
  """Draws a grid of poses: some of median error, then a row of the worst.

  They are from as many different clips as possible. The error is the true one
  if it is known, or else the expected one. Without truth, poses are also shown
  from the side and from above.

  Returns:
    The figure.
  """
  samples = _choose(scenes)
  with_truth = any(p.truth is not None for s in scenes for p in s.clip.people)
  rows = -(-max(1, len(samples)) // _COLUMNS)
  columns = min(_COLUMNS, max(1, len(samples)))
  kinds = {'prediction': FRONT}
  if with_truth:
    kinds['truth'] = FRONT
  else:
    kinds |= {'from the side': SIDE, 'from above': TOP}
  each = 1 + len(kinds)
  figure = new_figure(1.4 * each * columns, 1.75 * rows + 0.5)
  grid = figure.subplots(rows, each * columns, squeeze=False)
  for axes in grid.flat:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
  for number, sample in enumerate(samples):
    at, place = grid[number // columns], each * (number % columns)
    flat, *rooms = at[place : place + each]
    clip, skeleton = sample.scene.clip, sample.scene.clip.skeleton
    person = clip.people[sample.person]
    upright = sample.scene.drawn[sample.person]
    frame = int(person.frames[sample.row])
    if person.keypoints is not None:
      picture = clip.pictures.decoded(frame) if clip.pictures else None
      keypoints = person.keypoints[sample.row]
      draw_flat(flat, keypoints, skeleton, clip.image_size, picture)
    for axes, (kind, view) in zip(rooms, kinds.items(), strict=True):
      joints = upright.truth if kind == 'truth' else upright.positions
      if joints is not None:
        draw_room(axes, joints[sample.row], skeleton, view)
    rooms[0].set_title(sample.title, fontsize='small', parse_math=False)
    if number < columns:
      for axes, kind in zip((flat, *rooms), ('2D', *kinds), strict=True):
        axes.text(0.03, 0.97, kind, **_NOTE, transform=axes.transAxes)
  if any(scene.clip.skeleton.left for scene in scenes):
    for label in ('left', 'right', 'trunk'):
      grid[0, 0].plot([], [], color=PAPER[label], linewidth=3, label=label)
    figure.legend(loc='outside lower center', ncols=3, frameon=False)
  return figure


def _choose(scenes: Sequence[Scene]) -> list[_Sample]:
  """Chooses the poses to draw: first of median error, then the worst."""
  everything = []
  for scene in scenes:
    for index, person in enumerate(scene.clip.people):
      errors = _errors(person)
      rows = np.flatnonzero(person.is_whole).tolist()
      samples = [_Sample(scene, index, r, float(errors[r])) for r in rows]
      if samples:
        everything.append(samples)
  if not everything:
    return []
  most = (_ROWS - 1) * _COLUMNS
  chosen: list[_Sample] = []
  picks = np.linspace(0, len(everything) - 1, min(most, len(everything)))
  for index in picks.round().astype(int):
    ordered = sorted(everything[index], key=lambda sample: sample.error)
    # If there are few clips, each gives several poses.
    each = -(-most // len(picks))
    places = np.linspace(0, len(ordered) - 1, each + 2)[1:-1]
    chosen += [ordered[round(place)] for place in places]
  chosen = list(dict.fromkeys(chosen))[:most]
  rest = [s for samples in everything for s in samples if s not in chosen]
  worst = sorted(rest, key=lambda sample: -np.nan_to_num(sample.error))
  # One from each clip first.
  first = list({id(s.scene): s for s in reversed(worst)}.values())
  first.sort(key=lambda sample: worst.index(sample))
  rest = [sample for sample in worst if sample not in first]
  return chosen + (first + rest)[:_COLUMNS]


def _errors(person: Person) -> np.ndarray:
  """Computes the error of each pose, true or expected, `[T]`, metres."""
  if person.truth is not None:
    return np.linalg.norm(person.poses - person.truth, axis=-1).mean(axis=-1)
  if person.errors is not None:
    return person.errors.mean(axis=-1)
  return np.full(len(person.frames), np.nan)


def draw_flat(
  axes: Any,
  keypoints: np.ndarray,
  skeleton: Skeleton,
  image_size: tuple[int, int],
  picture: np.ndarray | None = None,
) -> None:
  """Draws keypoints in 2D, on their image if there is one.

  Args:
    axes: The axes to draw into.
    keypoints: Pixels and confidence, `[J, 3]`; bones to missing joints are left
      out.
    skeleton: Their skeleton.
    image_size: The width and height that the keypoints refer to, pixels.
    picture: The image, `[H, W, 3]`, of any size.
  """
  found = keypoints[:, 2] > 0
  if picture is not None:
    axes.imshow(picture, extent=(0, image_size[0], image_size[1], 0))
  bones(axes, keypoints[:, :2], skeleton, found)
  if found.any():
    low, high = (f(keypoints[found, :2], axis=0) for f in (np.min, np.max))
    middle, reach = (low + high) / 2, 0.62 * max(*(high - low), 1)
    axes.set_xlim(middle[0] - reach, middle[0] + reach)
    axes.set_ylim(middle[1] + reach, middle[1] - reach)  # y down.
  axes.set_aspect('equal')


def draw_room(
  axes: Any,
  joints: np.ndarray,
  skeleton: Skeleton,
  view: tuple[float, float],
) -> None:
  """Draws a person on the floor, without perspective, and fits axes to them.

  Args:
    axes: The axes to draw into.
    joints: The joints, `[J, 3]`, metres, in the room.
    skeleton: Their skeleton.
    view: The azimuth and elevation of the viewer, degrees.
  """
  # The floor below the person is shown, too.
  shown = np.concatenate([joints, joints * (1, 0, 1)])
  shown = shown[np.isfinite(shown).all(axis=-1)]
  seen = seen_from(shown, view) if len(shown) else np.zeros((1, 2))
  low, high = seen.min(axis=0), seen.max(axis=0)
  middle, half = (low + high) / 2, 0.56 * max(*(high - low), 1.5)
  low, high = middle - half, middle + half
  axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect='equal')
  draw_floor(axes, low, high, view)
  draw_sticks(axes, [joints], skeleton, view)


def draw_sticks(
  axes: Any,
  people: Sequence[np.ndarray],
  skeleton: Skeleton,
  view: tuple[float, float],
) -> None:
  """Draws people as sticks; those without all joints are left out.

  Args:
    axes: The axes to draw into.
    people: The joints of each, `[J, 3]`, metres, in the room.
    skeleton: Their skeleton.
    view: The azimuth and elevation of the viewer, degrees.
  """
  whole = [joints for joints in people if np.isfinite(joints).all()]
  # Draw people who are farther away first.
  for joints in sorted(whole, key=lambda p: p.mean(axis=0) @ towards(view)):
    bones(axes, seen_from(joints, view), skeleton)


def draw_floor(
  axes: Any, low: np.ndarray, high: np.ndarray, view: tuple[float, float]
) -> None:
  """Draws lines on the floor, a metre apart, wherever axes show it.

  Args:
    axes: The axes to draw into.
    low: Their limits on the left and below, `[2]`, metres.
    high: Their limits on the right and above, `[2]`, metres.
    view: The azimuth and elevation of the viewer, degrees.
  """
  # Where the floor is that is seen in the corners.
  across = seen_from(np.array([(1.0, 0, 0), (0, 0, 1)]), view)
  corners = np.array(
    [(x, y) for x in (low[0], high[0]) for y in (low[1], high[1])]
  )
  places = np.linalg.solve(across.T, corners.T).T
  start, end = np.floor(places.min(axis=0)), np.ceil(places.max(axis=0))
  # Seen along the floor, there is no end of lines.
  start, end = np.maximum(start, -_MOST_LINES), np.minimum(end, _MOST_LINES)
  lines = [
    ((x, 0, start[1]), (x, 0, end[1])) for x in np.arange(start[0], end[0] + 1)
  ]
  lines += [
    ((start[0], 0, z), (end[0], 0, z)) for z in np.arange(start[1], end[1] + 1)
  ]
  if lines:
    shown = seen_from(np.array(lines), view)
    axes.add_collection(
      LineCollection(list(shown), colors=_FLOOR, linewidths=0.7),
      autolim=False,
    )


def seen_from(points: np.ndarray, view: tuple[float, float]) -> np.ndarray:
  """Projects points `[..., 3]` of the room to x and y, `[..., 2]`."""
  azimuth, elevation = np.deg2rad(view)
  cos, sin = np.cos(azimuth), np.sin(azimuth)
  right = np.array([cos, 0, -sin])
  tilt = np.sin(elevation)
  up = np.array([-sin * tilt, np.cos(elevation), -cos * tilt])
  return np.stack([points @ right, points @ up], axis=-1)


def towards(view: tuple[float, float]) -> np.ndarray:
  """Returns the direction in the room from its middle to the viewer, `[3]`."""
  azimuth, elevation = np.deg2rad(view)
  level = np.cos(elevation)
  return np.array(
    [np.sin(azimuth) * level, np.sin(elevation), np.cos(azimuth) * level]
  )


def bones(
  axes: Any,
  joints: np.ndarray,
  skeleton: Skeleton,
  found: np.ndarray | None = None,
) -> None:
  """Draws the bones between joints `[J, 2]` that were found."""
  for parent, child in skeleton.bones:
    if found is not None and not (found[parent] and found[child]):
      continue
    side = 'left' if child in skeleton.left else 'trunk'
    side = 'right' if child in skeleton.right else side
    style = {'linewidth': 2.5, 'solid_capstyle': 'round'}
    axes.plot(*joints[[parent, child]].T, color=PAPER[side], **style)
