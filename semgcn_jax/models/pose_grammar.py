"""Pose grammar, a refinement of any lifter's poses (Fang et al., AAAI 2018,
arXiv:1710.06513)."""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp

from semgcn_jax.skeleton import Skeleton


def kinematic_chains(skeleton: Skeleton) -> tuple[tuple[int, ...], ...]:
  """The trunk, then every limb of the left, each followed by its mirror image.

  Of Human3.6M's skeleton the spine with the head, both legs, both arms. A limb
  is what hangs together of the joints of the left side.

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
  limbs: dict[int, list[int]] = {}  # By the joint that each begins with.
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
  """Pairs of chains: symmetry, a limb with its mirror image; and motor
  coordination, a limb with the mirror image of another.

  Of Human3.6M's skeleton both legs, both arms, left leg with right arm, left
  arm with right leg.

  Returns:
    Indices into `kinematic_chains`.
  """
  chains = kinematic_chains(skeleton)
  left = [n for n, chain in enumerate(chains) if chain[0] in skeleton.left]
  symmetry = [(limb, limb + 1) for limb in left]
  coordination = [
    (limb, other + 1) for limb, other in itertools.permutations(left, 2)
  ]
  return tuple(symmetry + coordination)


class PoseGrammar(nn.Module):
  """Corrects a pose by what its chains, and pairs of chains, know of it.

  The lower level is a bidirectional recurrent network along each kinematic
  chain; the upper level one over each pair of limbs, whose inputs are the
  states of the lower. All of them correct their joints, and a joint that is in
  several is moved by the mean. Freshly initialised, it is the identity: Fang et
  al. predict poses here, not corrections.

  Attributes:
    skeleton: has left and right.
    hid_dim: units of each recurrent network and direction.
  """

  skeleton: Skeleton
  hid_dim: int = 64

  @nn.compact
  def __call__(self, joints: jax.Array, lifted: jax.Array) -> jax.Array:
    """Refines poses.

    Args:
      joints: `[..., J, 2]`, normalised screen.
      lifted: `[..., J, 3]`, metres.

    Returns:
      `[..., J, 3]`, metres.
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

  def _recur(self, steps: jax.Array, name: str) -> jax.Array:
    """`[..., T, C]` -> the states of both directions, `[..., T, 2 H]`."""
    # Not the orthogonal default: with few steps it makes no difference, and two
    # factorisations at once can wait for each other forever on two CPU cores.
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
  """`[..., T, C]` -> `[..., longest C]`, zeros behind a shorter one."""
  missing = longest - limb.shape[-2]
  limb = jnp.pad(limb, [(0, 0)] * (limb.ndim - 2) + [(0, missing), (0, 0)])
  return limb.reshape(*limb.shape[:-2], -1)


class Refined(nn.Module):
  """A lifter with the pose grammar on top.

  Attributes:
    lifter: 2D joints -> 3D joints.
    skeleton: of the poses.
    frozen: the lifter is as it is, its batch norms too.
  """

  lifter: nn.Module
  skeleton: Skeleton
  frozen: bool = False

  @property
  def num_predicted(self) -> int:
    """Joints that the model predicts."""
    return self.skeleton.num_joints

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Joints `[..., J, 2]`, normalised screen -> `[..., J, 3]`, metres."""
    lifted = self.lifter(x, train=train and not self.frozen)
    if self.frozen:
      lifted = jax.lax.stop_gradient(lifted)
    return PoseGrammar(self.skeleton, name='grammar')(x, lifted)
