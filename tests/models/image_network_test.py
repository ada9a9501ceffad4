"""Tests the network that sees pictures, and its gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from semgcn_jax.config import ModelConfig
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.models.build import abstract_variables, build
from semgcn_jax.models.forward import predict_poses
from semgcn_jax.models.image_network import (
  Found,
  mirror_found,
  mirror_images,
  normalize,
)
from semgcn_jax.models.roi_align import mean_bone_length, roi_align

CONFIG = ModelConfig(
  backbone='tiny', hid_dim=8, num_layers=1, conv='channel_wise'
)
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)


@functools.cache
def _variables(config=CONFIG, **fields):
  model = build(config, H36M, **fields)
  abstract = abstract_variables(config, H36M)

  def drawn(path, x):
    # What starts at zero would hide what it multiplies.
    rng = np.random.default_rng(x.size)
    if path[-1].key in ('scale', 'var'):
      return rng.uniform(0.5, 1.5, x.shape).astype('f')
    fan = np.prod(x.shape[:-1]) if x.ndim > 1 else 100
    if [key.key for key in path[-3:-1]] == ['head', 'output']:
      fan /= 1000  # So that the heat maps have peaks, which pictures move.
    return (rng.normal(size=x.shape) / fan**0.5).astype('f')

  return model, jax.tree_util.tree_map_with_path(drawn, abstract)


def test_pictures_are_normalised_as_imagenets():
  expected = IMAGES[0, 3, 5] / 255 - np.array([0.485, 0.456, 0.406])
  expected /= np.array([0.229, 0.224, 0.225])
  np.testing.assert_allclose(normalize(IMAGES)[0, 3, 5], expected, atol=1e-5)


@pytest.mark.slow
def test_features_around_the_joints_reach_the_graph_network():
  model, variables = _variables()
  with_features = jax.jit(model.apply)(variables, IMAGES)
  features = model.bind(variables).backbone(normalize(IMAGES))
  joints = with_features.joints
  side = mean_bone_length(joints, H36M)
  inputs = [joints - joints[:, :1]]
  inputs += [roi_align(maps, joints, side) for maps in features[:4]]
  inputs = jnp.concatenate(inputs, axis=-1)
  assert inputs.shape == (2, 16, 2 + 16 + 32 + 32 + 64)
  poses = model.bind(variables).graph(inputs)
  np.testing.assert_allclose(poses, with_features.poses, atol=1e-5)


@pytest.mark.slow
# The shorter the gradient, the longer the step that float32 can resolve.
@pytest.mark.parametrize(('pooled', 'length'), [(False, 1e-3), (True, 2e-5)])
def test_gradients_reach_the_backbone(pooled, length):
  """The pose alone trains the backbone: through the 2D, and the features."""
  config = ModelConfig(
    backbone='tiny', hid_dim=8, num_layers=1, pooled_features=pooled
  )
  model, variables = _variables(config)
  weights = np.random.default_rng(1).normal(size=(2, 16, 3)).astype('f')

  @jax.jit
  def loss(backbone, cut=0.0):
    del cut
    params = variables['params'] | {'backbone': backbone}
    found = model.apply(variables | {'params': params}, IMAGES)
    return jnp.sum(found.poses * weights)

  backbone = variables['params']['backbone']
  gradient = jax.grad(loss)(backbone)
  step = jax.tree.map(lambda g: g / _norm(gradient), gradient)

  def moved(sign):
    return loss(
      jax.tree.map(lambda x, d: x + sign * length * d, backbone, step)
    )

  slope = (moved(1) - moved(-1)) / (2 * length)
  assert float(slope) > 0
  np.testing.assert_allclose(slope, _norm(gradient), rtol=0.03)


@pytest.mark.slow
def test_features_add_a_way_to_the_backbone():
  model, variables = _variables()

  def gradient(stop):
    def loss(backbone):
      bound = model.bind(
        variables | {'params': variables['params'] | {'backbone': backbone}}
      )
      features = bound.backbone(normalize(IMAGES))
      joints = jax.lax.stop_gradient(model.apply(variables, IMAGES).joints)
      side = mean_bone_length(joints, H36M)
      pooled = [roi_align(maps, joints, side) for maps in features[:4]]
      if stop:
        pooled = jax.lax.stop_gradient(pooled)
      inputs = jnp.concatenate([joints - joints[:, :1], *pooled], axis=-1)
      return jnp.sum(jnp.square(bound.graph(inputs)))

    return _norm(jax.jit(jax.grad(loss))(variables['params']['backbone']))

  assert gradient(stop=False) > 0
  assert gradient(stop=True) == 0


@pytest.mark.slow
@pytest.mark.parametrize('stage', ['keypoints', 'graph', 'end_to_end'])
def test_stages_update_the_statistics_of_what_they_train(stage):
  model, variables = _variables(stage=stage)
  _, updated = model.apply(
    variables, IMAGES, train=True, mutable=['batch_stats']
  )
  for part in ('backbone', 'head', 'graph'):
    before, after = variables['batch_stats'][part], updated['batch_stats'][part]
    same = jax.tree.all(jax.tree.map(np.array_equal, before, after))
    trained = (part == 'graph') if stage == 'graph' else part != 'graph'
    assert same is not (trained or stage == 'end_to_end'), part


@pytest.mark.slow
def test_a_frozen_backbone_gets_no_gradient():
  model, variables = _variables(stage='graph')

  def loss(params):
    found = model.apply(variables | {'params': params}, IMAGES)
    return jnp.sum(jnp.square(found.poses))

  gradient = jax.jit(jax.grad(loss))(variables['params'])
  assert _norm(gradient['backbone']) == _norm(gradient['head']) == 0
  assert _norm(gradient['graph']) > 0


def test_mirrored_pictures_are_averaged():
  def network(images):
    # Its joints are wherever the picture is bright, from left to right.
    bright = images.astype(jnp.float32).mean(axis=(1, 2, 3))
    left = images[:, :, :16].astype(jnp.float32).mean(axis=(1, 2, 3))
    joints = jnp.stack([left, bright], axis=-1)[:, None] * np.ones((1, 16, 1))
    joints += np.arange(16)[:, None]
    poses = jnp.concatenate([joints, joints[..., :1]], axis=-1)
    return Found(poses, joints, jnp.zeros(()))

  plain = predict_poses(network, IMAGES, CONFIG, H36M)
  both = predict_poses(network, IMAGES, CONFIG, H36M, flip_test=True)
  mirrored = predict_poses(network, IMAGES[:, :, ::-1], CONFIG, H36M)
  order = H36M.mirror_order
  expected = np.array(mirrored)[:, order] * [-1, 1, 1, -1, 1]
  expected = (plain + expected) / 2
  np.testing.assert_allclose(both[..., 3:], expected[..., 3:], rtol=1e-5)
  expected = expected[..., :3] - expected[:, :1, :3]
  np.testing.assert_allclose(both[..., :3], expected, atol=1e-4)
  assert (np.asarray(both[:, 0, :3]) == 0).all()


def test_mirroring_twice_changes_nothing():
  np.testing.assert_array_equal(mirror_images(mirror_images(IMAGES)), IMAGES)
  found = np.random.default_rng(0).normal(size=(2, 16, 5)).astype('f')
  np.testing.assert_array_equal(
    mirror_found(mirror_found(found, H36M), H36M), found
  )


def _norm(tree):
  squares = [float(jnp.sum(jnp.square(x))) for x in jax.tree.leaves(tree)]
  return sum(squares) ** 0.5
