"""The numbers of the released PyTorch code; see docs/parity.md."""

import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh

from semgcn_jax.config import presets
from semgcn_jax.evaluation import metrics
from semgcn_jax.export.torch_names import entries, infer_model
from semgcn_jax.export.torch_states import to_state_dict, to_variables
from semgcn_jax.geometry import cameras
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.models import convolutions, layers
from semgcn_jax.models.build import build
from semgcn_jax.models.graph import adjacency_mask
from semgcn_jax.training import state as state_lib
from semgcn_jax.training import step
from semgcn_jax.training.losses import pose_loss, squared

TESTDATA = pathlib.Path(__file__).parent / 'testdata'
# The second has all layers of the first.
SEMGCN = ('semgcn_small', 'semgcn_nonlocal_small')
MODELS = (
  pytest.param(SEMGCN[0], marks=pytest.mark.slow),
  *(SEMGCN[1], 'linear_small'),
)

joints = functools.partial(pose_loss, measure=squared, bones=False)


def load(name):
  with np.load(TESTDATA / f'{name}.npz') as file:
    return dict(file)


def below(arrays, prefix):
  return {
    k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)
  }


@pytest.mark.parametrize('name', ['sem', 'sem_ch'])
def test_layers_and_their_gradients(name):
  data = below(load('layers'), f'{name}/')
  channel_wise = name == 'sem_ch'
  layer = convolutions.SemGraphConv(7, H36M, channel_wise=channel_wise)
  edges = data['e'] if channel_wise else data['e'][0]
  params = {'kernel': data['W'], 'edge_logits': edges, 'bias': data['bias']}

  @jax.jit
  def apply(params, x):
    out = layer.apply({'params': params}, jnp.moveaxis(x, -2, 0))
    return jnp.moveaxis(out, 0, -2)

  out, vjp = jax.vjp(apply, params, data['x'])
  grads, grad_x = vjp(jnp.asarray(data['cotangent']))
  close = functools.partial(np.testing.assert_allclose, rtol=0, atol=1e-5)
  close(out, data['out'])
  close(grad_x, data['grad_x'])
  close(grads['kernel'], data['grad_W'])
  close(grads['edge_logits'].reshape(data['grad_e'].shape), data['grad_e'])
  close(grads['bias'], data['grad_bias'])
  mask = load('layers')['adj'] > 0
  np.testing.assert_array_equal(adjacency_mask(H36M), mask)


@pytest.mark.slow
def test_initial_range_and_spread():
  expected = json.loads((TESTDATA / 'init_stats.json').read_text())['values']
  for name, (largest, spread, bias) in expected.items():
    channels, features = map(int, name.split('x'))
    layer = convolutions.SemGraphConv(features, H36M)
    x = jnp.zeros((16, 1, channels))
    init = jax.jit(layer.init)
    draws = [init(jax.random.key(i), x)['params'] for i in range(20)]
    kernels = np.stack([draw['kernel'] for draw in draws])
    biases = np.stack([draw['bias'] for draw in draws])
    # The largest of n uniform numbers lies within a few 1/n of the bound.
    tolerance = 10 / kernels.size
    np.testing.assert_allclose(abs(kernels).max(), largest, rtol=tolerance)
    np.testing.assert_allclose(
      kernels.std(), spread, rtol=4 / kernels.size**0.5
    )
    np.testing.assert_allclose(abs(biases).max(), bias, rtol=10 / biases.size)


def test_metrics():
  data = load('metrics')
  for name in ('mpjpe', 'p_mpjpe', 'n_mpjpe'):
    ours = getattr(metrics, name)(data['pred'], data['target'])
    np.testing.assert_allclose(ours.mean(), data[name], rtol=0, atol=1e-6)
  ours = metrics.p_mpjpe(data['pred'], data['target'])
  np.testing.assert_allclose(ours, data['p_mpjpe_each'], rtol=0, atol=1e-6)


@pytest.mark.parametrize('subject', cameras.H36M_SUBJECTS)
@pytest.mark.parametrize('index', range(4))
def test_cameras(subject, index):
  data = load('cameras')
  camera = cameras.h36m_cameras()[subject][index]
  view = cameras.world_to_camera(data['world'].astype(np.float64), camera)
  key = f'{subject}/{index}'
  np.testing.assert_allclose(view, data[f'{key}/camera'], rtol=0, atol=1e-5)
  np.testing.assert_allclose(
    cameras.project(view, camera), data[f'{key}/pixel'], rtol=0, atol=0.01
  )


