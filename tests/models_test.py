import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skeletons import CHAIN, HAND

from semgcn_jax import config, models
from semgcn_jax.errors import FlagError
from semgcn_jax.models.semgcn import SemGCN
from semgcn_jax.skeleton import H36M


def num_params(**fields):
  example = jnp.zeros((1, 16, 2))
  shapes = jax.eval_shape(
    SemGCN(H36M, **fields).init, jax.random.key(0), example
  )
  return sum(x.size for x in jax.tree.leaves(shapes['params']))


def test_parameter_counts_of_table_1():
  assert num_params() == 434_703
  assert num_params(non_local=False) == 267_343
  resgcn = num_params(conv='vanilla', non_local=False)
  assert f'{resgcn / 1e6:.2f}' == '0.14'
  assert f'{num_params(conv="vanilla") / 1e6:.2f}' == '0.30'


@pytest.mark.parametrize('skeleton', [H36M, HAND, CHAIN])
@pytest.mark.parametrize('conv', ['semantic', 'channel_wise', 'vanilla'])
def test_any_skeleton_and_leading_dimensions(skeleton, conv):
  model = SemGCN(skeleton, hid_dim=8, num_layers=1, conv=conv)
  x = jax.random.normal(jax.random.key(0), (3, 2, skeleton.num_joints, 2))
  variables = model.init(jax.random.key(1), x[0])
  y = model.apply(variables, x)
  assert y.shape == (3, 2, skeleton.num_joints, 3)
  np.testing.assert_allclose(y[1], model.apply(variables, x[1]), atol=1e-6)


def test_another_number_of_joints_is_refused():
  for conv in ('semantic', 'vanilla'):
    model = SemGCN(CHAIN, hid_dim=8, num_layers=1, conv=conv)
    with pytest.raises(AssertionError):
      model.init(jax.random.key(0), jnp.zeros((2, 16, 2)))


def test_dropout_acts_in_training_only():
  model = SemGCN(CHAIN, hid_dim=8, num_layers=1, dropout=0.5)
  x = jax.random.normal(jax.random.key(0), (3, 5, 2))
  variables = model.init(jax.random.key(1), x)

  def train(seed):
    rngs = {'dropout': jax.random.key(seed)}
    return model.apply(
      variables, x, train=True, rngs=rngs, mutable=['batch_stats']
    )[0]

  assert not np.allclose(train(0), train(1))
  np.testing.assert_array_equal(
    model.apply(variables, x), model.apply(variables, x)
  )


def test_build_from_config():
  settings = config.preset('cmu', hid_dim=8, conv='vanilla', non_local=False)
  model = models.build(settings, H36M)
  assert model == SemGCN(H36M, hid_dim=8, conv='vanilla', non_local=False)
  for field in ('model', 'conv'):
    with pytest.raises(FlagError, match=f'--{field}=resnet: choose from'):
      models.build(config.preset('cmu', **{field: 'resnet'}), H36M)
