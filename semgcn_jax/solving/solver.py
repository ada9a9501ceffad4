"""Solves a clip: its people's bodies and paths, and where the camera is."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, Unpack

import jax
import numpy as np
from scipy.interpolate import Akima1DInterpolator

from semgcn_jax.detections.clips import Clip, Person, View
from semgcn_jax.geometry.skeletons import H36M, join_bones
from semgcn_jax.inference.arguments import Options, read_arguments
from semgcn_jax.inference.lifted import Lifted
from semgcn_jax.motion.path import SOLE
from semgcn_jax.motion.upright import angles_of, unit, vertical_of
from semgcn_jax.solving import body
from semgcn_jax.solving.energy import Camera, Unknowns
from semgcn_jax.solving.minimize import LOWEST, ROUNDS, Solution, minimize
from semgcn_jax.solving.problem import (
  Lens,
  Track,
  first_guess,
  make_problem,
  make_track,
)
from semgcn_jax.solving.terms import Terms

# The longer side's likely field of view, degrees.
_LIKELY_VIEW = 65.0
_FRAMES = (64, 256, 1024)  # Tracks are padded to these, and cut at the last.
_OVERLAP = 64  # Of the parts of a longer track, frames.
_PEOPLE = (1, 2, 4, 8)  # Tracks that are solved at once.
_TOGETHER = _PEOPLE[-1]
_STEEP = float(np.deg2rad(3.0))  # How well people show pitch and roll, radians.
# How level cameras are if nobody stands, radians.
_LEVEL = float(np.deg2rad(10.0)), float(np.deg2rad(5.0))
_RESTS = 0.5  # A foot rests that is surer than this.


def solve_clip(
  clip: Clip,
  *,
  pitch: float | None = None,
  height: float | None = None,
  terms: Terms | None = None,
  **options: Unpack[Options],
) -> Clip:
  """Solves a lifted clip.

  Everybody gets one set of bone lengths, the same on both sides, and a path;
  the clip gets one camera, which does not move, and one ground. They are what
  fits best the keypoints, the lifter's poses in the measure of their expected
  errors, smooth motion, and feet that rest where they are on the ground.
  Whoever has fewer than `problem.FEWEST` poses, or hardly any legs, is only
  placed.

  Args:
    clip: The clip as `lift_clip` returns it.
    pitch: The angle by which the camera looks down, degrees, if known.
    height: The height of the people in metres, if known.
    terms: The weights of the energy's terms.
    **options: What is known of the lens, as in `lift_clip`.

  Returns:
    The clip with its `view`, and people with new poses, places, contacts, and
    feet where the detector marks them. It is unchanged if nobody has enough
    poses.
  """
  lens = _lens(clip, options)
  tracks = {
    n: track
    for n, person in enumerate(clip.people)
    if (track := make_track(person, clip.fps, lens))
  }
  if not tracks:
    return clip
  parts = [
    (n, thin.part(rows))
    for n, track in tracks.items()
    for thin in [track.thinned()]
    for rows in _windows(len(thin.rows))
  ]
  guess, deviations = _guess(clip, [*tracks.values()], lens, pitch)
  solve = functools.partial(
    _solve,
    lens=lens,
    tilts=deviations,
    knows_pitch=pitch is not None,
    height=height,
    terms=terms or Terms(),
  )
  solved = solve([part for _, part in parts], guess)
  if len(parts) > _TOGETHER or len(parts) > len(tracks):
    # Those apart have found their own cameras, and a body in each part.
    solved = _agreed(parts, solved, solve)
  found = {n: [] for n in tracks}
  for (n, part), result in zip(parts, solved, strict=True):
    found[n].append((part, result))
  view = solved[0].view
  people = [
    _apply(person, tracks[n], found[n])
    if n in found
    else _place(person, view, lens)
    for n, person in enumerate(clip.people)
  ]
  return dataclasses.replace(
    clip,
    people=tuple(people),
    view=View(
      focal_length=float(view[0]),
      center=(float(lens.center[0]), float(lens.center[1])),
      pitch=float(np.rad2deg(view[1])),
      roll=float(np.rad2deg(view[2])),
      height=float(view[3]),
    ),
  )


def solve_lifted(lifted: Lifted, **options: Any) -> Clip:
  """Solves the people whom a lifter lifts; see `solve_clip`.

  Args:
    lifted: What `Lifter.lift` returns for clips, `[..., T, J, 3]`; its people
      are those of the leading axes.
    **options: The keyword arguments of `solve_clip`.
  """
  return solve_clip(lifted.clip(), **options)


@dataclasses.dataclass(frozen=True)
class _Solved:
  """What is found for a track of T frames; see `energy`.

  Attributes:
    directions: `[T, 19, 3]`, of length 1.
    roots: `[T, 3]`, metres.
    contacts: `[T, 2]`, from 0 to 1.
    logs: The `Unknowns.lengths`, `[L]`.
    marks: The `Unknowns.marks`, `[20, 3]`.
    lengths: `[19]`, metres.
    view: The focal length, pixels, pitch and roll, radians, and the height of
      the camera, metres, `[4]`.
  """

  directions: np.ndarray
  roots: np.ndarray
  contacts: np.ndarray
  logs: np.ndarray
  marks: np.ndarray
  lengths: np.ndarray
  view: np.ndarray


def _lens(clip: Clip, options: Options) -> Lens:
  """Returns the lens of a clip; a likely one if it is not known."""
  nobody = np.zeros((1, len(H36M.joints), 3))
  given = read_arguments(nobody, clip.image_size, 'h36m', **options)
  focal, center = float(given.focal[0]), given.center[0].astype(float)
  if focal > 0:
    return Lens(focal, center, True)
  half = np.tan(np.deg2rad(_LIKELY_VIEW / 2))
  return Lens(max(clip.image_size) / 2 / half, center, False)


def _guess(
  clip: Clip, tracks: Sequence[Track], lens: Lens, pitch: float | None
) -> tuple[np.ndarray, tuple[float, float]]:
  """Guesses the view, `[4]`, and how uncertain pitch and roll are, radians."""
  poses = [person.poses[person.is_whole] for person in clip.people]
  up = vertical_of(np.concatenate(poses))
  deviations = (_STEEP, _STEEP) if up is not None else _LEVEL
  seen, roll = (0.0, 0.0) if up is None else angles_of(up)
  angles = np.deg2rad((seen if pitch is None else pitch, roll))
  camera = Camera(lens.focal, angles[0], angles[1], 0.0)
  feet = [
    camera.heights(track.ankles + track.places[:, None]).min(axis=-1)
    for track in tracks
  ]
  ground = float(np.percentile(np.concatenate(feet), LOWEST))
  return np.array([lens.focal, *angles, SOLE - ground]), deviations


def _windows(count: int) -> list[slice]:
  """Cuts a track of `count` frames into parts that overlap."""
  longest = _FRAMES[-1]
  starts = range(0, max(count - _OVERLAP, 1), longest - _OVERLAP)
  return [slice(start, min(start + longest, count)) for start in starts]


def _solve(
  tracks: Sequence[Track],
  view: np.ndarray,
  starts: Sequence[_Solved] | None = None,
  *,
  terms: Terms,
  **facts: Any,
) -> list[_Solved]:
  """Solves tracks, some at a time.

  Args:
    tracks: The tracks.
    view: The first guess of the view.
    starts: If given, where to start; the view and the bodies do not change.
    terms: The weights of terms.
    **facts: The arguments of `make_problem`.
  """
  solved: list[_Solved] = []
  for first in range(0, len(tracks), _TOGETHER):
    some = tracks[first : first + _TOGETHER]
    longest = max(len(track.rows) for track in some)
    people = next(size for size in _PEOPLE if size >= len(some))
    frames = next(size for size in _FRAMES if size >= longest)
    problem = make_problem(some, view=view, shape=(people, frames), **facts)
    unknowns, contacts = first_guess(problem), np.zeros((people, frames, 2))
    first_round = 0
    if starts is not None:
      own = starts[first : first + _TOGETHER]
      unknowns, contacts = _start_at(unknowns, contacts, own)
      problem = problem._replace(free_view=np.zeros(4), free_bones=np.zeros(()))
      first_round = ROUNDS - 1
    arguments = jax.tree.map(np.float32, (unknowns, problem, terms, contacts))
    solution = jax.device_get(minimize(*arguments, first_round))
    solved += [
      _read(solution, row, len(track.rows)) for row, track in enumerate(some)
    ]
  return solved


def _read(solution: Solution, row: int, count: int) -> _Solved:
  """Reads one track of a solution."""
  unknowns, bodies = solution.unknowns, solution.bodies
  return _Solved(
    directions=unit(bodies.directions[row, :count].astype(float)),
    roots=bodies.roots[row, :count].astype(float),
    contacts=solution.contacts[row, :count],
    logs=unknowns.lengths[row],
    marks=unknowns.marks[row],
    lengths=bodies.lengths[row].astype(float),
    view=np.array(solution.camera, float),
  )


def _start_at(
  unknowns: Unknowns, contacts: np.ndarray, starts: Sequence[_Solved]
) -> tuple[Unknowns, np.ndarray]:
  """Replaces a first guess and contacts, `[P, F, 2]`, by what was found."""
  directions, lengths, marks, contacts = (
    values.copy()
    for values in (
      *(unknowns.directions, unknowns.lengths, unknowns.marks),
      contacts,
    )
  )
  for row, start in enumerate(starts):
    count = len(start.directions)
    directions[row, :count] = start.directions
    contacts[row, :count] = start.contacts
    lengths[row], marks[row] = start.logs, start.marks
  unknowns = unknowns._replace(
    directions=directions, lengths=lengths, marks=marks
  )
  return unknowns, contacts


def _agreed(
  parts: Sequence[tuple[int, Track]],
  solved: Sequence[_Solved],
  solve: Callable[..., list[_Solved]],
) -> list[_Solved]:
  """Solves parts again, with the mean of their views and each person's body.

  Args:
    parts: The number of the person, and the track, of each part.
    solved: What was found for each.
    solve: Solves them from there.
  """
  views = np.stack([part.view for part in solved])
  # The mean of focal lengths is that of their logarithms.
  view = np.append(
    np.exp(np.log(views[:, 0]).mean()), views[:, 1:].mean(axis=0)
  )
  tracks, starts = [], []
  for (n, track), part in zip(parts, solved, strict=True):
    own = [s for (m, _), s in zip(parts, solved, strict=True) if m == n]
    logs, marks = (
      np.mean([getattr(s, name) for s in own], axis=0)
      for name in ('logs', 'marks')
    )
    places = part.roots * (1, 1, view[0] / part.view[0])
    tracks.append(dataclasses.replace(track, places=places))
    starts.append(dataclasses.replace(part, logs=logs, marks=marks))
  return solve(tracks, view, starts)


def _join(parts: Sequence[tuple[Track, _Solved]]) -> tuple[np.ndarray, _Solved]:
  """Joins the overlapping parts of a person's track.

  Returns:
    The rows of the person's frames that they are of, and what was found.
  """
  rows = np.unique(np.concatenate([track.rows for track, _ in parts]))
  total = np.zeros(len(rows))
  first = parts[0][1]
  sums = {
    name: np.zeros((len(rows), *getattr(first, name).shape[1:]))
    for name in ('directions', 'roots', 'contacts')
  }
  for track, part in parts:
    # The weight falls towards the ends, where another part begins.
    places = np.arange(len(track.rows))
    weight = np.minimum(places, places[::-1]) + 1.0
    weight = np.minimum(weight, _OVERLAP)
    at = np.searchsorted(rows, track.rows)
    total[at] += weight
    for name, values in sums.items():
      own = getattr(part, name)
      values[at] += own * weight.reshape(-1, *[1] * (own.ndim - 1))
  for values in sums.values():
    values /= total.reshape(-1, *[1] * (values.ndim - 1))
  return rows, dataclasses.replace(first, **sums)


def _apply(
  person: Person, track: Track, parts: Sequence[tuple[Track, _Solved]]
) -> Person:
  """Returns a person as solved.

  Between the frames that were solved, paths are interpolated, and so is what
  solving changed in the directions of bones.
  """
  rows, found = _join(parts)
  knots = np.searchsorted(track.rows, rows)

  times, known = person.frames[track.rows], person.frames[rows]

  def between(change):
    flat = change.reshape(len(knots), -1).T
    spread = np.stack([np.interp(times, known, values) for values in flat])
    return spread.T.reshape(len(times), *change.shape[1:])

  directions = track.directions + between(
    found.directions - track.directions[knots]
  )
  places = found.roots
  if len(rows) < len(times):  # Cubic pieces, which do not overshoot in gaps.
    path = Akima1DInterpolator(known, places)
    places = path(np.clip(times, known[0], known[-1]))
  bones = unit(directions) * found.lengths[:, None]
  joints = join_bones(-bones, body.BODY)
  count = H36M.num_joints
  # Without its keypoints, a foot is a guess.
  seen = track.keypoints[:, count:, 2].reshape(-1, 2, 2).any(axis=2)
  feet = np.where(
    np.repeat(seen, 2, axis=1)[..., None], joints[:, count:], np.nan
  )

  def whole(values, empty):
    result = np.full((len(person.frames), *values.shape[1:]), empty, np.float32)
    result[track.rows] = values
    return result

  return dataclasses.replace(
    person,
    poses=whole(joints[:, :count], np.nan),
    places=whole(places, np.nan),
    contacts=whole(between(found.contacts), 0) > _RESTS,
    feet=whole(feet, np.nan) if seen.any() else None,
  )


def _place(person: Person, view: np.ndarray, lens: Lens) -> Person:
  """Places a person who has too few poses to be solved."""
  if person.keypoints is None or not len(person.frames):
    return person
  lens = dataclasses.replace(lens, focal=float(view[0]))
  places = lens.place(person.poses, person.keypoints)
  return dataclasses.replace(person, places=places)
