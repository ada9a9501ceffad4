import dataclasses
import json
import signal

import jax
import numpy as np
import pytest
from commands import fails, run, start

from semgcn_jax import config, models, published, report
from semgcn_jax.errors import FlagError
from semgcn_jax.reproduce import METHODS, make_config, reproduce
from semgcn_jax.skeleton import H36M

TINY = (
  *('--recipe=released', '--hid_dim=4', '--num_layers=1', '--epochs=2'),
  *('--downsample=72', '--batch_size=400', '--eval_batch_size=256'),
  *('--num_seeds=2', '--preset=synthetic'),
)
TABLE_1 = [method.name for method in METHODS if 1 in method.tables]


def test_methods_are_the_papers(tmp_path):
  millions = {}
  for method in METHODS:
    settings = make_config('cmu_best', method, {}, tmp_path)
    assert published.row(settings) == method.name
    assert (method.name, 'gt') in published.PAPER
    assert settings.num_seeds == 3
    assert settings.freeze_lifter == bool(method.lifter)
    single = dataclasses.replace(settings, num_seeds=1)
    params = models.abstract_variables(single, H36M)['params']
    total = sum(np.prod(x.shape) for x in jax.tree.leaves(params))
    millions[method.name] = f'{total / 1e6:.2f}'
  expected = {
    'ResGCN': '0.14',
    'SemGCN w/o semantic convolution': '0.30',
    'SemGCN w/o non-local': '0.27',
    'SemGCN': '0.43',
    'aGCN': '0.16',
    'GAT': '0.16',
    'ST-GCN': '0.27',
    'FC': '4.29',
  }
  assert {name: millions[name] for name in expected} == expected


def test_a_killed_command_goes_on_and_repeats_nothing(tmp_path):
  flags = (*TINY, '--tables=1', f'--workdir={tmp_path}')
  process = start('reproduce', *flags)
  for line in process.stdout:
    if line.startswith('synthetic, SemGCN w/o non-local'):
      break  # Two methods are finished.
  process.kill()
  process.communicate()
  assert process.returncode == -signal.SIGKILL
  done = tmp_path / 'synthetic' / 'resgcn' / 'metrics.jsonl'
  before = done.stat().st_mtime_ns, done.read_text()
  code, out, err = run('reproduce', *flags)
  assert (code, err) == (0, '')
  assert (done.stat().st_mtime_ns, done.read_text()) == before
  lines = out.splitlines()
  for name in TABLE_1[:2]:
    assert f'synthetic, {name}: is finished' in lines
  for name in TABLE_1[2:]:
    assert f'synthetic, {name}' in lines
  result = json.loads((tmp_path / 'report.json').read_text())
  methods = result['presets']['synthetic']['methods']
  assert list(methods) == TABLE_1
  text = (tmp_path / 'report.md').read_text()
  for name, row in methods.items():
    folder = {m.name: m for m in METHODS}[name].folder
    log = (tmp_path / 'synthetic' / folder / 'metrics.jsonl').read_text()
    records = [json.loads(line) for line in log.splitlines()]
    best = min(records, key=lambda record: record['mpjpe'])
    seeds = [seed['mpjpe'] for seed in best['seeds']]
    assert row['seeds'] == seeds
    np.testing.assert_allclose(row['mpjpe'], np.mean(seeds))
    np.testing.assert_allclose(row['mpjpe_sd'], np.std(seeds, ddof=1))
    assert row['curve']['mpjpe'] == [record['mpjpe'] for record in records]
    assert f'| {name} | {row["num_params"]:,} |' in text
    assert f'{row["mpjpe"]:.1f} ± {row["mpjpe_sd"]:.1f}' in text
  for name in ('curves_synthetic.png', 'parameters_synthetic.png'):
    assert name in text and (tmp_path / name).stat().st_size > 10_000
  fails(
    *('reproduce', *flags, '--hid_dim=8'),
    status=2,
    message='--hid_dim=8: the run in',
  )


def test_bad_flags(tmp_path):
  for fields, message in (
    ({'conv': 'gat'}, '--conv: is what the methods differ in'),
    ({'epochs': 0}, '--epochs=0'),
  ):
    with pytest.raises(FlagError, match=message):
      reproduce(['cmu'], [1], fields, tmp_path / 'new')
  with pytest.raises(FlagError, match='--tables=2: choose from 1, 3'):
    reproduce(['cmu'], [2], {}, tmp_path / 'new')
  with pytest.raises(FlagError, match='--preset=mine: choose from'):
    reproduce(['cmu', 'mine'], [1], {}, tmp_path / 'new')
  assert not (tmp_path / 'new').exists()


def test_report_on_human36m(tmp_path):
  """Beside the published rows of each action; with one method missing."""
  row = {
    'num_params': 434_703,
    'seconds': 12.3,
    'epoch': 2,
    **{'mpjpe': 40.0, 'mpjpe_sd': 1.5, 'p_mpjpe': 31.0, 'p_mpjpe_sd': 0.5},
    'seeds': [38.5, 41.5],
    'actions': {name: float(n) for n, name in enumerate(published.ACTIONS)},
    'curve': {'train_loss': [2.0, 1.0], 'mpjpe': [50.0, 40.0]}
    | {'mpjpe_sd': [2.0, 1.5]},
  }
  settings = config.preset('h36m', num_seeds=2)
  report.write(
    {'h36m': {'SemGCN': row}},
    {1: ['SemGCN'], 3: ['SemGCN', 'FC']},
    {'h36m': settings},
    'python experiments/reproduce.py',
    tmp_path,
  )
  text = (tmp_path / 'report.md').read_text()
  ours = '| SemGCN | 434,703 | 43.8 (60.8) | 40.8 (61.2) | 40.0 ± 1.5 |'
  assert text.count(ours) == 2
  assert '| FC |' not in text
  martinez = text.splitlines()[
    [line.startswith('| Martinez') for line in text.splitlines()].index(True)
  ]
  cells = [cell.strip() for cell in martinez.strip('|').split('|')]
  heads = [line for line in text.splitlines() if line.startswith('| MPJPE by')][
    0
  ]
  heads = [cell.strip() for cell in heads.strip('|').split('|')]
  by_name = dict(zip(heads, cells, strict=True))
  assert (by_name['Directions'], by_name['WalkTogether']) == ('51.8', '52.4')
  assert (by_name['Eating'], by_name['mean']) == ('', '62.9')
  assert '| SemGCN, the paper (gt) | 37.8 |' in text