# In single precision, one activation of `linear_small` is so near to zero in
# the fifth step that the processor's rounding decides on which side it is; from
# then on, weights differ by up to half a step of Adam.
PRECISION = dict.fromkeys(SEMGCN, 'float32') | {'linear_small': 'float64'}


def trained(name, dtype='float32'):
  """Twelve steps from the released code's start, on its batches."""
  with jax.enable_x64(dtype == 'float64'):
    return _trained(name, np.dtype(dtype))


@functools.cache
def _trained(name, dtype):
  data = load(name)
  start = below(data, 'init/')
  settings = presets.preset('h36m', **infer_model(start) | {'dropout': 0.0})
  state = state_lib.create_train_state(settings, H36M)
  state = state.replace(**to_variables(start, settings.model, state.variables))
  state = jax.tree.map(
    lambda x: np.asarray(x, dtype if x.dtype == np.float32 else x.dtype),
    jax.device_get(state),
  )
  variables = state.variables
  mesh = Mesh(np.array(jax.devices()[:1]), (state_lib.AXIS,))
  chunk = step.make_train_chunk(settings, H36M, mesh)
  order = np.arange(12 * 32, dtype=np.int32).reshape(1, 12, 32)
  arrays = {
    'inputs': data['x'].reshape(-1, 16, 2).astype(dtype),
    'targets': data['y'].reshape(-1, 16, 3).astype(dtype),
  }
  state, losses = chunk(state, arrays, order)
  return data, settings, variables, state, losses


def cancelled_bias(key):
  """The bias in front of a batch norm, by the norm's running mean."""
  for norm, bias in (
    ('bn.running_mean', 'gconv.bias'),
    ('W.1.running_mean', 'W.0.bias'),
    ('batch_norm1.running_mean', 'w1.bias'),
    ('batch_norm2.running_mean', 'w2.bias'),
  ):
    if key.endswith(norm):
      return key.removesuffix(norm) + bias
  raise ValueError(key)


@pytest.mark.slow
@pytest.mark.parametrize('name', MODELS)
def test_forward_passes(name):
  data, settings, variables, _, _ = trained(name)
  model = build(settings.model, H36M)
  close = functools.partial(np.testing.assert_allclose, rtol=0, atol=1e-5)
  close(jax.jit(model.apply)(variables, data['x'][0]), data['eval_out'])
  apply = functools.partial(model.apply, train=True, mutable=['batch_stats'])
  out, _ = jax.jit(apply)(variables, data['x'][0])
  close(out, data['train_out'])


@pytest.mark.slow
@pytest.mark.parametrize('name', MODELS)
def test_first_gradients(name):
  data, settings, variables, _, _ = trained(name)
  model = build(settings.model, H36M)

  def loss_fn(params):
    out, _ = model.apply(
      variables | {'params': params},
      data['x'][0],
      train=True,
      mutable=['batch_stats'],
    )
    return joints(
      out, data['y'][0], skeleton=H36M, num_predicted=model.num_predicted
    )

  grads = jax.jit(jax.grad(loss_fn))(variables['params'])
  ours = to_state_dict(variables | {'params': grads}, settings.model)
  expected = below(data, 'grad/')
  silent = {cancelled_bias(k) for k in ours if k.endswith('running_mean')}
  norm = np.sqrt(
    sum(np.sum(g.astype(np.float64) ** 2) for g in expected.values())
  )
  np.testing.assert_allclose(norm, data['grad_norm'][0], rtol=1e-6)
  assert set(expected) == {
    e.torch for e in entries(settings.model) if e.is_param
  }
  for key, grad in expected.items():
    if key in silent:
      # Zero in exact arithmetic, and ours; theirs is rounding noise.
      assert (ours[key] == 0).all()
      assert abs(grad).max() < 1e-4 * norm
    else:
      error = np.linalg.norm(ours[key] - grad)
      assert error <= 1e-4 * np.linalg.norm(grad), key


@pytest.mark.parametrize('name', MODELS)
def test_twelve_losses(name):
  data, _, _, _, losses = trained(name, PRECISION[name])
  np.testing.assert_allclose(losses, data['loss'], rtol=1e-4)


