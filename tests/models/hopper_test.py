"""Tests of hopper.py, in Pallas's interpreter."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from semgcn_jax.models import functional, gpu

if jax.__version_info__ < (0, 11):
  pytest.skip('JAX before 0.11 cannot interpret them', allow_module_level=True)

# After the check, as older versions lack parts of Pallas.
from jax.experimental.pallas import mosaic_gpu as plgpu

from semgcn_jax.models import hopper


@pytest.fixture
def interpreted(monkeypatch):
  """Runs the kernels on a GPU of two multiprocessors, for any batch."""
  monkeypatch.setattr(hopper, 'PROCESSORS', 2)
  monkeypatch.setattr(hopper, 'MIN_POSES', 1)
  # Pyright sees the oldest JAX.
  interpreter: Any = plgpu
  params = interpreter.InterpretGPUParams(detect_races=True)
  with interpreter.force_gpu_interpret_mode(params):
    yield


def make_arguments(joints, *shape, leading=()):
  rng = np.random.default_rng(0)
  x, dy = (
    jnp.bfloat16(rng.normal(size=(*leading, joints, *shape, 128)))
    for _ in range(2)
  )
  kernel = jnp.float32(rng.normal(size=(*leading, 2, 128, 128)) / 10)
  logits = rng.normal(size=(*leading, joints, joints))
  return x, kernel, jax.nn.softmax(jnp.float32(logits)), dy


def compute(x, kernel, adjacency, dy):
  y = hopper.convolve(x, kernel, adjacency)
  return y, *hopper.differentiate(x, kernel, adjacency, dy)


def expect(x, kernel, adjacency, dy):
  """Computes the same in float64: y, dx, dkernel, dadjacency."""
  shape = x.shape
  x, w, a, dy = (np.asarray(z, np.float64) for z in (x, kernel, adjacency, dy))
  x, dy = (z.reshape(shape[0], -1, shape[-1]) for z in (x, dy))
  eye = np.eye(len(a))
  parts = np.stack([a * eye, a * (1 - eye)])
  mapped = np.einsum('jbc,kcd->kjbd', x, w)
  mixed = np.einsum('kij,ibd->kjbd', parts, dy)
  dparts = np.einsum('ibd,kjbd->kij', dy, mapped)
  return (
    np.einsum('kij,kjbd->ibd', parts, mapped).reshape(shape),
    np.einsum('kjbd,kcd->jbc', mixed, w).reshape(shape),
    np.einsum('jbc,kjbd->kcd', x, mixed),
    dparts[0] * eye + dparts[1] * (1 - eye),
  )


def assert_close(values, expected):
  for value, other in zip(values, expected, strict=True):
    assert value.shape == other.shape
    error = np.linalg.norm(np.asarray(value, np.float64) - other)
    assert error < 5e-3 * np.linalg.norm(other)  # That of bfloat16.


# Workers get no tile, one, or several more than they can load ahead.
@pytest.mark.parametrize(
  ('joints', 'shape'),
  [(16, (12,)), (16, (4, 20)), (8, (8,))],
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
  x, kernel, *_ = make_arguments(16, 1024)
  assert hopper.fits(x, kernel)
  assert hopper.fits(x.reshape(16, 8, 128, 128), kernel)
  assert not hopper.fits(x.astype(jnp.float32), kernel)
  assert not hopper.fits(x[:, :1023], kernel)
  assert not hopper.fits(x[:, :512], kernel)
  assert not hopper.fits(jnp.concatenate([x, x[:1]]), kernel)
  assert not hopper.fits(x[..., :64], kernel[:, :64])


@pytest.fixture
def has_hopper(monkeypatch):
  """Sets whether there is a Hopper GPU, also for what is traced already."""

  def change(value):
    monkeypatch.setattr(gpu, '_has_hopper', lambda: value)
    jax.clear_caches()

  yield change
  jax.clear_caches()


def count_kernels(function, *args, platforms=('cuda',)):
  # A function of its own, as traces are kept for each.
  traced = jax.jit(lambda *args: function(*args)).trace(*args)
  text = traced.lower(lowering_platforms=platforms).as_text()
  return text.count('custom_call @mosaic_gpu')


def test_is_chosen_on_a_hopper_gpu(has_hopper):
  *args, dy = make_arguments(16, 1024)

  def gradient(*args):
    return jax.vjp(functional.semantic_graph_conv, *args)[1](dy)

  has_hopper(False)
  assert count_kernels(functional.semantic_graph_conv, *args) == 0
  assert count_kernels(gradient, *args) == 0
  has_hopper(True)
  assert count_kernels(functional.semantic_graph_conv, *args) == 1
  assert count_kernels(gradient, *args) == 2
  assert count_kernels(gradient, *args, platforms=('cpu',)) == 0


def test_has_second_derivatives(has_hopper):
  *args, dy = make_arguments(8, 1024)

  def squared(kernel):
    def loss(x):
      y = functional.semantic_graph_conv(x, kernel, args[2])
      return jnp.sum((y * dy).astype(jnp.float32))

    grad = jax.grad(loss)(args[0]).astype(jnp.float32)
    return jnp.sum(jnp.square(grad))

  has_hopper(False)
  expected = jax.grad(squared)(args[1])
  has_hopper(True)  # The CPU runs what XLA compiles of the same rules.
  np.testing.assert_allclose(jax.grad(squared)(args[1]), expected, rtol=1e-5)
