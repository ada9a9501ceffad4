"""Minimizes the energy of a clip, in one compiled program for each size."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from semgcn_jax.motion.path import SOLE
from semgcn_jax.solving import body
from semgcn_jax.solving.energy import (
  HEIGHT_STEP,
  Bodies,
  Camera,
  Problem,
  Unknowns,
  Values,
  energy,
  read_bodies,
  read_camera,
)
from semgcn_jax.solving.terms import Terms

Array = jax.Array

# A round is so many steps of L-BFGS with so many last gradients; contacts are
# found after each.
_STEPS, _MEMORY = 75, 10
LOWEST = 20.0  # The percentile of the lower ankle's height that is the ground.
# A foot rests if its speed, metres per second, and the height of its ankle
# above that of one on the ground, metres, are below these; and how softly.
_SLOW, _LOW = (0.25, 0.05), (0.12, 0.02)
_MEASURED = 0.1  # The speed is measured over so many seconds.
_CERTAIN = np.array((1.0, 1.0, 0.3))  # Depth is less certain.
# How much higher a foot may be in each round, metres. The first ones hardly
# know the ground: only the lower foot rests, and one this little above it.
_HIGHER = (10.0, 0.15, 0.0)
ROUNDS = len(_HIGHER)
_LOWER = (0.05, 0.02)


class Solution(NamedTuple):
  """What `minimize` finds; see `Unknowns`."""

  unknowns: Unknowns
  camera: Camera
  bodies: Bodies
  contacts: Values


@jax.jit
def minimize(
  unknowns: Unknowns,
  problem: Problem,
  terms: Terms,
  contacts: Values,
  first: Values = 0,
) -> Solution:
  """Minimizes the energy from a first guess.

  The first round knows no contacts. Then the ground is where the lower foot of
  a fifth of the frames is.

  Args:
    unknowns: The first guess.
    problem: What is known.
    terms: The weights of the terms.
    contacts: How surely each foot rests at first, `[P, F, 2]`.
    first: The number of the round to begin with, of `ROUNDS`.
  """
  # Its types are too wide: any tree of arrays.
  optimizer: Any = optax.lbfgs(memory_size=_MEMORY)
  apply: Any = optax.apply_updates

  def improve(unknowns, contacts):
    @jax.jit  # To be traced once, not for each of its uses.
    def loss(unknowns):
      return energy(unknowns, contacts, problem, terms)

    value_and_grad = optax.value_and_grad_from_state(loss)

    def step(carry, _):
      unknowns, state = carry
      value, grad = value_and_grad(unknowns, state=state)
      updates, state = optimizer.update(
        grad, state, unknowns, value=value, grad=grad, value_fn=loss
      )
      return (apply(unknowns, updates), state), None

    start = unknowns, optimizer.init(unknowns)
    (unknowns, _), _ = jax.lax.scan(step, start, length=_STEPS)
    return unknowns

  def find(number: Any, found: Any) -> Any:
    unknowns, contacts = found
    unknowns = improve(unknowns, contacts)
    camera = read_camera(unknowns, problem)
    bodies = read_bodies(unknowns, problem, camera.focal)
    lowered = _on_the_ground(unknowns, camera, bodies, problem)
    unknowns = unknowns._replace(
      view=jnp.where(number == 0, lowered, unknowns.view)
    )
    camera = read_camera(unknowns, problem)
    higher = jnp.array(_HIGHER)[number]
    return unknowns, find_contacts(camera, bodies, problem, higher)

  unknowns, contacts = jax.lax.fori_loop(
    first, ROUNDS, find, (unknowns, contacts)
  )
  camera = read_camera(unknowns, problem)
  bodies = read_bodies(unknowns, problem, camera.focal)
  return Solution(unknowns, camera, bodies, contacts)


def find_contacts(
  camera: Camera, bodies: Bodies, problem: Problem, higher: Array
) -> Array:
  """Computes how surely each foot rests on the ground, `[P, F, 2]`.

  Args:
    camera: The camera.
    bodies: The bodies.
    problem: What is known.
    higher: How much higher than the ground they may be, metres.
  """
  feet = bodies.joints[:, :, body.ANKLES]
  heights = camera.heights(feet) - SOLE
  speed = jnp.minimum(_speeds(feet, 0, problem), _speeds(feet, 1, problem))
  rests = jax.nn.sigmoid((_SLOW[0] - speed) / _SLOW[1])
  rests *= jax.nn.sigmoid((_LOW[0] + higher - heights) / _LOW[1])
  above = heights - heights.min(axis=-1, keepdims=True)
  lower = jax.nn.sigmoid((_LOWER[0] - above) / _LOWER[1])
  rests *= jnp.where(higher > 0, lower, 1)
  seen = problem.keypoints[:, :, body.ANKLES, 2] > 0
  return rests * seen * problem.known[..., None]


def _speeds(feet: Array, extra: int, problem: Problem) -> Array:
  """Computes the mean speed of feet in the tenth of a second about each frame.

  Args:
    feet: The feet, `[P, F, 2, 3]`, metres.
    extra: Of an odd number of steps, whether one more is after the frame (1)
      than before it, or one less (0).
    problem: What is known.

  Returns:
    The speeds, `[P, F, 2]`, metres per second; infinite where unknown.
  """
  steps = jnp.maximum(jnp.round(_MEASURED * problem.fps), 1).astype(int)
  after = ((steps + extra) // 2)[:, None]
  frames = jnp.arange(feet.shape[1])
  ends = frames + after - steps[:, None], frames + after
  inside = (ends[0] >= 0) & (ends[1] < len(frames))
  first, last = (jnp.clip(end, 0, len(frames) - 1) for end in ends)

  def at(values, index):
    index = index.reshape(*index.shape, *[1] * (values.ndim - 2))
    return jnp.take_along_axis(values, index, axis=1)

  # Frames of one run follow each other.
  run = jnp.cumsum(1 - problem.follows, axis=1)
  inside &= at(run, first) == at(run, last)
  inside &= at(problem.known, first) * at(problem.known, last) > 0
  moved = (at(feet, last) - at(feet, first)) * _CERTAIN
  speed = jnp.linalg.norm(moved, axis=-1)
  speed *= (problem.fps / steps)[:, None, None]
  return jnp.where(inside[..., None], speed, jnp.inf)


def _on_the_ground(
  unknowns: Unknowns, camera: Camera, bodies: Bodies, problem: Problem
) -> Array:
  """Moves the ground of unknowns to the feet; returns their view."""
  heights = camera.heights(bodies.joints[:, :, body.ANKLES]).min(axis=-1)
  heights = jnp.where(problem.known > 0, heights, jnp.nan)
  lowest = jnp.nanpercentile(heights, LOWEST)
  change = (SOLE - lowest) / HEIGHT_STEP * problem.free_view[3]
  return unknowns.view.at[3].add(change)
