"""Minimizes the energy of a clip, in one compiled program for each size."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from semgcn_jax.solving import body
from semgcn_jax.solving.energy import (
  HEIGHT_STEP,
  SOLE,
  Bodies,
  Problem,
  Terms,
  Unknowns,
  Camera,
  energy,
  read_bodies,
  read_view,
)

Array = jax.Array

# Contacts are found again after each round of so many steps of L-BFGS.
_ROUNDS, _STEPS, _MEMORY = 3, 50, 10
LOWEST = 20.0  # The percentile of the lower ankle's height that is the ground.
# A foot rests if its speed, metres per second, and the height of its ankle
# above that of one on the ground, metres, are below these; and how softly.
_SLOW, _LOW = (0.35, 0.08), (0.12, 0.02)


class Solution(NamedTuple):
  """What `minimize` finds; see `Unknowns`."""

  unknowns: Unknowns
  view: Camera
  bodies: Bodies
  contacts: Array
  energies: Array


@functools.partial(jax.jit, static_argnames='rounds')
def minimize(
  unknowns: Unknowns, problem: Problem, terms: Terms, rounds: int = _ROUNDS
) -> Solution:
  """Minimizes the energy from a first guess.

  The first round knows no contacts. Then the ground is where the lower foot of
  a fifth of the frames is.
  """
  optimizer = optax.lbfgs(memory_size=_MEMORY)

  def improve(unknowns, contacts):
    def loss(unknowns):
      return energy(unknowns, contacts, problem, terms)

    value_and_grad = optax.value_and_grad_from_state(loss)

    def step(carry, _):
      unknowns, state = carry
      value, grad = value_and_grad(unknowns, state=state)
      updates, state = optimizer.update(
        grad, state, unknowns, value=value, grad=grad, value_fn=loss
      )
      return (optax.apply_updates(unknowns, updates), state), value

    start = unknowns, optimizer.init(unknowns)
    (unknowns, _), values = jax.lax.scan(step, start, length=_STEPS)
    return unknowns, values

  def round_(carry, number):
    unknowns, contacts = carry
    unknowns, values = improve(unknowns, contacts)
    view = read_view(unknowns, problem)
    bodies = read_bodies(unknowns, problem, view.focal)
    lowered = _on_the_ground(unknowns, view, bodies, problem)
    view_change = jnp.where(number == 0, lowered, unknowns.view)
    unknowns = unknowns._replace(view=view_change)
    view = read_view(unknowns, problem)
    return (unknowns, find_contacts(view, bodies, problem)), values

  contacts = jnp.zeros((*problem.known.shape, 2))
  (unknowns, contacts), values = jax.lax.scan(
    round_, (unknowns, contacts), jnp.arange(rounds)
  )
  view = read_view(unknowns, problem)
  bodies = read_bodies(unknowns, problem, view.focal)
  return Solution(unknowns, view, bodies, contacts, values.ravel())


def find_contacts(view: Camera, bodies: Bodies, problem: Problem) -> Array:
  """Computes how surely each foot rests on the ground, `[P, F, 2]`."""
  feet = bodies.joints[:, :, body.ANKLES]
  heights = view.heights(feet) - SOLE
  step = (problem.known[:, 1:] * problem.known[:, :-1] * problem.follows[:, 1:])
  speed = jnp.linalg.norm(feet[:, 1:] - feet[:, :-1], axis=-1)
  speed = speed * problem.fps[:, None, None]
  speed = jnp.where(step[..., None] > 0, speed, jnp.inf)
  never = jnp.full_like(speed[:, :1], jnp.inf)
  # The slower of the ways to the frame and from it.
  speed = jnp.minimum(
    jnp.concatenate([never, speed], axis=1),
    jnp.concatenate([speed, never], axis=1),
  )
  rests = jax.nn.sigmoid((_SLOW[0] - speed) / _SLOW[1])
  rests *= jax.nn.sigmoid((_LOW[0] - heights) / _LOW[1])
  return rests * problem.known[..., None]


def _on_the_ground(
  unknowns: Unknowns, view: Camera, bodies: Bodies, problem: Problem
) -> Array:
  """Moves the ground of unknowns to the feet; returns their view."""
  heights = view.heights(bodies.joints[:, :, body.ANKLES]).min(axis=-1)
  heights = jnp.where(problem.known > 0, heights, jnp.nan)
  lowest = jnp.nanpercentile(heights, LOWEST)
  change = (SOLE - lowest) / HEIGHT_STEP * problem.free_view[3]
  return unknowns.view.at[3].add(change)
