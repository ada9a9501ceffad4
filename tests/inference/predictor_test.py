import functools
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from command_line import fails, run

from semgcn_jax import config
from semgcn_jax.config import presets
from semgcn_jax.data import datasets
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.inference import predictor
from semgcn_jax.models import folding
from semgcn_jax.models.batches import split
from semgcn_jax.models.build import build
from semgcn_jax.models.convolutions import CONVOLUTIONS
from semgcn_jax.models.root_relative import predict

SIZES = {'hid_dim': 16, 'num_layers': 1}


@pytest.mark.slow
@pytest.mark.parametrize(
  'settings',
  [
    SIZES,
    SIZES | {'conv': 'channel_wise', 'recipe': 'best'},
    SIZES | {'conv': 'vanilla', 'non_local': False, 'flip_test': True},
    SIZES | {'model': 'linear'},
    SIZES | {'model': 'st_gcn'},
    SIZES | {'conv': 'gat', 'recipe': 'best'},
    SIZES | {'conv': 'agcn', 'refine': 'pose_grammar'},
  ],
)
def test_predictor_equals_the_network(settings):
  settings = presets.preset('h36m', **settings)
  rng = np.random.default_rng(0)
  model = build(settings.model, H36M)
  variables = model.init(jax.random.key(0), jnp.zeros((1, 16, 2)))
  # Statistics and parameters of batch norm that are not the initial ones.
  variables = jax.tree.map(
    lambda x: x + 0.3 * abs(rng.normal(size=x.shape)).astype(np.float32),
    variables,
  )
  inputs = rng.normal(size=(11, 16, 2)).astype(np.float32)
  call = predictor.make_predictor(settings, H36M, variables, batch_sizes=(1, 4))
  network = functools.partial(model.apply, variables)
  expected = predict(
    network, inputs, H36M, flip_test=settings.evaluation.flip_test
  )
  scale = abs(expected).max()
  for poses in (1, 3, 11):
    np.testing.assert_allclose(
      call(inputs[:poses]) / scale, expected[:poses] / scale, atol=2e-6
    )
  rough = predictor.make_predictor(
    settings, H36M, variables, batch_sizes=(4,), precision='bfloat16'
  )
  error = np.linalg.norm(rough(inputs) - expected) / np.linalg.norm(expected)
  assert 1e-4 < error < 0.05


