"""Films pairs, and turns their poses upright to be filmed."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import Config
from semgcn_jax.data.pairs import Pairs, known_fps, sequences, take
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.models.batches import run_batches
from semgcn_jax.models.windows import Windows, cut, step_of
from semgcn_jax.simulation.cameras import level
from semgcn_jax.simulation.film import film_clips

_SCORED_SEED = 0  # The seed of the cameras for scoring.
_SCORED_POSES = 4096  # The poses filmed per call, for scoring.


def level_poses(pairs: Pairs, skeleton: Skeleton) -> np.ndarray:
  """Turns the targets of pairs upright, to film them; see `cameras.level`.

  Returns:
    The poses, `[N, J, 3]`, in the unit of the skeleton.
  """
  return _level(pairs, pairs.targets, skeleton)


def level_roots(pairs: Pairs, skeleton: Skeleton) -> np.ndarray:
  """Turns the positions of the roots upright likewise, `[N, 3]`."""
  return _level(pairs, pairs.roots[:, None], skeleton)[:, 0]


def _level(pairs: Pairs, points: np.ndarray, skeleton: Skeleton) -> np.ndarray:
  """Turns points of each pair, `[N, P, 3]`, upright."""
  ups = np.array([camera.up for camera in pairs.camera_list], np.float32)
  up = ups[pairs.cameras]
  points = points / np.float32(skeleton.unit)
  return np.asarray(level(jnp.asarray(points), jnp.asarray(up)))


_film = jax.jit(film_clips, static_argnums=(4, 5, 6))


def film_pairs(pairs: Pairs, skeleton: Skeleton, config: Config) -> Pairs:
  """Films pairs for scoring, always with the same cameras.

  Returns:
    The pairs with other inputs and targets, each with its own camera. For a
    network that sees time, they are cut into clips of up to `window` frames at
    about its rate, in the order of these, with a camera per clip.

  Raises:
    SettingError: The frame rate is not known.
  """
  plain = dataclasses.replace(
    config.filming,
    mix_limbs=0.0,
    body_scale=0.0,
    bone_scale=0.0,
    part_scale=0.0,
    detected_bodies=0.0,
    limb_turn=0.0,
  )
  windows, rate = _clips_to_film(pairs, config)
  poses, roots = (
    a[windows.rows]
    for a in (level_poses(pairs, skeleton), level_roots(pairs, skeleton))
  )
  roots = roots - roots.mean(axis=1, keepdims=True)
  count = len(poses)
  size = max(1, min(_SCORED_POSES // poses.shape[1], count))

  def film(rows):
    rng = jax.random.fold_in(jax.random.PRNGKey(_SCORED_SEED), rows[0])
    rates = np.full(size, rate, np.float32)
    return _film(
      rng, poses[rows], roots[rows], rates, skeleton, config.model, plain
    )

  inputs, targets = run_batches(film, count, (size,))
  own = windows.own
  numbers, frames = np.nonzero(own)
  is_clip = config.model.is_temporal
  return dataclasses.replace(
    take(pairs, windows.rows[own]),
    inputs=inputs[own],
    targets=targets[own] * np.float32(skeleton.unit),
    views=numbers.astype(np.int32) if is_clip else None,
    frames=frames.astype(np.int32) if is_clip else None,
    view_list=(),
    fps=rate,
  )


def _clips_to_film(pairs: Pairs, config: Config) -> tuple[Windows, float]:
  """Cuts pairs into clips of similar lengths; also returns their rate."""
  if not config.model.is_temporal:
    rows = np.arange(len(pairs))[:, None]
    return Windows(rows, np.ones(len(rows), np.int32), rows >= 0), pairs.fps
  fps, window = known_fps(pairs), config.training.window
  step = step_of(fps, config.model.frame_rate)
  parts = [
    part
    for clip in sequences(pairs, step)
    for part in np.array_split(clip, -(-len(clip) // window))
  ]
  return cut(parts, window, 0, 0), fps / step
