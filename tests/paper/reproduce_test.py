import json
import shutil
import signal

import jax
import numpy as np
import pytest
from command_line import fails, run, start

from semgcn_jax import config
from semgcn_jax.data.h36m import ACTIONS
from semgcn_jax.errors import SettingError
from semgcn_jax.evaluation import published
from semgcn_jax.geometry.skeletons import H36M, save_skeleton
from semgcn_jax.models.build import count_parameters
from semgcn_jax.paper import report
from semgcn_jax.paper.methods import METHODS
from semgcn_jax.paper.reproduce import make_config, reproduce
from semgcn_jax.runs.networks import restore_network

TINY = (
  *('--recipe=released', '--hid_dim=4', '--num_layers=1', '--epochs=2'),
  *('--downsample=72', '--batch_size=400', '--eval_batch_size=256'),
  *('--num_seeds=2', '--preset=synthetic'),
)
# The stages of the network that sees pictures; the first has no row.
STAGES = {
  '2d_network': ('keypoints', ''),
  'semgcn_frozen_rn_without_fp': ('graph', '2d_network'),
  'semgcn_frozen_rn_with_fp': ('graph', '2d_network'),
  'semgcn_rn_with_fp': ('end_to_end', 'semgcn_frozen_rn_with_fp'),
}
FROM_PICTURES = [
  *('SemGCN frozen RN w/o FP', 'SemGCN frozen RN w/ FP', 'SemGCN RN w/ FP'),
]
TINY_PICTURES = (
  *('--tables=2', '--preset=rendered_small', '--crop_size=32', '--epochs=1'),
  *('--rendered_train=16', '--rendered_test=8', '--hid_dim=8'),
  *('--num_layers=1', '--batch_size=8', '--chunk_steps=1', '--num_seeds=1'),
)
TABLE_1 = [method.name for method in METHODS if '1' in method.tables]


@pytest.mark.slow
def test_methods_are_the_papers(tmp_path):
  millions = {}
  for method in METHODS:
    preset = 'h36m_images' if '2' in method.tables else 'cmu_best'
    settings = make_config(preset, method, {}, tmp_path)
    newer = settings.model.is_temporal or method.name.startswith('Modulated')
    if preset == 'cmu_best' and not newer:
      assert published.row(settings.model) == method.name
      assert (method.name, 'gt') in published.PAPER
    assert settings.training.num_seeds == 3
    refines = method.name.endswith('grammar')
    assert settings.model.freeze_init == refines
    total = count_parameters(settings.model, H36M)
    millions[method.name] = f'{total / 1e6:.2f}'
  expected = {
    'ResGCN': '0.14',
    'SemGCN w/o semantic convolution': '0.30',
    'SemGCN w/o non-local': '0.27',
    'SemGCN': '0.43',
    'Modulated GCN': '0.46',
    'Modulated GCN w/o non-local': '0.29',  # As published.
    'SemGCN, 27 frames': '0.56',
    'SemGCN, 27 frames, causal': '0.56',
    'aGCN': '0.16',
    'GAT': '0.16',
    'ST-GCN': '0.27',
    'FC': '4.29',
  }
  assert {name: millions[name] for name in expected} == expected


def test_the_network_that_sees_pictures_is_the_papers(tmp_path):
  last = next(method for method in METHODS if method.name == FROM_PICTURES[-1])
  settings = make_config('h36m_images', last, {}, tmp_path)
  assert published.row(settings.model) == last.name
  errors = published.references(settings)[0]
  assert errors['mean of actions'] == 57.6
  given = {'backbone_lr': 1e-4, 'freeze_init': False, 'hid_dim': 64}
  settings = make_config('rendered', last, given, tmp_path)
  assert settings.training.backbone_lr == 1e-4
  assert settings.model.hid_dim == 64
  # The first stage begins with given weights, and the others go on from it.
  given = {'backbone_weights': 'resnet50.npz'}
  for name, weights in (('2D network', 'resnet50.npz'), (last.name, '')):
    method = next(method for method in METHODS if method.name == name)
    settings = make_config('rendered', method, given, tmp_path)
    assert settings.model.backbone_weights == weights


