"""Scores solved clips: the camera, the path of a person, and resting feet."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter1d

from semgcn_jax.detections.clips import Clip
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.motion.path import SOLE
from semgcn_jax.motion.upright import angles_of, room_turn

# {name: what it is, and its unit}; of each, the median over clips is reported.
SCORES = {
  'pitch': 'pitch, degrees',
  'roll': 'roll, degrees',
  'height': "pelvis's height, %",
  'path': 'path, %',
  'walk': 'path of those who walk 4 m, %',
  'slide': 'speed of resting feet, m/s',
  'f1': 'contacts, F1',
}
_ANKLES = [H36M.joints.index(name) for name in ('RAnkle', 'LAnkle')]
# A true foot rests if it is slower than this, metres per second, and its ankle
# not more than this above the lowest, metres.
_SLOW, _LOW = 0.25, 0.1
_LOWEST = 5.0  # The percentile of the lower ankle's height that is the lowest.
_WALKS = 4.0  # Metres.


def score_world(
  clip: Clip, poses: np.ndarray, roots: np.ndarray, up: np.ndarray
) -> dict[str, float]:
  """Scores the only person of a solved clip of consecutive frames.

  Args:
    clip: The clip.
    poses: The true poses, `[T, 16, 3]`, metres, camera frame, pelvis at the
      origin.
    roots: The true pelvis, `[T, 3]`, metres, camera frame.
    up: The vertical, `[3]`, camera frame.

  Returns:
    The errors of `SCORES`, except 'f1'; and the numbers of feet that rest
    truly, are found to, and both: 'resting', 'found', 'hits'.
  """
  (person,), view = clip.people, clip.view
  assert view is not None and person.places is not None
  assert person.contacts is not None
  pitch, roll = angles_of(up)
  found_up = room_turn(view.pitch, view.roll)[1]
  feet = (poses + roots[:, None])[:, _ANKLES]
  heights = feet @ up
  ground = np.percentile(heights.min(axis=1), _LOWEST)
  rests = (_speeds(feet, clip.fps) < _SLOW) & (heights - ground < _LOW)
  found = np.asarray(person.contacts)
  seen = (person.poses + person.places[:, None])[:, _ANKLES]
  stays = found[1:] & found[:-1]
  moved = np.linalg.norm(np.diff(seen, axis=0), axis=-1) * clip.fps
  true_height = (roots @ up).mean() - ground + SOLE
  height = (person.places @ found_up).mean() + view.height
  ways = [_way(path, clip.fps) for path in (person.places, roots)]
  path = 100 * abs(ways[0] / max(ways[1], 1e-6) - 1)
  return {
    'pitch': abs(view.pitch - pitch),
    'roll': abs(view.roll - roll),
    'height': 100 * abs(height / true_height - 1),
    'path': path,
    'walk': path if np.ptp(roots, axis=0).max() >= _WALKS else np.nan,
    'slide': float(np.median(moved[stays])) if stays.any() else np.nan,
    'resting': float(rests.sum()),
    'found': float(found.sum()),
    'hits': float((rests & found).sum()),
  }


def summarize(rows: Sequence[dict[str, float]]) -> dict[str, float]:
  """Returns `SCORES` of many clips, and their number, 'clips'."""
  medians = {}
  for name in SCORES:
    values = np.array([row[name] for row in rows if name in row])
    values = values[np.isfinite(values)]
    medians[name] = float(np.median(values)) if len(values) else np.nan
  resting, found, hits = (
    sum(row[name] for row in rows) for name in ('resting', 'found', 'hits')
  )
  medians['f1'] = 2 * hits / max(resting + found, 1)
  return medians | {'clips': float(len(rows))}


def _speeds(feet: np.ndarray, fps: float) -> np.ndarray:
  """Computes the speed of feet `[T, 2, 3]`, the slower of before and after."""
  speed = np.linalg.norm(np.diff(feet, axis=0), axis=-1) * fps
  never = np.full((1, 2), np.inf)
  return np.minimum(
    np.concatenate([never, speed]), np.concatenate([speed, never])
  )


def _way(path: np.ndarray, fps: float) -> float:
  """Measures a path `[T, 3]`, smoothed over a tenth of a second, metres."""
  path = gaussian_filter1d(path, fps / 10, axis=0)
  return float(np.linalg.norm(np.diff(path, axis=0), axis=-1).sum())
