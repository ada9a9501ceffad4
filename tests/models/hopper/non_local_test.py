import jax
import jax.numpy as jnp
import numpy as np
import pytest
from interpreted import assert_close

from semgcn_jax.models.functional import NonLocalWeights
from semgcn_jax.models.hopper import non_local

PAIRS = {
  8: ((0, 1), (2, 7), (3, 5), (4, 6)),
  16: tuple((joint, joint + 8) for joint in range(8)),
  64: tuple((joint, joint + 32) for joint in range(32)),
}


def make_arguments(joints, *shape, leading=()):
  rng = np.random.default_rng(0)

  def draw(*shape, scale=1.0):
    return jnp.bfloat16(scale * rng.normal(size=(*leading, *shape)))

  weights = NonLocalWeights(
    kernel=draw(128, 128, scale=0.1),
    w_theta=draw(128, scale=0.1),
    w_phi=draw(64, scale=0.2),
    bias=draw(scale=0.5),
    bias_g=draw(64),
    out=draw(64, 128, scale=0.1),
    bias_out=draw(128),
  )
  weights = jax.tree.map(lambda weight: weight.astype(jnp.float32), weights)
  return draw(joints, *shape, 128), weights, draw(joints, *shape, 128)


def compute(x, weights, dy, groups):
  y = non_local.forward(x, weights, groups=groups)
  dx, dweights = non_local.backward(x, weights, dy, groups=groups)
  return y, dx, *dweights


def expect(x, weights, dy, groups):
  """Computes the same in float64, by the pairs: y, dx, and by the weights."""
  shape = x.shape
  x, dy = (np.asarray(z, np.float64).reshape(len(z), -1, 128) for z in (x, dy))
  kernel, w_theta, w_phi, bias, bias_g, out, bias_out = (
    np.asarray(weight, np.float64) for weight in weights
  )
  # The larger of two nodes is that after rounding.
  mapped = np.asarray(jnp.bfloat16(x @ kernel), np.float64)
  first, second = (mapped[list(side)] for side in zip(*groups, strict=True))
  first_wins = first >= second
  pooled = np.where(first_wins, first, second)
  of_phi, of_g = pooled[..., :64], pooled[..., 64:] + bias_g
  logits = (x @ w_theta)[:, None] + of_phi @ w_phi + bias
  affinity = np.maximum(logits, 0) / len(groups)
  total = np.einsum('jnb,nbh->jbh', affinity, of_g)

  dtotal = dy @ out.T
  dlogits = np.einsum('jbh,nbh->jnb', dtotal, of_g)
  dlogits = dlogits * (logits > 0) / len(groups)
  dpooled = np.concatenate(
    [
      dlogits.sum(axis=0)[..., None] * w_phi,
      np.einsum('jnb,jbh->nbh', affinity, dtotal),
    ],
    axis=-1,
  )
  dmapped = np.zeros_like(mapped)
  for pair, gradient, wins in zip(groups, dpooled, first_wins, strict=True):
    dmapped[pair[0]] = gradient * wins
    dmapped[pair[1]] = gradient * ~wins
  dtheta = dlogits.sum(axis=1)
  return (
    (total @ out + bias_out).reshape(shape),
    (dmapped @ kernel.T + dtheta[..., None] * w_theta).reshape(shape),
    np.einsum('jbc,jbd->cd', x, dmapped),
    np.einsum('jb,jbc->c', dtheta, x),
    np.einsum('jnb,nbh->h', dlogits, of_phi),
    dlogits.sum(),
    dpooled[..., 64:].sum(axis=(0, 1)),
    np.einsum('jbh,jbd->hd', total, dy),
    dy.sum(axis=(0, 1)),
  )


def assert_right(values, expected):
  values, expected = list(values), list(expected)
  bias = 5  # Its gradient is one number, a sum whose terms partly cancel.
  assert_close([values.pop(bias)], [expected.pop(bias)], tolerance=2e-2)
  assert_close(values, expected)


# Workers get no tile, one, or several more than they can load ahead.
@pytest.mark.parametrize(
  ('joints', 'shape'), [(16, (4,)), (16, (4, 19)), (8, (8,)), (64, (3,))]
)
def test_computes_what_numpy_does(interpreted, joints, shape):
  args = (*make_arguments(joints, *shape), PAIRS[joints])
  assert_right(compute(*args), expect(*args))


def test_gives_the_gradient_to_the_first_of_equals(interpreted):
  x, weights, dy = make_arguments(8, 8)
  for pair in PAIRS[8]:
    x = x.at[pair[1]].set(x[pair[0]])
  args = x, weights, dy, PAIRS[8]
  assert_right(compute(*args), expect(*args))


def test_takes_several_seeds(interpreted):
  args = make_arguments(16, 12, leading=(2,))
  values = jax.vmap(lambda *args: compute(*args, PAIRS[16]))(*args)
  for seed in range(2):
    own = jax.tree.map(lambda leaf, seed=seed: leaf[seed], args)
    assert_right([value[seed] for value in values], expect(*own, PAIRS[16]))


def test_takes_only_what_fits():
  x, weights, _ = make_arguments(16, 64)

  def fits(x, weights=weights, groups=PAIRS[16]):
    return non_local.fits(x, weights, groups=groups)

  assert fits(x)
  assert fits(x.reshape(16, 8, 8, 128))
  assert not fits(x.astype(jnp.float32))
  assert not fits(x[:, :60])
  assert not fits(x[:8])
  assert not fits(x, groups=())
  assert not fits(x, groups=((1, 0), *PAIRS[16][1:]))
  assert not fits(x, groups=(tuple(range(16)),))
  assert not fits(x, weights._replace(out=weights.out[:, :64]))
  assert not fits(x, weights._replace(bias=jnp.bfloat16(weights.bias)))