@pytest.mark.slow
def test_networks_that_see_time_stand_beside_those_that_do_not(tmp_path):
  flags = ('--epochs=1', '--downsample=2', '--batch_size=320', '--window=8')
  code, out, err = run(
    *('reproduce', *TINY, '--tables=video', *flags, f'--workdir={tmp_path}'),
    '--train_subjects=S1',
  )
  assert (code, err) == (0, '')
  rows = [m.name for m in METHODS if 'video' in m.tables]
  assert rows == ['SemGCN', 'SemGCN, 27 frames', 'SemGCN, 27 frames, causal']
  report = (tmp_path / 'report.md').read_text().split('## Video')[1]
  result = json.loads((tmp_path / 'report.json').read_text())
  methods = result['presets']['synthetic']['methods']
  for name in rows:
    assert f'| {name} |' in report
    assert f'| {methods[name]["mpjpe"]:.1f} ±' in report


@pytest.mark.slow
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
    assert {record['devices'] for record in records} == {row['devices']}
    assert f', on {row["devices"]};' in text
    assert row['curve']['mpjpe'] == [record['mpjpe'] for record in records]
    assert f'| {name} | {row["num_params"]:,} |' in text
    assert f'{row["mpjpe"]:.1f} ± {row["mpjpe_sd"]:.1f}' in text
  for name in ('curves_synthetic.png', 'parameters_synthetic.png'):
    assert name in text and (tmp_path / name).stat().st_size > 10_000
  for flag, message in (
    ('--hid_dim=8', '--hid_dim=8: the run in'),
    ('--epochs=3', '--epochs=3: the run in'),
  ):
    fails(*('reproduce', *flags, flag), status=2, message=message)
    assert json.loads((done.parent / 'config.json').read_text())['epochs'] == 2
  assert (tmp_path / 'report.md').read_text() == text
  done.write_text('')
  fails('reproduce', *flags, status=1, message='metrics.jsonl: lacks epochs')


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
  """A folder with the stages of a network that sees pictures."""
  workdir = tmp_path_factory.mktemp('reproduce') / 'pictures'
  code, out, err = run('reproduce', *TINY_PICTURES, f'--workdir={workdir}')
  assert code == 0, err
  # Each stage but the first says what it takes of another.
  assert [line.split()[:2] for line in err.splitlines()] == [
    ['note:', 'taking']
  ] * (len(STAGES) - 1)
  assert out.splitlines()[-1] == str(workdir / 'report.md')
  return workdir


@pytest.mark.slow
def test_stages_go_on_from_each_other(pictures):
  runs = pictures / 'rendered_small'
  assert {path.name for path in runs.iterdir()} == set(STAGES)
  backbones = {}
  for name, (stage, source) in STAGES.items():
    settings = config.load(runs / name / 'config.json')
    assert settings.training.stage == stage
    assert settings.model.init_from == (str(runs / source) if source else '')
    params = restore_network(runs / name, 'last').variables['params']
    backbones[name] = jax.tree.leaves(params['backbone'])
  first, without, frozen, last = (
    np.concatenate([leaf.ravel() for leaf in leaves])
    for leaves in backbones.values()
  )
  np.testing.assert_array_equal(first, without)
  np.testing.assert_array_equal(first, frozen)
  assert (first != last).any()


@pytest.mark.slow
def test_the_report_of_pictures(pictures):
  text = (pictures / 'report.md').read_text()
  result = json.loads((pictures / 'report.json').read_text())
  rows = result['presets']['rendered_small']['methods']
  assert list(rows) == FROM_PICTURES  # The 2D network has no poses.
  without, frozen, last = rows.values()
  assert without['pixel_error'] == pytest.approx(frozen['pixel_error'])
  # Beside x and y, 64 channels of conv_1 and so on of the backbone `tiny` are
  # shown to two matrices of eight columns.
  features = frozen['num_params'] - without['num_params']
  assert features > 0 and features % (2 * 8) == 0
  assert last['num_params'] == frozen['num_params']
  assert f'| SemGCN RN w/ FP | {last["num_params"]:,} | 57.6 |  |' in text
  assert f'| {FROM_PICTURES[0]} | {without["num_params"]:,} |  |  |' in text
  assert f'| {last["pixel_error"]:.1f} | {last["seconds"]:.0f} |' in text
  assert 'rendered_small: 2D pixels' in text and '## Table 1' not in text
  # Nothing was published for these pictures.
  assert 'the paper (pictures)' not in text


