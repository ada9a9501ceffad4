import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_loops import random

from semgcn_jax.errors import SettingError
from semgcn_jax.models.resnet import (
  BACKBONES,
  ConvBlock,
  ResNet,
  ResNetBlock,
  make_resnet,
  max_pool,
)

SMALL = ResNet(
  stage_sizes=(1, 1), stage_widths=(2, 4), width=2, bottleneck=False
)
SIDES = (32, 16, 8, 4, 2)  # Of the maps of a picture of 64 pixels.


@functools.cache
def small_variables():
  return init(SMALL, jnp.zeros((1, 16, 16, 3)))[1]


def init(module, x):
  """The output of a fresh module, and its variables."""
  make = functools.partial(module.init_with_output, train=False)
  # This generator of random numbers compiles in a fraction of the time.
  return jax.jit(make)(jax.random.key(0, impl='rbg'), x)


@jax.jit
def small_training(variables, images):
  return SMALL.apply(variables, images, train=True, mutable=['batch_stats'])


@pytest.mark.parametrize(
  'name, parameters, channels, sides',
  [
    # torchvision tells these numbers; the classifier is subtracted.
    ('resnet50', 25_557_032 - 2_049_000, (64, 256, 512, 1024, 2048), SIDES),
    ('resnet18', 11_689_512 - 513_000, (64, 64, 128, 256, 512), SIDES),
    ('tiny', None, (16, 32, 32, 64, 64), (32, 16, 8, 8, 8)),
  ],
)
def test_sizes(name, parameters, channels, sides):
  model = make_resnet(name)
  assert model.stage_channels == channels
  images = jax.ShapeDtypeStruct((2, 64, 64, 3), jnp.float32)
  maps, variables = jax.eval_shape(
    model.init_with_output, jax.random.key(0), images
  )
  assert [x.shape for x in maps] == [
    (2, side, side, c) for side, c in zip(sides, channels, strict=True)
  ]
  count = sum(leaf.size for leaf in jax.tree.leaves(variables['params']))
  if parameters is not None:
    assert count == parameters
  assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype('float32')}


def test_names_are_those_of_the_default_fields():
  assert make_resnet('resnet50') == ResNet()
  assert set(BACKBONES) == {'resnet50', 'resnet18', 'tiny'}
  with pytest.raises(SettingError, match='`backbone=vgg`: choose from'):
    make_resnet('vgg')


def test_conv_block_by_loops():
  x = random(2, 6, 6, 2)
  layer = ConvBlock(3, 5, 2)
  y, variables = init(layer, x)
  kernel = np.asarray(variables['params']['conv']['kernel'])
  padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
  expected = np.zeros((2, 3, 3, 3))
  for i in range(3):
    for j in range(3):
      window = padded[:, 2 * i : 2 * i + 5, 2 * j : 2 * j + 5]
      expected[:, i, j] = np.einsum('bhwc,hwcd->bd', window, kernel)
  expected = np.maximum(expected / np.sqrt(1 + 1e-5), 0)
  np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('size', [(6, 6), (5, 8), (1, 2)])
def test_max_pool_by_loops(size):
  x = random(2, *size, 3)
  shape = 2, (size[0] + 1) // 2, (size[1] + 1) // 2, 3
  expected, gradient = np.zeros(shape), np.zeros_like(x)
  weights = random(*shape, seed=1)
  for b, i, k, c in np.ndindex(shape):
    rows, columns = (slice(max(2 * n - 1, 0), 2 * n + 2) for n in (i, k))
    window = x[b, rows, columns, c]
    expected[b, i, k, c] = window.max()
    gradient[b, rows, columns, c] += weights[b, i, k, c] * (
      window == window.max()
    )
  pooled, pull = jax.vjp(jax.jit(max_pool), x)
  np.testing.assert_array_equal(pooled, expected)
  np.testing.assert_allclose(pull(weights)[0], gradient, rtol=1e-6)


def test_convolutions_start_kaiming_normal_by_their_outputs():
  x = jnp.zeros((1, 4, 4, 16))
  _, variables = init(ConvBlock(64, 3), x)
  kernel = np.asarray(variables['params']['conv']['kernel'])
  assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * 64)), rel=0.05)


@pytest.mark.parametrize('bottleneck', [False, True])
def test_a_fresh_block_is_its_skip(bottleneck):
  x = random(2, 4, 4, 8)
  block = ResNetBlock(2 if bottleneck else 8, 1, bottleneck)
  y, variables = init(block, x)
  assert 'skip' not in variables['params']
  np.testing.assert_array_equal(y, np.maximum(x, 0))


def test_training_keeps_the_statistics_of_every_norm():
  images = random(2, 16, 16, 3)
  before = small_variables()['batch_stats']
  maps, after = small_training(small_variables(), images)
  pairs = zip(
    *map(jax.tree.leaves, (before, after['batch_stats'])), strict=True
  )
  assert all((np.asarray(x) != np.asarray(y)).all() for x, y in pairs)
  # Freshly initialised, the norm is y = ReLU((x - mean) / deviation): half of
  # what comes out is positive, and little is larger than a few deviations.
  assert 0.2 < (maps[0] > 0).mean() < 0.8
  assert maps[0].max() < 20


def test_all_leading_dimensions_are_of_the_batch():
  images = random(2, 3, 16, 16, 3)
  apply = jax.jit(SMALL.apply)
  maps = apply(small_variables(), images)
  flat = apply(small_variables(), images.reshape(6, 16, 16, 3))
  for x, y in zip(maps, flat, strict=True):
    np.testing.assert_allclose(x.reshape(y.shape), y, atol=1e-6)


def test_activations_may_be_narrow():
  images = random(2, 16, 16, 3)
  expected = jax.jit(SMALL.apply)(small_variables(), images)
  narrow = SMALL.clone(dtype=jnp.bfloat16)
  narrow = jax.jit(narrow.apply)(small_variables(), images)
  for x, y in zip(narrow, expected, strict=True):
    assert x.dtype == jnp.bfloat16
    np.testing.assert_allclose(x.astype(jnp.float32), y, rtol=0.1, atol=0.1)


def test_every_parameter_has_a_gradient():
  images = random(2, 16, 16, 3)
  # The first gradient of a fresh block is that of its last scale alone.
  params = jax.tree.map(
    lambda x: x + 0.5 if x.ndim == 1 else x, small_variables()['params']
  )

  @jax.jit
  @jax.grad
  def gradient(params):
    variables = small_variables() | {'params': params}
    maps, _ = small_training(variables, images)
    return sum(jnp.sum(jnp.sin(x)) for x in maps)

  gradients = jax.tree.leaves(gradient(params))
  gradients = [np.asarray(x) for x in gradients]
  assert all(np.isfinite(x).all() and (x != 0).any() for x in gradients)


def test_any_norm_can_be_given():
  class Nothing(nn.Module):
    relu: bool = False
    scale_init: object = None

    def __call__(self, x, *, train):
      return x

  variables = jax.eval_shape(
    SMALL.clone(norm=Nothing).init,
    jax.random.key(0),
    jnp.zeros((1, 16, 16, 3)),
  )
  assert set(variables) == {'params'}
