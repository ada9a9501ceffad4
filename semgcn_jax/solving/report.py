"""Says in a line what solving a clip found, and what it is not sure of."""

import numpy as np

from semgcn_jax.detections.clips import Clip, Person
from semgcn_jax.geometry.skeletons import H36M, bone_vectors
from semgcn_jax.inference.placing import BELOW_ANKLES, UPRIGHT

_MOST_HEIGHTS = 5
# Without a foot on the ground in this share of the frames, a clip may be of a
# camera that moves.
_RESTING = 0.2


def describe(clip: Clip, knows_lens: bool) -> str:
  """Describes a solved clip.

  Args:
    clip: The clip.
    knows_lens: Whether its lens was given.
  """
  view = clip.view
  if view is None:
    return 'not solved, as nobody has enough poses'
  wide = 2 * np.arctan(max(clip.image_size) / 2 / view.focal_length)
  lens = f'sees {np.rad2deg(wide):.0f}°'
  lens += ', as given' if knows_lens else ', as estimated'
  solved = [person for person in clip.people if person.contacts is not None]
  heights = [f'{stature(person):.2f} m' for person in solved]
  if len(heights) > _MOST_HEIGHTS:
    heights = [*heights[: _MOST_HEIGHTS - 1], '...']
  text = (
    f'the camera looks down by {view.pitch:.0f}°, the vertical leans by'
    f' {view.roll:.0f}°, the longer side {lens}; it is {view.height:.2f} m'
    f' above the ground; height of people: {", ".join(heights)}'
  )
  doubts = []
  if not knows_lens:
    doubts.append('how far people walk towards the camera')
  rests = np.concatenate([np.any(p.contacts, axis=1) for p in solved])
  if rests.mean() < _RESTING:
    doubts.append('paths, as feet hardly rest: does the camera move?')
  return text + (f'; not sure of {" or ".join(doubts)}' if doubts else '')


def stature(person: Person) -> float:
  """Returns the height of a person whose bones are of constant length."""
  lengths = np.linalg.norm(bone_vectors(person.poses, H36M), axis=-1)
  return float(np.nanmedian(lengths @ UPRIGHT)) + BELOW_ANKLES