@pytest.mark.slow
def test_moved_stages_go_on(pictures, tmp_path):
  moved = tmp_path / 'moved'
  shutil.copytree(pictures, moved)
  runs = moved / 'rendered_small'
  shutil.rmtree(runs / 'semgcn_rn_with_fp')
  code, out, err = run('reproduce', *TINY_PICTURES, f'--workdir={moved}')
  assert code == 0 and err.startswith('note: taking'), err
  lines = out.splitlines()
  for name in ('2D network', *FROM_PICTURES[:2]):
    assert f'rendered_small, {name}: is finished' in lines
  assert 'rendered_small, SemGCN RN w/ FP' in lines
  last = config.load(runs / 'semgcn_rn_with_fp' / 'config.json')
  assert last.model.init_from == str(runs / 'semgcn_frozen_rn_with_fp')
  flags = (*TINY_PICTURES, '--keypoint_weight=0.5', f'--workdir={moved}')
  fails('reproduce', *flags, status=2, message='--keypoint_weight=0.5: the run')


@pytest.mark.slow
def test_a_stopped_command_says_so(tmp_path):
  flags = (*TINY[:-2], '--tables=3', f'--workdir={tmp_path}')
  process = start('reproduce', *flags, '--epochs=200')
  for line in process.stdout:
    if line.startswith('epoch 2/200'):
      break
  process.send_signal(signal.SIGTERM)
  _, err = process.communicate(timeout=300)
  assert process.returncode == 143
  assert 'stopped; run the same command to continue' in err


@pytest.mark.parametrize(
  ('tables', 'fields', 'message'),
  [
    (['1'], {'conv': 'gat'}, '`conv`: is what distinguishes the'),
    (['1'], {'epochs': 0}, '`epochs=0`'),
    (['3'], {'hid_dim': 6}, '`hid_dim=6`: must be a multiple of'),
    (['4'], {}, '`tables=4`: choose from 1, 2, 3, video'),
    ([], {}, '`tables=`: choose from 1, 2, 3, video'),
    (['2'], {}, '`tables=2`: needs images.* rendered, rendered_s'),
    (['2'], {'backbone': 'tiny'}, '`backbone=tiny`: needs images'),
    (['2'], {'stage': 'graph'}, '`stage`: is what distinguishes the'),
  ],
)
def test_bad_flags(tmp_path, tables, fields, message):
  with pytest.raises(SettingError, match=message):
    reproduce(['cmu'], tables, fields, tmp_path / 'new', '')
  assert not (tmp_path / 'new').exists()


@pytest.mark.parametrize('tables', [['1'], ['2', '3']])
def test_pictures_are_of_table_2_alone(tmp_path, tables):
  message = f'`tables={tables[-1]}`: needs 2D input'
  with pytest.raises(SettingError, match=f'{message}.* use `tables=2`'):
    reproduce(['rendered'], tables, {}, tmp_path / 'new', '')
  with pytest.raises(SettingError, match='`preset=cmu` lacks'):
    reproduce(['rendered', 'cmu'], ['2'], {}, tmp_path / 'new', '')
  assert not (tmp_path / 'new').exists()


def test_an_unknown_preset(tmp_path):
  with pytest.raises(SettingError, match='`preset=mine`: choose from'):
    reproduce(['cmu', 'mine'], ['1'], {}, tmp_path, '')


def finished_run(workdir, preset, name, actions, **fields):
  """A run folder with all that the report reads."""
  method = next(method for method in METHODS if method.name == name)
  folder = workdir / preset / method.folder
  folder.mkdir(parents=True)
  settings = make_config(preset, method, {'epochs': 2, **fields}, workdir)
  config.save(settings, folder / 'config.json')
  save_skeleton(H36M, folder / 'skeleton.json')
  records = []
  for epoch in (1, 2):
    errors = {'mpjpe': 60.0 - epoch, 'p_mpjpe': 40.0 - epoch}
    errors |= {f'{key}_action': value - 5 for key, value in errors.items()}
    record = {'epoch': epoch, 'train_loss': 1.0, 'seconds': 3.0, **errors}
    record |= {f'{key}_sd': 1.5 for key in errors}
    record['seeds'] = [{'mpjpe': 1.0}, {'mpjpe': 2.0}]
    record['actions'] = {
      action: {'mpjpe': float(number)} for number, action in enumerate(actions)
    }
    records.append(json.dumps(record))
  (folder / 'metrics.jsonl').write_text('\n'.join(records) + '\n')
  return folder


