import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_loops import random
from skeletons import CHAIN

from semgcn_jax.config import presets
from semgcn_jax.errors import SettingError
from semgcn_jax.geometry.skeletons import H36M, Skeleton
from semgcn_jax.models.build import build
from semgcn_jax.models.pose_grammar import (
  PoseGrammar,
  kinematic_chains,
  relations,
)

# One long and one short limb on each side, numbered inward, and no trunk joint
# but the root.
CRAB = Skeleton(
  joints=tuple('rstuvwx'),
  parents=(-1, 2, 0, 4, 0, 0, 0),
  left=(1, 2, 5),
  right=(3, 4, 6),
)


def test_chains_of_h36m():
  names = [[H36M.joints[j] for j in chain] for chain in kinematic_chains(H36M)]
  assert names == [
    ['Pelvis', 'Spine', 'Thorax', 'Head'],
    ['LHip', 'LKnee', 'LAnkle'],
    ['RHip', 'RKnee', 'RAnkle'],
    ['LShoulder', 'LElbow', 'LWrist'],
    ['RShoulder', 'RElbow', 'RWrist'],
  ]
  pairs = {(names[a][-1], names[b][-1]) for a, b in relations(H36M)}
  assert pairs == {
    *(('LAnkle', 'RAnkle'), ('LWrist', 'RWrist')),
    *(('LWrist', 'RAnkle'), ('LAnkle', 'RWrist')),
  }


def test_chains_of_another_skeleton():
  assert kinematic_chains(CRAB) == ((0,), (2, 1), (4, 3), (5,), (6,))
  assert relations(CRAB) == ((1, 2), (3, 4), (1, 4), (3, 2))
  settings = presets.preset('cmu', refine='pose_grammar')
  with pytest.raises(SettingError, match='`refine=pose_grammar`: .* no left'):
    build(settings.model, CHAIN)


def bidirectional_by_loops(params, name, steps):
  """A list of `[C]` -> a list of `[2 H]`."""
  states = []
  for way, order in (('forward', 1), ('backward', -1)):
    cell = params[f'{name}_{way}']
    state, along = np.zeros(cell['h']['kernel'].shape[0]), []
    for step in steps[::order]:
      state = np.tanh(
        step @ cell['i']['kernel']
        + cell['i']['bias']
        + state @ cell['h']['kernel']
      )
      along.append(state)
    states.append(along[::order])
  return [np.concatenate(pair) for pair in zip(*states, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize('skeleton', [H36M, CRAB])
def test_pose_grammar_by_loops(skeleton):
  count = skeleton.num_joints
  joints, lifted = random(2, count, 2), random(2, count, 3, seed=1)
  grammar = PoseGrammar(skeleton, hid_dim=4)
  variables = jax.jit(grammar.init)(jax.random.key(0), joints, lifted)
  apply = jax.jit(grammar.apply)
  np.testing.assert_array_equal(apply(variables, joints, lifted), lifted)
  leaves, structure = jax.tree.flatten(variables['params'])
  params = jax.tree.unflatten(
    structure, [random(*p.shape, seed=n) for n, p in enumerate(leaves)]
  )
  chains = kinematic_chains(skeleton)
  expected = np.zeros((2, count, 3))
  for b in range(2):
    found = [[] for _ in range(count)]
    states = []
    for n, chain in enumerate(chains):
      steps = [np.concatenate([joints[b, j], lifted[b, j]]) for j in chain]
      states.append(bidirectional_by_loops(params, f'chain{n}', steps))
      output = params[f'chain{n}_output']
      for joint, state in zip(chain, states[-1], strict=True):
        found[joint].append(state @ output['kernel'] + output['bias'])
    for n, pair in enumerate(relations(skeleton)):
      longest = max(len(chains[chain]) for chain in pair)
      steps = []
      for chain in pair:
        step = np.zeros((longest, 8))
        step[: len(chains[chain])] = states[chain]
        steps.append(step.ravel())
      output = params[f'relation{n}_output']
      for chain, state in zip(
        pair, bidirectional_by_loops(params, f'relation{n}', steps), strict=True
      ):
        values = (state @ output['kernel'] + output['bias']).reshape(-1, 3)
        for joint, value in zip(chains[chain], values, strict=False):
          found[joint].append(value)
    for joint in range(count):
      expected[b, joint] = lifted[b, joint] + np.mean(found[joint], axis=0)
  np.testing.assert_allclose(
    apply({'params': params}, joints, lifted), expected, atol=1e-4
  )


@pytest.mark.slow
@pytest.mark.parametrize('frozen', [False, True])
def test_gradients_of_lifter_and_refinement(frozen):
  settings = presets.preset(
    'cmu', hid_dim=8, num_layers=1, refine='pose_grammar'
  )
  model = build(settings.model, H36M).clone(frozen=frozen)
  x = random(4, 16, 2)
  variables = jax.jit(model.init)(jax.random.key(0), x)
  params = jax.tree.map(
    lambda p: p + 0.1 * random(*p.shape), variables['params']
  )

  def total(params):
    y, updated = model.apply(
      variables | {'params': params}, x, train=True, mutable=['batch_stats']
    )
    return jnp.sum(y**2), updated['batch_stats']

  grads, stats = jax.jit(jax.grad(total, has_aux=True))(params)
  assert all(np.isfinite(grad).all() for grad in jax.tree.leaves(grads))
  assert all(np.any(grad != 0) for grad in jax.tree.leaves(grads['grammar']))
  moved = [np.any(grad != 0) for grad in jax.tree.leaves(grads['lifter'])]
  changed = jax.tree.map(
    lambda a, b: np.any(a != b), stats, variables['batch_stats']
  )
  assert any(moved) != frozen
  assert any(jax.tree.leaves(changed)) != frozen
