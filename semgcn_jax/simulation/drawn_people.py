"""Random people: body proportions and clothing."""

import dataclasses

import numpy as np

from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.simulation.draws import Draws

PEOPLE = 5000  # The number of people in a split.
_STREAM = 1  # Keeps the streams of people apart from those of scenes.

# Colors are red, green and blue, from 0 to 1.
_SKINS = ((0.97, 0.82, 0.72), (0.85, 0.63, 0.48), (0.63, 0.43, 0.3))
_DARK_SKIN = (0.33, 0.21, 0.15)
_HAIRS = (
  (0.06, 0.05, 0.05),
  (0.2, 0.12, 0.07),
  (0.42, 0.26, 0.13),
  (0.8, 0.64, 0.36),
  (0.6, 0.59, 0.58),
)
# The lengths of sleeves and trousers, in bones: 1 covers the upper arm or the
# thigh, 2 the whole limb.
_SLEEVES = (0.0, 0.45, 0.7, 1.5, 1.96, 1.96)
_LEGS = (0.55, 0.9, 1.5, 1.97, 1.97, 1.97)


@dataclasses.dataclass(frozen=True)
class People:
  """N people.

  Attributes:
    numbers: The number of each person, `[N]`.
    bones: The length factor of the bone that ends at each joint, `[N, 16]`, the
      same left and right.
    girth: The thickness factors of trunk, arms, legs and head, `[N, 4]`.
    trunk: Width over depth of pelvis and chest, `[N, 2]`.
    foot: The length of the foot, `[N]`, metres.
    hair: The length of the hair behind the head, `[N]`, metres.
    loose: The thickness of the clothing, `[N]`, metres.
    sleeves: The length of the sleeves, `[N]`, in bones.
    legs: The length of the trousers, `[N]`, in bones.
    colors: The colors of skin, hair, top, trousers, shoes, and of the patterns
      of top and trousers, `[N, 7, 3]`.
    stripes: Stripes per metre along and across the bones, of top and trousers,
      `[N, 2, 2]`; both 0 for no pattern.
  """

  numbers: np.ndarray
  bones: np.ndarray
  girth: np.ndarray
  trunk: np.ndarray
  foot: np.ndarray
  hair: np.ndarray
  loose: np.ndarray
  sleeves: np.ndarray
  legs: np.ndarray
  colors: np.ndarray
  stripes: np.ndarray


def numbers(draws: Draws, *, train: bool) -> np.ndarray:
  """Draws people's numbers, `[N]`: even for training, odd for testing."""
  return 2 * draws.choice(range(PEOPLE)) + (0 if train else 1)


def make(seed: int, numbers: np.ndarray) -> People:
  """Returns the people with these numbers, `[N]`; they depend on the seed."""
  draws = Draws((seed, _STREAM), numbers)
  bones = draws.uniform(0.93, 1.07, H36M.num_joints)
  for left, right in zip(H36M.left, H36M.right, strict=True):
    bones[:, left] = bones[:, right]
  bones *= draws.uniform(0.95, 1.05, 1)
  build = draws.uniform(0.86, 1.16, 1)
  girth = build * draws.uniform(0.9, 1.1, 4)
  girth[:, 3] = draws.uniform(0.93, 1.07)
  trunk = draws.uniform((1.2, 1.3), (1.45, 1.6), 2)
  fit = dict(
    foot=draws.uniform(0.15, 0.2),
    hair=draws.choice((0.0, 0.0, 0.05, 0.12, 0.2)),
    loose=draws.uniform(0.002, 0.014),
    sleeves=draws.choice(_SLEEVES),
    legs=draws.choice(_LEGS),
  )
  shade = draws.uniform(0, len(_SKINS))
  tones = np.array((*_SKINS, _DARK_SKIN))
  lower = shade.astype(int)
  part = (shade - lower)[:, None]
  skin = tones[lower] * (1 - part) + tones[lower + 1] * part
  top, trousers, shoes = (color(draws) for _ in range(3))
  # Trousers are mostly muted.
  gray = trousers.mean(axis=1, keepdims=True)
  trousers = gray + (trousers - gray) * draws.uniform(0.1, 1.0, 1)
  colors = (
    *(skin, draws.choice(_HAIRS), top, trousers, shoes),
    color(draws),
    np.clip(trousers * draws.choice((0.6, 1.5))[:, None], 0, 1),
  )
  return People(
    numbers=np.asarray(numbers),
    bones=bones,
    girth=girth,
    trunk=trunk,
    colors=np.stack(colors, axis=1),
    stripes=np.stack([_stripes(draws, 0.5), _stripes(draws, 0.85)], axis=1),
    **fit,
  )


def color(draws: Draws, least: float = 0.15) -> np.ndarray:
  """Draws colors `[N, 3]` of any hue, with a value of at least `least`."""
  hue, saturation = draws.uniform(0, 6), draws.uniform(0, 1) ** 1.5
  value = draws.uniform(least, 1.0)
  channels = []
  for start in (5, 3, 1):
    place = (start + hue) % 6
    share = np.clip(np.minimum(place, 4 - place), 0, 1)
    channels.append(value * (1 - saturation * share))
  return np.stack(channels, axis=-1)


def _stripes(draws: Draws, plain: float) -> np.ndarray:
  """Draws stripes per metre, `[N, 2]`; the share `plain` has none."""
  along, across = draws.uniform(4, 16), draws.uniform(4, 16)
  kind = draws.choice(((1, 0), (1, 0), (0, 1), (1, 1)))
  stripes = np.stack([along, across], axis=-1) * kind
  return stripes * ~draws.happens(plain)[:, None]


def reshape(poses: np.ndarray, people: People) -> np.ndarray:
  """Rescales the bones of poses to those of people; directions stay.

  Args:
    poses: The pose of each person, `[N, 16, 3]`, metres.
    people: The people.

  Returns:
    The new poses, `[N, 16, 3]` float64.
  """
  new = poses.astype(np.float64)
  for parent, child in H36M.bones:  # Parents come first.
    bone = poses[:, child] - poses[:, parent]
    new[:, child] = new[:, parent] + bone * people.bones[:, child, None]
  return new