def test_the_report_is_of_all_finished_runs(tmp_path):
  actions = ACTIONS
  finished_run(tmp_path, 'h36m', 'SemGCN', actions)
  finished_run(tmp_path, 'h36m', 'ResGCN', actions)
  finished_run(tmp_path, 'cmu', 'SemGCN', ['Walk'], cameras='/home/me/c.json')
  begun = finished_run(tmp_path, 'cmu', 'FC', ['Walk']) / 'metrics.jsonl'
  begun.write_text(begun.read_text().splitlines()[0] + '\n')
  table = report.write(tmp_path, 'the command')
  text = (tmp_path / 'report.md').read_text()
  # Human3.6M: means over actions, 53, beside what was published.
  ours = '| SemGCN | 434,703 | 43.8 (60.8) | 40.8 (61.2) | 53.0 ± 1.5'
  assert text.count(ours) == 3  # In all tables of those given the 2D.
  assert '58.0 ± 1.5' in text  # The other dataset: over all poses.
  assert '| ResGCN |' in text and '| FC |' not in text
  assert 'ResGCN' in table and '94.4' in table
  written = text + (tmp_path / 'report.json').read_text()
  assert '/home/me' not in written and str(tmp_path) not in written
  heads, martinez = (
    next(line for line in text.splitlines() if line.startswith(start))
    for start in ('| MPJPE by action | Directions', '| Martinez')
  )
  by_name = {
    head.strip(): cell.strip()
    for head, cell in zip(heads.split('|'), martinez.split('|'), strict=True)
  }
  assert (by_name['Directions'], by_name['WalkTogether']) == ('51.8', '52.4')
  assert (by_name['Eating'], by_name['mean']) == ('', '62.9')
  assert '| SemGCN, the paper (gt) | 37.8 |' in text


@pytest.mark.slow
def test_the_report_of_human36ms_pictures(tmp_path):
  fields = {
    'image_dir': '/home/me/frames',
    'backbone_weights': '/home/me/r.npz',
  }
  for name in ('2D network', *FROM_PICTURES):
    finished_run(tmp_path, 'h36m_images', name, ACTIONS, **fields)
  finished_run(tmp_path, 'h36m', 'SemGCN', ACTIONS)
  table = report.write(tmp_path, 'the command')
  text = (tmp_path / 'report.md').read_text()
  assert '/home/me' not in text + (tmp_path / 'report.json').read_text()
  assert '| 2D network' not in text and '2D network' not in table
  _, _, of_pictures = text.partition('## Table 2')
  of_pictures, _, given = of_pictures.partition('## Table 3')
  # Tables of the one input have no columns of the other.
  assert 'h36m: MPJPE' not in of_pictures and '57.6 |' in of_pictures
  assert 'h36m_images: MPJPE' not in given.partition('## h36m')[0]
  assert 'SemGCN RN w/ FP, the paper (pictures) | 47.3 | 60.7 |' in text
  assert 'SemGCN, the paper (sh_ft_h36m) | 48.2 |' in text


def test_a_report_after_the_2d_network_alone(tmp_path):
  finished_run(tmp_path, 'rendered', '2D network', ['Walk'])
  assert 'the paper' in report.write(tmp_path, 'the command')
  assert 'rendered' not in (tmp_path / 'report.md').read_text()


def test_presets_of_other_backbones_have_other_sizes(tmp_path):
  for preset in ('rendered', 'rendered_small'):
    finished_run(tmp_path, preset, 'SemGCN RN w/ FP', ['Walk'])
  report.write(tmp_path, 'the command')
  rows = json.loads((tmp_path / 'report.json').read_text())['presets']
  counts = [
    f'{rows[preset]["methods"]["SemGCN RN w/ FP"]["num_params"]:,}'
    for preset in ('rendered', 'rendered_small')
  ]
  assert counts[0] != counts[1]
  assert (
    f'| {" / ".join(counts)} | 57.6 |' in (tmp_path / 'report.md').read_text()
  )


def test_another_split_is_not_beside_the_published_rows(tmp_path):
  finished_run(tmp_path, 'h36m', 'SemGCN', ACTIONS, test_subjects=('S9',))
  report.write(tmp_path, 'the command')
  assert 'Martinez' not in (tmp_path / 'report.md').read_text()


def test_a_report_that_cannot_be_written(tmp_path):
  finished_run(tmp_path, 'cmu', 'SemGCN', ['Walk'])
  (tmp_path / 'report.md').mkdir()
  with pytest.raises(SettingError, match='`workdir=.*cannot be written'):
    report.write(tmp_path, 'the command')
