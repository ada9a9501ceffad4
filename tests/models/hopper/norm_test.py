import jax
import jax.numpy as jnp
import numpy as np
import pytest
from interpreted import assert_close

from semgcn_jax.models.hopper import norm

FIELDS = {'parts': 1, 'epsilon': 1e-5, 'axis_name': None}


def make_arguments(*shape, leading=()):
  rng = np.random.default_rng(0)
  x, residual, dy = (
    jnp.bfloat16(rng.normal(size=(*leading, *shape)) + mean)
    for mean in (3, 0, 0)
  )
  scale, bias = jnp.float32(rng.normal(size=(2, *leading, shape[-1])))
  return x, scale, bias, residual, dy


def compute(x, scale, bias, residual, dy, *, relu):
  args, fields = (x, scale, bias, residual), FIELDS | {'relu': relu}
  y, mean, var = norm.forward(*args, **fields)
  zeros = jnp.zeros_like(scale)[None]
  grads = norm.backward(*args, (dy, zeros, zeros), **fields)
  return y, mean, var, *grads


def expect(x, scale, bias, residual, dy, *, relu):
  """Computes the same in float64."""
  x, scale, bias, residual, dy = (
    np.asarray(z, np.float64) for z in (x, scale, bias, residual, dy)
  )
  rows = tuple(range(x.ndim - 1))
  mean, var = x.mean(rows), x.var(rows)
  deviation = np.sqrt(var + 1e-5)
  normalized = (x - mean) / deviation
  y = normalized * scale + bias
  passed = dy * (y > 0) if relu else dy
  dnormalized = passed * scale
  dx = dnormalized - dnormalized.mean(rows)
  dx = (dx - normalized * (dnormalized * normalized).mean(rows)) / deviation
  y = np.maximum(y, 0) if relu else y
  by_affine = (passed * normalized).sum(rows), passed.sum(rows)
  return y + residual, mean[None], var[None], dx, *by_affine, dy


@pytest.mark.parametrize('relu', [False, True])
@pytest.mark.parametrize('shape', [(16, 12, 128), (8, 4, 8, 16), (1024, 8)])
def test_computes_what_numpy_does(interpreted, shape, relu):
  args = make_arguments(*shape)
  assert_close(compute(*args, relu=relu), expect(*args, relu=relu))


def test_needs_no_residual(interpreted):
  x, scale, bias, residual, dy = make_arguments(16, 4, 128)
  y, *values = compute(x, scale, bias, None, dy, relu=True)
  expected, *others = expect(x, scale, bias, residual, dy, relu=True)
  assert values.pop() is None
  assert_close([y], [expected - np.asarray(residual, np.float64)])
  assert_close(values, others[:-1])


def test_takes_several_seeds(interpreted):
  args = make_arguments(16, 4, 32, leading=(2,))
  values = jax.vmap(lambda *args: compute(*args, relu=True))(*args)
  for seed in range(2):
    own = (arg[seed] for arg in args)
    assert_close([value[seed] for value in values], expect(*own, relu=True))


def test_keeps_nan(interpreted):
  x, scale, bias, residual, _ = make_arguments(16, 4, 128)
  x = x.at[3, 2, 5].set(jnp.nan)
  y, _, _ = norm.forward(x, scale, bias, residual, relu=True, **FIELDS)
  assert jnp.isnan(y[..., 5]).all()
  assert not jnp.isnan(y[..., 8:]).any()


def test_takes_only_what_fits():
  x, scale, bias, residual, _ = make_arguments(16, 64, 128)

  def fits(x, scale=scale, residual=None, **fields):
    fields = FIELDS | {'relu': True} | fields
    return norm.fits(x, scale, bias, residual, **fields)

  assert fits(x)
  assert fits(x, residual=residual)
  assert fits(x.reshape(1024, 128))
  assert fits(x[:, :4])
  assert not fits(x[:, :5])
  assert not fits(x[:, :0])
  assert not fits(jnp.concatenate([x, x[:1]]))
  assert not fits(x.astype(jnp.float32))
  assert not fits(x, scale=jnp.bfloat16(scale))
  assert not fits(x, residual=residual.astype(jnp.float32))
  assert not fits(x, residual=residual[:1])
  assert not fits(x[..., :4])
  assert not fits(x, parts=2)


def test_statistics_of_several_devices_are_left_to_xla():
  x, scale, bias, _, _ = make_arguments(16, 64, 128)
  answers = []

  def ask(x):
    fields = FIELDS | {'axis_name': 'batch', 'relu': False}
    answers.append(norm.fits(x, scale, bias, None, **fields))
    return x

  for devices in (1, 2):
    jax.vmap(ask, axis_name='batch')(jnp.stack([x] * devices))
  assert answers == [True, False]