@pytest.mark.slow
def test_a_cpu_gets_smaller_batches():
  settings = presets.preset('h36m', **SIZES)
  inputs = np.random.default_rng(0).normal(size=(600, 16, 2)).astype(np.float32)
  variables = build(settings.model, H36M).init(jax.random.key(0), inputs[:1])
  call = predictor.make_predictor(
    settings, H36M, variables, batch_sizes=(4, 1024)
  )
  assert list(call.compiled) == [4, 256]
  expected = np.concatenate([call(part) for part in np.split(inputs, 150)])
  np.testing.assert_allclose(call(inputs), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_a_pose_with_a_nan_is_nan_and_no_other():
  settings = presets.preset('h36m_best', hid_dim=16, num_layers=1)
  inputs = np.random.default_rng(0).normal(size=(5, 16, 2)).astype(np.float32)
  variables = build(settings.model, H36M).init(jax.random.key(0), inputs)
  call = predictor.make_predictor(settings, H36M, variables, batch_sizes=(4,))
  expected = call(inputs)
  inputs[2, 3, 1] = np.nan
  poses = call(inputs)
  assert np.isnan(poses[2]).all()
  poses[2] = expected[2]
  np.testing.assert_array_equal(poses, expected)


@pytest.mark.slow
def test_folding_behind_attention_with_a_scale_of_zero():
  settings = presets.preset('h36m', **SIZES, conv='gat')
  model = build(settings.model, H36M)
  inputs = np.random.default_rng(0).normal(size=(4, 16, 2)).astype(np.float32)
  variables = model.init(jax.random.key(0), inputs)
  scale = variables['params']['residual0']['block1']['norm']['scale']
  variables['params']['residual0']['block1']['norm']['scale'] = scale.at[0].set(
    0
  )
  expected = model.apply(variables, inputs)
  call = predictor.make_predictor(settings, H36M, variables, batch_sizes=(4,))
  np.testing.assert_allclose(
    call(inputs), expected - expected[:, :1], rtol=1e-4, atol=1e-5
  )


class Squared(nn.Module):
  """A layer that is not linear, with weights of a layer in it."""

  features: int
  graph: object
  train_bias: bool = True

  @nn.compact
  def __call__(self, x):
    return nn.Dense(self.features)(x) ** 2


def test_layers_that_are_not_known_are_left_as_they_are(monkeypatch):
  monkeypatch.setitem(CONVOLUTIONS, 'gat', Squared)
  settings = presets.preset('h36m', **SIZES, conv='gat')
  model = build(settings.model, H36M)
  inputs = np.random.default_rng(0).normal(size=(4, 16, 2)).astype(np.float32)
  variables = model.init(jax.random.key(0), inputs)
  stats = jax.tree.map(lambda x: x + 0.3, variables['batch_stats'])
  variables = variables | {'batch_stats': stats}
  expected = model.apply(variables, inputs)
  call = predictor.make_predictor(settings, H36M, variables, batch_sizes=(4,))
  np.testing.assert_allclose(
    call(inputs), expected - expected[:, :1], rtol=1e-4, atol=1e-5
  )


@pytest.mark.slow
def test_folding_leaves_no_norm():
  settings = presets.preset('h36m', **SIZES)
  variables = build(settings.model, H36M).init(
    jax.random.key(0), jnp.zeros((1, 16, 2))
  )
  folded = folding.fold(variables)
  paths = [
    jax.tree_util.keystr(path)
    for path, _ in jax.tree_util.tree_leaves_with_path(folded)
  ]
  assert list(folded) == ['params']
  assert paths and not any('norm' in path for path in paths)


@pytest.mark.parametrize(
  ('poses', 'parts'),
  [
    (1, [1]),
    (3, [1, 1, 1]),
    (7, [16]),
    (44, [16, 16, 16]),
    (300, [256, 16, 16, 16]),
    (1024, [256] * 4),
    (3000, [4096]),
    (9000, [4096, 4096, 256, 256, 256, 16, 16, 16]),
  ],
)
def test_batches_are_cut_with_little_waste(poses, parts):
  assert split(poses, (1, 16, 256, 4096)) == parts
  assert split(3, (4,)) == [4]


@pytest.mark.slow
def test_bad_input_to_a_predictor():
  settings = presets.preset('h36m', **SIZES)
  variables = build(settings.model, H36M).init(
    jax.random.key(0), jnp.zeros((1, 16, 2))
  )

  def make(settings=settings, **fields):
    return predictor.make_predictor(settings, H36M, variables, **fields)

  call = make(batch_sizes=(2,))
  assert call(np.zeros((0, 16, 2))).shape == (0, 16, 3)
  for shape in ((16, 2), (3, 17, 2), (3, 16, 3)):
    with pytest.raises(ValueError, match=r'give \[N, 16, 2\]'):
      call(np.zeros(shape))
  for sizes in ((), (0,)):
    with pytest.raises(ValueError, match='batch_sizes'):
      make(batch_sizes=sizes)
  with pytest.raises(SettingError, match='precision'):
    make(precision='fp16')
  with pytest.raises(UserError, match='no scale of their own'):
    make(settings.replace(image_aligned=True))


@pytest.mark.slow
def test_a_run_of_two_seeds_from_training_to_predictions(tmp_path):
  """With --only_seed in the commands, and its weights elsewhere."""
  workdir = tmp_path / 'run'
  flags = (
    *('--num_seeds=2', '--seed=5', '--hid_dim=4', '--num_layers=1'),
    *('--downsample=16', '--batch_size=40', f'--workdir={workdir}'),
  )
  code, out, err = run('train', *flags, '--epochs=2')
  assert (code, err) == (0, ''), err
  assert '2 seeds' in out and '± of 2 seeds' in out
  records = [
    json.loads(line)
    for line in (workdir / 'metrics.jsonl').read_text().splitlines()
  ]
  scores = [seed['mpjpe'] for seed in records[-1]['seeds']]
  assert records[-1]['mpjpe'] == pytest.approx(np.mean(scores))
  assert records[-1]['mpjpe_sd'] == pytest.approx(np.std(scores, ddof=1))
  results = []
  for seed in (5, 6):
    output = tmp_path / f'{seed}.json'
    code, _, err = run(
      *('evaluate', f'--checkpoint={workdir}', f'--only_seed={seed}'),
      *('--which=last', f'--output={output}'),
    )
    assert code == 0, err
    results.append(json.loads(output.read_text()))
  assert [r['mpjpe'] for r in results] == pytest.approx(scores, rel=1e-5)
  assert {r['num_params'] for r in results} == {435}
  fails(
    *('evaluate', f'--checkpoint={workdir}', '--only_seed=7'),
    status=2,
    message='the run has 5, 6',
  )
  settings = config.load(workdir / 'config.json')
  test = datasets.load(settings.data, H36M).test
  for seed, score in zip((5, 6), scores, strict=True):
    call = predictor.load_predictor(
      workdir, 'last', seed=seed, batch_sizes=(256,)
    )
    errors = np.linalg.norm(call(test.inputs) - test.targets, axis=-1)
    assert 1000 * errors.mean() == pytest.approx(score, rel=1e-4)
  to_torch = ('convert_torch', '--to_torch', f'--input={workdir}')
  output = tmp_path / 'ckpt.pth.tar'
  fails(
    *(*to_torch, f'--output={output}'),
    status=2,
    message='--only_seed: name one of the seeds',
  )
