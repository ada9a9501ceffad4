"""Tests of which kernels a GPU gets, which needs none."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from semgcn_jax.models import functional, gpu

pytestmark = pytest.mark.skipif(
  jax.__version_info__ < (0, 11), reason='JAX before 0.11 has no such kernels'
)


@pytest.fixture
def has_hopper(monkeypatch):
  """Sets whether there is a Hopper GPU, also for what is traced already."""

  def change(value):
    monkeypatch.setattr(gpu, '_has_hopper', lambda: value)
    jax.clear_caches()

  yield change
  jax.clear_caches()


def make_layers():
  """Makes two functions of arrays, and their arguments: nodes and weights."""
  rng = np.random.default_rng(0)

  def draw(*shape):
    return jnp.float32(rng.normal(size=shape))

  x = jnp.bfloat16(draw(8, 1024, 128))
  kernel, logits = draw(2, 128, 128), draw(8, 8)
  weights = functional.NonLocalWeights(
    *(draw(128, 128), draw(128), draw(64), draw(), draw(64), draw(64, 128)),
    draw(128),
  )
  pairs = ((0, 1), (2, 3), (4, 5), (6, 7))

  def normalize(x, scale, bias, residual):
    y, _, _ = functional.batch_normalize(
      x, scale, bias, residual, epsilon=1e-5, relu=True, axis_name=None
    )
    return y[..., ::-1]  # Their products with x itself hardly depend on x.

  few = x[:, :128]
  return {
    'convolution': (
      functional.semantic_graph_conv,
      (x, kernel / 10, jax.nn.softmax(logits), draw(128)),
    ),
    'non_local': (
      functools.partial(functional.non_local, groups=pairs),
      (x, jax.tree.map(lambda weight: weight / 10, weights)),
    ),
    'norm': (normalize, (few, draw(128), draw(128), few[::-1])),
  }


@pytest.fixture(params=['convolution', 'non_local', 'norm'])
def layer(request):
  return make_layers()[request.param]


def count_kernels(function, *args, platforms=('cuda',)):
  # A function of its own, as traces are kept for each.
  traced = jax.jit(lambda *args: function(*args)).trace(*args)
  text = traced.lower(lowering_platforms=platforms).as_text()
  return text.count('custom_call @mosaic_gpu')


@pytest.mark.parametrize(
  ('name', 'backward'), [('convolution', 2), ('non_local', 1), ('norm', 1)]
)
def test_kernels_are_chosen_on_a_hopper_gpu(has_hopper, name, backward):
  function, args = make_layers()[name]

  def gradient(*args):
    return jax.vjp(function, *args)[1](args[0])

  has_hopper(False)
  assert count_kernels(function, *args) == 0
  assert count_kernels(gradient, *args) == 0
  has_hopper(True)
  assert count_kernels(function, *args) == 1
  assert count_kernels(gradient, *args) == backward
  assert count_kernels(gradient, *args, platforms=('cpu',)) == 0


def test_kernels_keep_second_derivatives(has_hopper, layer):
  function, (nodes, *weights) = layer

  def squared(weights):
    def loss(x):
      y = function(x, *weights)
      return jnp.sum((y * nodes).astype(jnp.float32))

    return jnp.sum(jnp.square(jax.grad(loss)(nodes).astype(jnp.float32)))

  has_hopper(False)
  expected = jax.grad(squared)(weights)
  has_hopper(True)  # The CPU runs what XLA compiles of the same rules.
  for value, other in zip(
    jax.tree.leaves(jax.grad(squared)(weights)),
    jax.tree.leaves(expected),
    strict=True,
  ):
    np.testing.assert_allclose(value, other, rtol=1e-5)
