"""Refines the poses of any lifter by a pose grammar.

Fang et al., AAAI 2018 (arXiv:1710.06513).
"""

import itertools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from semgcn_jax.geometry.skeletons import Skeleton


def kinematic_chains(skeleton: Skeleton) -> tuple[tuple[int, ...], ...]:
  """Lists the trunk, then every left limb followed by its mirror image.

  A limb is a connected set of joints of one side. Human3.6M's skeleton has the
  spine with the head, both legs and both arms.

  Returns:
    The joints of each chain, from the root outward.
  """

  def depth(joint):
    parent = skeleton.parents[joint]
    return 0 if parent == -1 else 1 + depth(parent)

  outward = sorted(range(skeleton.num_joints), key=depth)
  mirrored = dict(zip(skeleton.left, skeleton.right, strict=True))
  sides = skeleton.left + skeleton.right
  trunk = tuple(joint for joint in outward if joint not in sides)
  limbs: dict[int, list[int]] = {}  # By their first joint.
  begins = {}
  for joint in outward:
    if joint in mirrored:
      parent = skeleton.parents[joint]
      begins[joint] = begins.get(parent, joint)
      limbs.setdefault(begins[joint], []).append(joint)
  chains = [trunk] if trunk else []
  for limb in limbs.values():
    chains += [tuple(limb), tuple(mirrored[joint] for joint in limb)]
  return tuple(chains)


def relations(skeleton: Skeleton) -> tuple[tuple[int, int], ...]:
  """Lists the pairs of limbs for the upper level of the grammar.

  Symmetry pairs a limb with its mirror image; motor coordination pairs it with
  the mirror image of another. Human3.6M's skeleton has both legs, both arms,
  left leg with right arm, and left arm with right leg.

  Returns:
    Pairs of indices into `kinematic_chains`.
  """
  chains = kinematic_chains(skeleton)
  left = [n for n, chain in enumerate(chains) if chain[0] in skeleton.left]
  symmetry = [(limb, limb + 1) for limb in left]
  coordination = [
    (limb, other + 1) for limb, other in itertools.permutations(left, 2)
  ]
  return tuple(symmetry + coordination)


class PoseGrammar(nn.Module):
  """A network that corrects a pose along its chains and its pairs of limbs.

  The lower level is a bidirectional recurrent network along each kinematic
  chain. The upper level is one over each pair of limbs, on the states of the
  lower level. Each network corrects its joints; corrections of the same joint
  are averaged. Freshly initialized, the grammar is the identity. Fang et al.
  predict poses here rather than corrections.

  Attributes:
    skeleton: The skeleton, with a left and a right side.
    hid_dim: The number of recurrent units per direction.
  """

  skeleton: Skeleton
  hid_dim: int = 64

  @nn.compact
  def __call__(self, joints: jax.Array, lifted: jax.Array) -> jax.Array:
    """Refines poses.

    Args:
      joints: The 2D joints, `[..., J, 2]`, normalized screen.
      lifted: The poses that a lifter predicts, `[..., J, 3]`, metres.

    Returns:
      The refined poses, `[..., J, 3]`, metres.
    """
    chains = kinematic_chains(self.skeleton)
    corrections = [[] for _ in range(self.skeleton.num_joints)]

    def correct(chain, values):
      for step, joint in enumerate(chain):
        corrections[joint].append(values[..., step, :])

    inputs = jnp.concatenate([joints, lifted], axis=-1)
    states = []
    for n, chain in enumerate(chains):
      states.append(self._recur(inputs[..., chain, :], f'chain{n}'))
      correct(chain, self._output(3, f'chain{n}_output')(states[-1]))
    for n, pair in enumerate(relations(self.skeleton)):
      limbs = [states[chain] for chain in pair]
      longest = max(limb.shape[-2] for limb in limbs)
      steps = jnp.stack([_flatten(limb, longest) for limb in limbs], axis=-2)
      values = self._recur(steps, f'relation{n}')
      values = self._output(3 * longest, f'relation{n}_output')(values)
      values = values.reshape(*values.shape[:-1], longest, 3)
      for step, chain in enumerate(pair):
        correct(chains[chain], values[..., step, :, :])
    means = [sum(each) / len(each) for each in corrections]
    return lifted + jnp.stack(means, axis=-2)

  def _recur(self, steps: jax.Array, name: str) -> Any:
    """Runs a network along T steps `[..., T, C]`, in both directions.

    Returns:
      The states of both directions, `[..., T, 2 H]`, for H units.
    """
    # linen's default is orthogonal, which makes no difference over few steps.
    # Two of its factorizations at once can deadlock on two CPU cores.
    init = nn.initializers.lecun_normal()

    def recurrence(way):
      cell = nn.SimpleCell(
        self.hid_dim, recurrent_kernel_init=init, name=f'{name}_{way}'
      )
      return nn.RNN(cell, unroll=steps.shape[-2])

    forward, backward = recurrence('forward'), recurrence('backward')
    return nn.Bidirectional(forward, backward)(steps)

  def _output(self, features: int, name: str) -> nn.Dense:
    return nn.Dense(features, kernel_init=nn.initializers.zeros, name=name)


def _flatten(limb: jax.Array, longest: int) -> jax.Array:
  """Flattens `[..., T, C]` to `[..., longest * C]`, padded with zeros."""
  missing = longest - limb.shape[-2]
  limb = jnp.pad(limb, [(0, 0)] * (limb.ndim - 2) + [(0, missing), (0, 0)])
  return limb.reshape(*limb.shape[:-2], -1)


class Refined(nn.Module):
  """A lifter with the pose grammar on top.

  Attributes:
    lifter: The model that maps 2D joints to 3D joints.
    skeleton: The skeleton of the poses.
    frozen: Whether the lifter is frozen, including its batch norms.
  """

  lifter: nn.Module
  skeleton: Skeleton
  frozen: bool = False

  @property
  def num_predicted(self) -> int:
    """The number of joints predicted."""
    return self.skeleton.num_joints

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Predicts `[..., J, 3]`, metres, from `[..., J, 2]`, normalized screen."""
    lifted = self.lifter(x, train=train and not self.frozen)
    if self.frozen:
      lifted = jax.lax.stop_gradient(lifted)
    return PoseGrammar(self.skeleton, name='grammar')(x, lifted)
