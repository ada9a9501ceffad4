"""Says in a line what solving a clip found, and what it is not sure of."""

import numpy as np

from semgcn_jax.detections.clips import Clip, Person
from semgcn_jax.geometry.skeletons import H36M, bone_vectors
from semgcn_jax.inference.placing import UPRIGHT
from semgcn_jax.motion.path import SOLE
from semgcn_jax.motion.upright import direction, vertical_of
from semgcn_jax.solving import body

_MOST_HEIGHTS = 5
# Without a foot on the ground in this share of the frames, a clip may be of a
# camera that moves.
_RESTING = 0.35
_SEEN = 0.3  # Ankles that are seen less often tell little of the ground.


def describe(clip: Clip, knows_lens: bool) -> str:
  """Describes a solved clip.

  Args:
    clip: The clip.
    knows_lens: Whether its lens was given.
  """
  view = clip.view
  if view is None:
    return 'not solved, as nobody has enough poses with legs'
  wide = 2 * np.arctan(max(clip.image_size) / 2 / view.focal_length)
  how = 'given' if knows_lens else 'estimated'
  solved = [person for person in clip.people if person.contacts is not None]
  heights = [f'{stature(person):.2f} m' for person in solved]
  if len(heights) > _MOST_HEIGHTS:
    heights = [*heights[: _MOST_HEIGHTS - 1], '...']
  side = 'left' if view.roll > 0 else 'right'
  lean = abs(round(view.roll))
  leans = f' leans by {lean}° to the {side},' if lean else ''
  text = (
    f'the camera looks {direction(view.pitch)},{leans}'
    f' sees {np.rad2deg(wide):.0f}° along its longer side ({how}), and is'
    f' {view.height:.2f} m above the ground; people are'
    f' {", ".join(heights)} tall'
  )
  doubts = _doubts(clip, solved)
  if not knows_lens:
    doubts.append('the lens, and how far people walk towards the camera')
  return text + (f'; not sure of: {"; ".join(doubts)}' if doubts else '')


def _doubts(clip: Clip, solved: list[Person]) -> list[str]:
  """Lists what a solved clip does not tell well."""
  doubts = []
  view = clip.view
  whole = [person.poses[person.is_whole] for person in solved]
  stands = vertical_of(np.concatenate(whole)) is not None
  if not stands or (view is not None and view.height < 0):
    doubts.append('the vertical and the ground, as nobody stands')
  rests, seen = [], []
  for person in solved:
    rests.append(np.any(person.contacts, axis=1)[person.is_whole])
    if person.keypoints is not None:
      seen.append((person.keypoints[:, body.ANKLES, 2] > 0)[person.is_whole])
  if np.concatenate(seen).mean() < _SEEN:
    doubts.append('the ground, as ankles are hardly seen')
  elif np.concatenate(rests).mean() < _RESTING:
    doubts.append('paths, as feet hardly rest (does the camera move?)')
  return doubts


def stature(person: Person) -> float:
  """Returns the height of a person whose bones are of constant length."""
  lengths = np.linalg.norm(bone_vectors(person.poses, H36M), axis=-1)
  return float(np.nanmedian(lengths @ UPRIGHT)) + SOLE
