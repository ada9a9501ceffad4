"""The kernel in Pallas' interpreter, against the network it stands for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_loops import random
from jax.sharding import AbstractDevice, AbstractMesh, use_abstract_mesh
from skeletons import CHAIN, HAND

from semgcn_jax import config, fused, models, predictor
from semgcn_jax.skeleton import H36M, Skeleton

# Eight joints, eight groups of one; and eight groups of unequal sizes.
STAR = Skeleton(joints=tuple('abcdefgh'), parents=(-1, 0, 0, 0, 0, 0, 0, 0))
LONG = Skeleton(
  joints=tuple('abcdefghijklmnop'),
  parents=tuple(range(-1, 15)),
  groups=(
    *((0, 1, 2, 3), (4, 5), (6,), (7,)),
    *((8,), (9,), (10, 11, 12), (13, 14, 15)),
  ),
)
WIDE = Skeleton(
  joints=tuple(f'joint{i}' for i in range(64)), parents=tuple(range(-1, 63))
)
SIZES = {'hid_dim': 32, 'num_layers': 2}


@pytest.mark.parametrize(
  ('skeleton', 'fields'),
  [
    (H36M, {}),
    (H36M, {'non_local': False}),
    (STAR, {'num_layers': 1}),
    (LONG, {'num_layers': 1}),
    (WIDE, {'num_layers': 1}),
  ],
)
def test_equals_the_network(monkeypatch, skeleton, fields):
  monkeypatch.setattr(fused, '_MULTIPROCESSORS', 2)
  settings = config.preset('h36m', **SIZES | fields)
  assert fused.fits(settings, skeleton)
  model = models.build(settings, skeleton)
  inputs = random(9, skeleton.num_joints, 2)
  variables = model.init(jax.random.key(0), inputs)
  variables = jax.tree.map(lambda x: x + 0.3 * abs(random(*x.shape)), variables)
  expected = model.apply(variables, inputs)
  params = jax.device_get(predictor.fold(variables))['params']
  for dtype, tolerance in ((jnp.float32, 2e-6), (jnp.bfloat16, 2e-2)):
    network = fused.make_network(
      settings, skeleton, params, dtype=dtype, interpret=True
    )
    scale = abs(expected).max()
    for poses in (1, 3, 5, 9):  # 16, 32 or 64 rows a tile.
      np.testing.assert_allclose(
        network(inputs[:poses]) / scale,
        expected[:poses] / scale,
        atol=tolerance,
        err_msg=str(dtype),
      )


@pytest.mark.parametrize('poses', [1, 256, 4096])
def test_lowers_for_a_gpu(poses):
  """As far as one gets without: to what its compiler takes."""
  settings = config.preset('h36m', **SIZES)
  inputs = random(poses, 16, 2)
  variables = models.build(settings, H36M).init(jax.random.key(0), inputs)
  params = jax.device_get(predictor.fold(variables))['params']
  network = jax.jit(fused.make_network(settings, H36M, params))
  device = AbstractDevice('NVIDIA H100 80GB HBM3', None, 'gpu')
  with use_abstract_mesh(AbstractMesh((), (), abstract_device=device)):
    lowered = network.trace(inputs).lower(lowering_platforms=('cuda',))
  assert lowered.as_text().count('gpu.triton') == 1


@pytest.mark.parametrize(
  'fields',
  [
    {'conv': 'vanilla'},
    {'model': 'linear'},
    {'hid_dim': 120},
    {'refine': 'pose_grammar'},
    {'num_layers': 0},
  ],
)
def test_what_there_is_no_kernel_for(fields):
  assert not fused.fits(config.preset('h36m', **fields), H36M)
  for skeleton in (CHAIN, HAND):
    assert not fused.fits(config.preset('h36m'), skeleton)
