"""Graph regression, as users call it."""

import json

import jax
import numpy as np
import pytest
from command_line import fails, run
from graphed import make_dataset

from semgcn_jax import load_predictor
from semgcn_jax.evaluation import regression
from semgcn_jax.runs.networks import restore_network

SMALL = ('--hid_dim=16', '--num_layers=1', '--batch_size=24')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """The folder of a dataset."""
  path = tmp_path_factory.mktemp('graphs')
  make_dataset(400).write(path / 'data_graph_ring.npz')
  return path


def flags(folder, name, *more):
  return (
    *('train', '--task=regression', '--dataset=ring', *SMALL),
    *(f'--data_dir={folder}', f'--workdir={folder / name}', *more),
  )


@pytest.fixture(scope='module')
def trained(folder):
  """A run of two seeds, and what was printed."""
  name = 'ring'
  code, out, err = run(
    *flags(folder, name, '--epochs=20', '--num_seeds=2', '--lr=0.02'),
    *('--choose_on=val', '--checkpoint_epochs=20'),
  )
  assert (code, err) == (0, '')
  return folder / name, out


def test_it_learns_what_the_neighbors_have(trained):
  workdir, out = trained
  assert '240 training and 80 test pairs; each node' in out
  assert 'choose the best epoch' in out
  records = [*map(json.loads, (workdir / 'metrics.jsonl').open())]
  assert len(records) == 20 and records[-1]['num_poses'] == 80
  assert records[-1]['r2'] > 0.97 > records[0]['r2'] + 0.05
  assert records[-1]['rmse_sd'] > 0 and records[-1]['val_rmse'] > 0
  assert (workdir / 'curves.png').stat().st_size > 1000
  assert f'R2 {records[-1]["r2"]:.4g}' in out


def test_evaluate_and_the_predictor_agree(trained, folder, tmp_path):
  workdir, _ = trained
  code, out, err = run(
    *('evaluate', f'--checkpoint={workdir}', '--which=last', '--only_seed=1'),
    f'--output={tmp_path}/scores.json',
  )
  assert (code, err) == (0, '')
  scores = json.loads((tmp_path / 'scores.json').read_text())
  test = make_dataset(400).pairs('test')
  predictor = load_predictor(workdir, 'last', seed=1)
  predicted = predictor(test.inputs)
  assert predicted.shape == test.targets.shape
  own = regression.score_features(predicted[None], test)
  for name in regression.METRICS:
    assert scores[name] == pytest.approx(own[name], rel=1e-4)
  assert 'shift' in out and '80' in out
  # What is missing counts as the mean of the training split.
  graph = restore_network(workdir).skeleton
  some, full = (np.tile(np.float32(graph.inputs.mean), (1, 6, 1)),) * 2
  some = some.copy()
  some[0, 2] = np.nan
  np.testing.assert_allclose(predictor(some), predictor(full), atol=1e-4)


@pytest.mark.slow
def test_a_resumed_run_has_the_same_bits(trained, folder):
  more = ('--num_seeds=2', '--lr=0.01', '--epochs=6', '--lr_schedule=staircase')
  for name, parts in (('whole', (6,)), ('parts', (3, 6))):
    for number, epochs in enumerate(parts):
      code, _, err = run(
        *flags(folder, name, *more, f'--epochs={epochs}'),
        *(['--resume'] if number else []),
      )
      assert (code, err) == (0, '')
  whole, parts = (
    jax.tree.leaves(restore_network(folder / name, 'last').variables)
    for name in ('whole', 'parts')
  )
  assert all(map(np.array_equal, whole, parts))


def test_the_learned_graph_is_drawn(trained, tmp_path):
  code, out, err = run(
    'show_learned', f'--checkpoint={trained[0]}', f'--output_dir={tmp_path}'
  )
  assert (code, err) == (0, '')
  assert [each.name for each in tmp_path.iterdir()] == ['adjacencies.png']
  assert 'weights of the nodes' in out


def test_the_fully_connected_network(folder):
  code, out, err = run(
    *flags(folder, 'linear', '--model=linear', '--epochs=2', '--loss=mae')
  )
  assert (code, err) == (0, '')
  assert 'linear: ' in out


def test_what_graphs_do_not_have(folder, trained, tmp_path):
  def refused(*more, message, status=2):
    fails(*flags(folder, 'new', *more), status=status, message=message)
    assert not (folder / 'new').exists()

  refused('--flip', message='--flip=True: is for poses')
  refused('--virtual_turn=9', message='--virtual_turn=9.0: is for poses')
  refused('--downsample=7', message='--downsample=7: is for poses')
  refused('--backbone=tiny', message='--backbone=tiny: is for poses')
  refused('--mark_offset=0.1', message='--mark_offset=0.1: is for poses')
  refused('--loss=huber', message='choose from mse, mae')
  refused('--model=st_gcn', message='--model=st_gcn: needs a skeleton')
  refused('--dataset=none', message='there is no')
  fails(
    *('train', '--loss=mse', f'--workdir={tmp_path}/new'),
    status=2,
    message='--loss=mse: needs --task=regression',
  )
  for command in ('predict', 'demo'):
    more = [f'--detections={__file__}'] if command == 'predict' else []
    fails(
      *(command, f'--checkpoint={trained[0]}', f'--output={tmp_path}/a.html'),
      *more,
      status=1,
      message='takes features of the nodes of a graph; use load_predictor',
    )
  fails(
    *('view', f'--checkpoint={trained[0]}', f'--output={tmp_path}/a.html'),
    status=1,
    message='no poses to draw',
  )
