import jax
import jax.numpy as jnp
import numpy as np
import pytest
from interpreted import assert_close

from semgcn_jax.models.hopper import convolution


def make_arguments(joints, *shape, leading=()):
  rng = np.random.default_rng(0)
  x, dy = (
    jnp.bfloat16(rng.normal(size=(*leading, joints, *shape, 128)))
    for _ in range(2)
  )
  kernel = jnp.float32(rng.normal(size=(*leading, 2, 128, 128)) / 10)
  logits = rng.normal(size=(*leading, joints, joints))
  bias = jnp.float32(rng.normal(size=(*leading, 128)))
  return x, kernel, jax.nn.softmax(jnp.float32(logits)), bias, dy


def compute(*args):
  *args, dy = args
  return convolution.forward(*args), *convolution.backward(*args, dy)


def expect(*args):
  """Computes the same in float64: y, dx, dkernel, dadjacency, dbias."""
  x, w, a, bias, dy = (np.asarray(z, np.float64) for z in args)
  shape = x.shape
  x, dy = (z.reshape(shape[0], -1, shape[-1]) for z in (x, dy))
  eye = np.eye(len(a))
  parts = np.stack([a * eye, a * (1 - eye)])
  mapped = np.einsum('jbc,kcd->kjbd', x, w)
  mixed = np.einsum('kij,ibd->kjbd', parts, dy)
  dparts = np.einsum('ibd,kjbd->kij', dy, mapped)
  return (
    (np.einsum('kij,kjbd->ibd', parts, mapped) + bias).reshape(shape),
    np.einsum('kjbd,kcd->jbc', mixed, w).reshape(shape),
    np.einsum('jbc,kjbd->kcd', x, mixed),
    dparts[0] * eye + dparts[1] * (1 - eye),
    dy.sum(axis=(0, 1)),
  )


# Workers get no tile, one, or several more than they can load ahead.
@pytest.mark.parametrize(
  ('joints', 'shape'),
  [(16, (12,)), (16, (4, 20)), (8, (8,)), (64, (3,))],
)
def test_computes_what_numpy_does(interpreted, joints, shape):
  args = make_arguments(joints, *shape)
  assert_close(compute(*args), expect(*args))


def test_takes_several_seeds(interpreted):
  args = make_arguments(16, 12, leading=(2,))
  values = jax.vmap(compute)(*args)
  for seed in range(2):
    own = [value[seed] for value in values]
    assert_close(own, expect(*(arg[seed] for arg in args)))


def test_takes_only_what_fits():
  x, *weights, _ = make_arguments(16, 1024)
  kernel, adjacency, bias = weights
  assert convolution.fits(x, *weights)
  assert convolution.fits(x.reshape(16, 8, 128, 128), *weights)
  assert not convolution.fits(x.astype(jnp.float32), *weights)
  assert not convolution.fits(x[:, :1023], *weights)
  assert convolution.fits(x[:, :64], *weights)
  assert not convolution.fits(x[:, :60], *weights)
  assert not convolution.fits(jnp.concatenate([x, x[:1]]), *weights)
  assert not convolution.fits(x[..., :64], kernel[:, :64], adjacency, bias)
  assert not convolution.fits(x, jnp.bfloat16(kernel), adjacency, bias)
