import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_loops import random

from semgcn_jax.models import heatmaps
from semgcn_jax.models.heatmaps import DeconvBlock, HeatmapHead, keypoint_l1

soft_argmax = jax.jit(heatmaps.soft_argmax)
heatmap_loss = jax.jit(heatmaps.heatmap_loss)
gaussian_heatmaps = jax.jit(
  heatmaps.gaussian_heatmaps, static_argnames=('size', 'sigma')
)

HEAD = HeatmapHead(num_joints=5, features=4, num_deconvs=2)


def init(module, x):
  """The output of a fresh module, and its variables."""
  make = functools.partial(module.init_with_output, train=False)
  # This generator of random numbers compiles in a fraction of the time.
  return jax.jit(make)(jax.random.key(0, impl='rbg'), x)


def test_deconv_by_loops():
  x = random(2, 3, 4, 2)
  y, variables = init(DeconvBlock(3), x)
  kernel = np.asarray(variables['params']['conv']['kernel'])
  padded = np.zeros((2, 8, 10, 3))
  for i in range(3):
    for j in range(4):
      spread = np.einsum('bc,hwcd->bhwd', x[:, i, j], kernel)
      padded[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += spread
  expected = np.maximum(padded[:, 1:-1, 1:-1] / np.sqrt(1 + 1e-5), 0)
  assert y.shape == (2, 6, 8, 3)
  np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_deconv_equals_pytorch():
  torch = pytest.importorskip('torch', reason='needs the torch extra')
  x = random(2, 3, 4, 2)
  y, variables = init(DeconvBlock(3), x)
  theirs = torch.nn.ConvTranspose2d(2, 3, 4, 2, padding=1, bias=False)
  kernel = np.array(variables['params']['conv']['kernel'])
  with torch.no_grad():
    theirs.weight[:] = torch.from_numpy(kernel.transpose(2, 3, 0, 1))
    expected = theirs(torch.from_numpy(x).permute(0, 3, 1, 2)).relu()
  expected = expected.permute(0, 2, 3, 1).numpy() / np.sqrt(1 + 1e-5)
  np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_head_makes_a_heat_map_for_each_joint(dtype):
  head = HEAD.clone(dtype=jnp.dtype(dtype))
  logits, variables = init(head, random(2, 3, 2, 8))
  assert logits.shape == (2, 12, 8, 5) and logits.dtype == jnp.float32
  params = variables['params']
  assert set(params) == {'deconv0', 'deconv1', 'output'}
  assert {'kernel', 'bias'} == set(params['output'])
  assert {x.dtype.name for x in jax.tree.leaves(variables)} == {'float32'}
  # Before training, every joint is in the middle.
  np.testing.assert_allclose(soft_argmax(logits), 0, atol=0.02)


@pytest.mark.slow
def test_head_keeps_statistics_and_has_gradients():
  features, joints = random(2, 3, 3, 8), random(2, 5, 2) * 0.3
  _, variables = init(HEAD, features)

  @jax.jit
  @functools.partial(jax.grad, has_aux=True)
  def gradient(params, features):
    logits, updated = HEAD.apply(
      variables | {'params': params},
      features,
      train=True,
      mutable=['batch_stats'],
    )
    loss = keypoint_l1(soft_argmax(logits), joints)
    return loss + heatmap_loss(logits, joints), updated['batch_stats']

  gradients, updated = gradient(variables['params'], features)
  for x in jax.tree.leaves(gradients):
    assert np.isfinite(x).all() and (np.asarray(x) != 0).any()
  for x, y in zip(
    jax.tree.leaves(updated),
    jax.tree.leaves(variables['batch_stats']),
    strict=True,
  ):
    assert (np.asarray(x) != np.asarray(y)).any()


def soft_argmax_by_loops(logits):
  height, width, joints = logits.shape
  result = np.zeros((joints, 2))
  for j in range(joints):
    weights = np.exp(logits[..., j] - logits[..., j].max())
    for i in range(height):
      for k in range(width):
        x, y = (k + 0.5) / width * 2 - 1, (i + 0.5) / height * 2 - 1
        result[j] += weights[i, k] / weights.sum() * np.array([x, y])
  return result


def test_soft_argmax_by_loops():
  logits = random(3, 5, 7, 4) * 3
  y = soft_argmax(logits)
  assert y.shape == (3, 4, 2) and y.dtype == jnp.float32
  expected = [soft_argmax_by_loops(one.astype(float)) for one in logits]
  np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize('sigma', [1, 2, 4])
def test_soft_argmax_finds_the_center_of_a_gaussian(sigma):
  # Pixels of a picture of 256 x 256, of which a heat map's cell has 4 x 4.
  centers = np.random.default_rng(0).uniform(100, 156, (20, 2))
  pixels = np.arange(64) * 4 + 2
  squares = (pixels[:, None, None] - centers[:, 1]) ** 2
  squares = squares + (pixels[:, None] - centers[:, 0]) ** 2
  logits = -squares / (4 * sigma) ** 2 / 2
  found = (np.asarray(soft_argmax(jnp.asarray(logits))) + 1) * 128
  np.testing.assert_allclose(found, centers, rtol=0, atol=0.05)


def test_soft_argmax_sums_narrow_logits_wide():
  logits = jnp.asarray(random(64, 64, 2), jnp.bfloat16)
  expected = soft_argmax(logits.astype(jnp.float32))
  np.testing.assert_array_equal(soft_argmax(logits), expected)
  huge = jnp.zeros((4, 4, 1)).at[0, 3].set(1e9)
  np.testing.assert_allclose(soft_argmax(huge), [[0.75, -0.75]])


def test_gaussian_heatmaps_by_loops():
  joints = np.array([[0.1, -0.3], [-0.9, 0.95]], np.float32)
  maps = gaussian_heatmaps(jnp.asarray(joints), (6, 9), 1.5)
  assert maps.shape == (6, 9, 2) and maps.dtype == jnp.float32
  for j, (x, y) in enumerate(joints.astype(float)):
    column, row = (x + 1) / 2 * 9 - 0.5, (y + 1) / 2 * 6 - 0.5
    expected = np.zeros((6, 9))
    for i in range(6):
      for k in range(9):
        square = (i - row) ** 2 + (k - column) ** 2
        expected[i, k] = np.exp(-square / 1.5**2 / 2)
    expected /= expected.sum()
    np.testing.assert_allclose(maps[..., j], expected, rtol=1e-4, atol=1e-8)


def test_gaussian_heatmaps_have_their_joints_as_expectation():
  joints = np.random.default_rng(0).uniform(-0.7, 0.7, (2, 5, 2))
  maps = gaussian_heatmaps(jnp.asarray(joints, jnp.float32), (64, 64))
  np.testing.assert_allclose(maps.sum(axis=(1, 2)), 1, rtol=1e-5)
  found = soft_argmax(jnp.log(maps + 1e-30))
  np.testing.assert_allclose(found, joints, rtol=0, atol=1e-5)


def test_gaussian_heatmaps_of_joints_far_outside_are_at_the_edge():
  joints = jnp.array([[50.0, -50.0], [1e6, 0.1]])
  maps = gaussian_heatmaps(joints, (4, 4))
  np.testing.assert_allclose(maps.sum(axis=(0, 1)), 1, rtol=1e-6)
  assert maps[0, 3, 0] == pytest.approx(1)
  assert maps[:, 3, 1].sum() == pytest.approx(1)


def test_heatmap_loss_by_loops():
  logits, joints = random(2, 4, 5, 3), random(2, 3, 2) * 0.5
  target = np.asarray(gaussian_heatmaps(jnp.asarray(joints), (4, 5)), float)
  expected = 0.0
  for b in range(2):
    for j in range(3):
      weights = np.exp(logits[b, ..., j].astype(float))
      shares = weights / weights.sum()
      expected -= (target[b, ..., j] * np.log(shares)).sum() / 6
  loss = heatmap_loss(jnp.asarray(logits), jnp.asarray(joints))
  assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_heatmap_loss_is_lowest_for_the_gaussian():
  joints = jnp.asarray(random(2, 3, 2) * 0.3)
  best = jnp.log(gaussian_heatmaps(joints, (8, 8)))
  gradient = jax.jit(jax.grad(heatmap_loss))(best, joints)
  np.testing.assert_allclose(gradient, 0, atol=1e-6)
  assert heatmap_loss(best, joints) < heatmap_loss(best * 0.9, joints)
  assert heatmap_loss(best, joints) < heatmap_loss(best * 1.1, joints)


def test_keypoint_l1_by_hand():
  predicted = jnp.array([[[0.5, 0.0], [0.0, -1.0]]])
  true = jnp.array([[[0.0, 0.0], [0.0, 0.5]]])
  assert float(keypoint_l1(predicted, true)) == pytest.approx(2 / 4)
