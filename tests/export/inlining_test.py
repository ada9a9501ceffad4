import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from semgcn_jax.export.inlining import inline


def names(function, *inputs):
  """Names the primitives of a function, those of its calls included."""
  return {e.primitive.name for e in jax.make_jaxpr(function)(*inputs).eqns}


def free(*shape):
  (size,) = jax.export.symbolic_shape('B')
  return jax.ShapeDtypeStruct((size, *shape), jnp.float32)


def check(function, *shape, without):
  """Asserts that the inlined function has not these primitives, but values."""
  x = free(*shape)
  inlined = inline(function, [x])
  assert not names(inlined, x) & set(without), names(inlined, x)
  call = jax.export.export(jax.jit(inlined))(x).call
  for size in (1, 3):
    value = np.random.default_rng(size).normal(size=(size, *shape))
    value = value.astype(np.float32)
    np.testing.assert_allclose(
      call(value)[0], function(jnp.asarray(value)), rtol=1e-6, atol=1e-6
    )


def test_calls_and_rules_of_gradients_are_inlined():
  square = jax.custom_vjp(jax.jit(lambda x: x * x))
  square.defvjp(lambda x: (x, x), lambda r, dy: (2 * r * dy,))
  check(square, 3, without=('jit', 'pjit', 'custom_vjp_call'))


def test_the_branch_for_a_cpu_is_taken():
  def function(x):
    return jax.lax.platform_dependent(
      x, cpu=lambda x: x + 1, default=lambda x: x - 1
    )

  check(function, 2, without=('platform_index', 'cond', 'sub'))
  only_default = inline(
    lambda x: jax.lax.platform_dependent(
      x, cuda=lambda x: x + 1, default=lambda x: x - 1
    ),
    [free(2)],
  )
  np.testing.assert_array_equal(only_default(jnp.zeros((1, 2)))[0], -1)


def test_what_depends_on_constants_alone_is_computed():
  weights = jnp.arange(6.0).reshape(2, 3)
  check(
    lambda x: x @ (jnp.exp(weights) / jnp.sum(weights)),
    2,
    without=('exp', 'div', 'reduce_sum'),
  )


@pytest.mark.parametrize('reverse', [False, True])
def test_loops_are_unrolled_in_order(reverse):
  def summed(x):
    def step(carried, n):
      s, count = carried
      # What the body closes over is a constant of the loop.
      return (2 * s + n, count + 1), (s * n + x[:, 1], count * n)

    start = x[:, 0], jnp.zeros_like(x[:, 0])
    last, each = jax.lax.scan(step, start, x.T, reverse=reverse)
    return jnp.concatenate([*each, jnp.stack(last)]).T

  check(summed, 4, without=('scan',))


def test_a_split_of_the_batch_and_padding():
  def halves(x):
    first, second = jnp.split(jnp.concatenate([x, 2 * x]), 2)
    return first - second

  check(halves, 2, 3, without=('split',))
  check(
    lambda x: jnp.pad(x, ((0, 0), (1, 2), (0, 3)), constant_values=7),
    *(2, 3),
    without=('pad',),
  )


def test_what_cannot_be_written_simply_is_refused():
  x = free(4)
  dilated = inline(lambda x: jax.lax.pad(x, 0.0, [(0, 0, 0), (0, 0, 1)]), [x])
  with pytest.raises(NotImplementedError, match='padding'):
    jax.make_jaxpr(dilated)(x)