def test_losses_in_single_precision():
  data, _, _, _, losses = trained('linear_small')
  np.testing.assert_allclose(losses[:5], data['loss'][:5], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize('name', MODELS)
def test_twelve_gradient_norms(name):
  with jax.enable_x64(PRECISION[name] == 'float64'):
    gradient_norms_agree(name)


def gradient_norms_agree(name):
  data, settings, variables, _, _ = trained(name, PRECISION[name])
  model = build(settings.model, H36M)
  params, stats = variables['params'], variables['batch_stats']
  first = (
    layers.Linear(params['input']['linear']['bias'].size)
    if (name == 'linear_small')
    else convolutions.SemGraphConv(32, H36M)
  )
  apply_first = jax.jit(first.apply)
  first_params = 'linear' if name == 'linear_small' else 'conv'
  mean = stats['input']['norm']['mean'].astype(np.float64)
  tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3))
  opt_state = tx.init(params)

  @jax.jit
  def step(params, stats, opt_state, x, y):
    def loss_fn(params):
      out, new = model.apply(
        {'params': params, 'batch_stats': stats},
        x,
        train=True,
        mutable=['batch_stats'],
      )
      loss = joints(out, y, skeleton=H36M, num_predicted=model.num_predicted)
      return loss, new['batch_stats']

    grads, stats = jax.grad(loss_fn, has_aux=True)(params)
    updates, opt_state = tx.update(grads, opt_state)
    params = optax.apply_updates(params, updates)
    return params, stats, opt_state, optax.tree.norm(grads)

  norms = []
  for x, y in zip(data['x'], data['y'], strict=True):
    # The running mean behind the first layer, independently.
    nodes = (
      x.reshape(32, -1) if name == 'linear_small' else np.moveaxis(x, -2, 0)
    )
    out = apply_first({'params': params['input'][first_params]}, nodes)
    mean = 0.9 * mean + 0.1 * np.mean(out, axis=tuple(range(out.ndim - 1)))
    params, stats, opt_state, norm = step(params, stats, opt_state, x, y)
    norms.append(norm)
  np.testing.assert_allclose(norms, data['grad_norm'], rtol=1e-4)
  np.testing.assert_allclose(stats['input']['norm']['mean'], mean, atol=1e-5)


@pytest.mark.parametrize(
  'name',
  [
    *(pytest.param(name, marks=pytest.mark.slow) for name in SEMGCN),
    'linear_small',
  ],
)
def test_after_twelve_steps(name):
  """All but the biases that batch norm cancels, and what follows them.

  The gradient of these biases is zero. The released code computes rounding
  noise instead, and Adam makes full steps of it, which no other program can
  repeat; the running means follow the biases. Ours stay where they are.

  Ours compute in double precision, so that every processor and every version of
  JAX finds the same.
  """
  data, settings, variables, state, _ = trained(name, 'float64')
  before, expected = below(data, 'init/'), below(data, 'final/')
  ours = to_state_dict(state.variables, settings.model)
  # In step k, a bias has taken k - 1 steps of at most the learning rate.
  drift = sum(0.1 * 0.9 ** (12 - k) * (k - 1) * 1e-3 for k in range(1, 13))
  mixed = with_cancelled(ours, expected)
  for key, value in ours.items():
    if key.endswith('running_mean'):
      bias = cancelled_bias(key)
      np.testing.assert_array_equal(ours[bias], before[bias])
      np.testing.assert_allclose(value, expected[key], rtol=1e-5, atol=drift)
  for key, value in mixed.items():
    if key.endswith('running_var'):
      # Variances reach 1,235 here.
      np.testing.assert_allclose(value, expected[key], rtol=2e-5)
    else:
      np.testing.assert_allclose(value, expected[key], rtol=1e-4, atol=2e-4)
  final_outputs_agree(mixed, settings.model, variables, data)


@pytest.mark.parametrize('name', SEMGCN)
def test_after_twelve_steps_in_single_precision(name):
  """The weights and outputs again, as users train."""
  data, settings, variables, state, _ = trained(name)
  expected = below(data, 'final/')
  ours = to_state_dict(state.variables, settings.model)
  mixed = with_cancelled(ours, expected)
  for key in below(data, 'grad/'):
    np.testing.assert_allclose(mixed[key], expected[key], rtol=1e-4, atol=2e-4)
  final_outputs_agree(mixed, settings.model, variables, data)


def with_cancelled(ours, expected):
  """Takes from the other what batch norm cancels, and the means behind it."""
  means = [key for key in ours if key.endswith('running_mean')]
  taken = [*means, *map(cancelled_bias, means)]
  return ours | {key: expected[key] for key in taken}


def final_outputs_agree(state_dict, model_config, variables, data):
  state_dict = {key: np.float32(value) for key, value in state_dict.items()}
  final = to_variables(state_dict, model_config, variables)
  np.testing.assert_allclose(
    jax.jit(build(model_config, H36M).apply)(final, data['x'][0]),
    data['final_eval_out'],
    rtol=0,
    atol=1e-4,
  )
