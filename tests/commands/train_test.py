"""The commands as users call them."""

import json
import os
import shutil
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
from command_line import SCRIPTS, fails, run, start
from hostile import Hostile
from tiny import TINY_FLAGS

from semgcn_jax import config
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.runs import checkpoints
from semgcn_jax.training import state as state_lib


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('runs') / 'tiny'
  code, out, err = run('train', *TINY_FLAGS, f'--workdir={workdir}')
  assert code == 0, err
  return workdir, out, err


def test_train_prints_plain_lines_and_a_table(trained):
  workdir, out, err = trained
  assert err == ''
  assert '\x1b' not in out  # No colours and no bar in a file.
  assert 'synthetic: 800 training and 200 test pairs; the mean' in out
  assert 'epoch 1/2  loss' in out and 'epoch 2/2  loss' in out
  assert 'Walking' in out and 'all poses' in out
  records = (workdir / 'metrics.jsonl').read_text().splitlines()
  assert [json.loads(line)['epoch'] for line in records] == [1, 2]
  assert config.load(workdir / 'config.json').model.hid_dim == 4


def test_evaluate_reproduces_what_training_printed(trained, tmp_path):
  workdir, out, _ = trained
  output = tmp_path / 'result.json'
  code, table, err = run(
    'evaluate', f'--checkpoint={workdir}', f'--output={output}'
  )
  assert (code, err) == (0, '')
  assert table.strip() == out[out.index('\nepoch ') :].split('\n\n')[-1].strip()
  result = json.loads(output.read_text())
  records = [json.loads(x) for x in open(workdir / 'metrics.jsonl')]
  best = min(records, key=lambda record: record['mpjpe'])
  assert result['epoch'] == best['epoch']
  assert result['num_params'] > 400
  for name in ('mpjpe', 'p_mpjpe', 'mpjpe_action', 'auc', 'actions'):
    assert result[name] == best[name]


def test_evaluate_with_other_settings(trained, tmp_path):
  workdir, _, _ = trained
  output = tmp_path / 'result.json'
  code, _, err = run(
    'evaluate',
    f'--checkpoint={workdir}',
    '--which=1',
    '--actions=Walking,Sitting',
    '--scale_calibration',
    f'--output={output}',
  )
  assert code == 0, err
  result = json.loads(output.read_text())
  assert result['epoch'] == 1
  assert set(result['actions']) == {'Walking', 'Sitting'}
  first = json.loads(open(workdir / 'metrics.jsonl').readline())
  walking = first['actions']['Walking'], result['actions']['Walking']
  assert walking[0]['num_poses'] == walking[1]['num_poses']
  assert walking[0]['mpjpe'] != walking[1]['mpjpe']  # The scale.
  np.testing.assert_allclose(*(w['n_mpjpe'] for w in walking), rtol=1e-5)


def test_evaluate_draws_poses(trained, tmp_path):
  workdir, _, _ = trained
  figure = tmp_path / 'poses.png'
  code, _, err = run(
    'evaluate', f'--checkpoint={workdir}', f'--figure={figure}'
  )
  assert (code, err) == (0, '')
  assert figure.read_bytes()[:4] == b'\x89PNG'
  fails(
    *('evaluate', f'--checkpoint={workdir}', f'--figure={tmp_path / "no/a"}'),
    status=2,
    message='no/a: name a file in an existing folder',
  )


def test_help_lists_the_flags():
  _, out, _ = run('train', '--help')
  for flag in ('--epochs=12', '--non_local=true', '--workdir=', '--hid_dim=64'):
    assert flag in out
  _, out, _ = run('train', '--help', '--preset=cmu')
  assert '--epochs=30' in out and '--dataset=cmu' in out
  groups = [line[:-1] for line in out.splitlines() if line.endswith(':')]
  assert groups[:3] == ['Presets', 'Data', 'Model']


def test_help_of_commands_without_presets():
  status, out, err = run('evaluate', '-h')  # Its --checkpoint is required.
  assert (status, err) == (0, '')
  assert '--flip_test=\n' in out and '--checkpoint=\n' in out
  _, out, _ = run('prepare_data', '--help')
  assert '--dataset=h36m\n' in out and 'Data:' not in out


@pytest.mark.parametrize(
  'flag, message',
  [
    ('--epochs=0', '--epochs=0: must be above 0'),
    ('--lr=-1', '--lr=-1.0: must be above 0'),
    ('--preset=none', '--preset=none: choose from synthetic, h36m'),
    (
      '--model=resnet',
      '--model=resnet: choose from semgcn, semgcn_temporal, linear',
    ),
    ('--actions=Flying', '--actions: no Flying in the synthetic dataset'),
    ('--test_subjects=S2', 'no S2 in the synthetic dataset; it has S1'),
    ('--skeleton=spider', 'neither a file nor one of h36m'),
    ('--colour=red', "Unknown command line flag 'colour'"),
    ('--epochs=many', 'flag --epochs'),
    ('word', 'word: not a flag'),
  ],
)
def test_bad_flags(flag, message, tmp_path):
  fails(
    'train', flag, f'--workdir={tmp_path / "run"}', status=2, message=message
  )
  assert not (tmp_path / 'run').exists()


def test_an_empty_workdir_is_refused():
  fails('train', '--workdir=', status=2, message='--workdir: is empty')


def test_help_names_the_presets():
  _, out, _ = run('train', '--help')
  assert 'One of synthetic, h36m, h36m_sh' in out


def test_bad_data(tmp_path):
  path, workdir = tmp_path / 'data_3d_h36m.npz', tmp_path / 'run'

  def check(message):
    flags = ('--preset=h36m', f'--data_dir={tmp_path}', f'--workdir={workdir}')
    fails('train', *flags, status=1, message=message)
    assert not workdir.exists()

  check('data_3d_h36m.npz: no such file; give its folder with --data_dir')
  trace = tmp_path / 'it_ran'
  np.savez(path, positions_3d={'S1': {'Walk': Hostile(str(trace))}})
  check('data_3d_h36m.npz: refused, it would run')
  assert not trace.exists()
  rng = np.random.default_rng(0)
  poses = {
    s: {'Walk': rng.normal(size=(5, 16, 3))}
    for s in ('S1', 'S5', 'S6', 'S7', 'S8', 'S9', 'S11')
  }
  poses['S6']['Walk'][3, 2, 0] = np.nan
  np.savez(path, positions_3d=poses)
  check("S6 'Walk' frame 3 joint RKnee is not a number")
  path.write_bytes(path.read_bytes()[:2000])
  check('data_3d_h36m.npz: cut off or not an npz file')


@pytest.mark.slow
def test_compiled_programs_are_kept(trained, tmp_path):
  flags = (
    f'--checkpoint={trained[0]}',
    f'--compilation_cache={tmp_path / "c"}',
  )
  env = {k: v for k, v in os.environ.items() if k[:15] != 'JAX_COMPILATION'}
  outputs, kept = [], []
  for _ in range(2):
    process = start('evaluate', *flags, env=env)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, '')
    outputs.append(out)
    kept.append({p.name for p in (tmp_path / 'c').iterdir()})
  assert outputs[0] == outputs[1]
  assert kept[0] and kept[0] == kept[1]
  process = start(
    'evaluate', flags[0], '--compilation_cache=/dev/null/c', env=env
  )
  _, err = process.communicate(timeout=300)
  assert process.returncode == 2
  assert '--compilation_cache=/dev/null/c: Not a directory; name' in err


@pytest.mark.parametrize(('given', 'told'), [(None, 'false'), ('true', 'true')])
def test_gpu_memory_is_taken_as_needed(given, told):
  name = 'XLA_PYTHON_CLIENT_PREALLOCATE'
  environment = {k: v for k, v in os.environ.items() if k != name}
  if given:
    environment[name] = given
  program = (
    'import os; from semgcn_jax.commands.parsing import Flags;'
    ' from semgcn_jax.commands.running import run;'
    f' run("", lambda: lambda _: print(os.environ["{name}"]), Flags, ["a"])'
  )
  out = subprocess.check_output(
    [sys.executable, '-c', program], env=environment, text=True
  )
  assert out.strip() == told


def test_a_cyclic_skeleton(tmp_path):
  path = tmp_path / 'ring.json'
  path.write_text('{"joints": ["a", "b", "c"], "parents": [2, 0, 1]}')
  fails(
    'train',
    f'--skeleton={path}',
    f'--workdir={tmp_path / "run"}',
    status=1,
    message='ring.json: skeleton: the parents form a cycle, a -> c -> b -> a',
  )


def test_a_run_is_not_written_over(trained):
  workdir, _, _ = trained
  before = {p: p.read_bytes() for p in workdir.rglob('*') if p.is_file()}
  flags = (*TINY_FLAGS, f'--workdir={workdir}')
  fails('train', *flags, status=2, message='continue it with --resume')
  fails(
    'train',
    *flags,
    '--resume',
    '--lr=0.1',
    status=2,
    message='--lr=0.1: the run in',
  )
  after = {p: p.read_bytes() for p in workdir.rglob('*') if p.is_file()}
  assert after == before


def test_bad_checkpoints(trained, tmp_path):
  fails(
    'evaluate',
    f'--checkpoint={tmp_path}',
    status=1,
    message='config.json: No such file or directory; name the folder of a run',
  )
  workdir, _, _ = trained
  fails(
    'evaluate',
    f'--checkpoint={workdir}',
    '--which=9',
    status=2,
    message='--which=9: choose from best, last, 1, 2',
  )
  damaged = tmp_path / 'damaged'
  shutil.copytree(workdir, damaged)
  for folder in (damaged / 'checkpoints').iterdir():
    shutil.rmtree(folder / 'model' / 'd')
  fails('evaluate', f'--checkpoint={damaged}', status=1, message='damaged')
  wide = tmp_path / 'wide'
  wide.mkdir()
  for name in ('checkpoints', 'skeleton.json'):
    (wide / name).symlink_to(workdir / name)
  saved = json.loads((workdir / 'config.json').read_text())
  (wide / 'config.json').write_text(json.dumps(saved | {'hid_dim': 8}))
  fails(
    'evaluate', f'--checkpoint={wide}', status=1, message='not fit the model'
  )


@pytest.mark.slow
def test_killed_and_terminated_runs_end_with_the_same_bits(trained, tmp_path):
  """kill -9 in the second epoch, SIGTERM in the third, then to the end."""
  workdir = tmp_path / 'run'
  more = (*TINY_FLAGS, '--epochs=12', '--chunk_steps=5')
  whole = tmp_path / 'whole'
  assert run('train', *more, f'--workdir={whole}')[0] == 0
  process = start('train', *more, f'--workdir={workdir}')
  wait_for_epoch(process, 1)
  process.kill()
  process.communicate()
  assert process.returncode == -signal.SIGKILL
  process = start('train', f'--workdir={workdir}', '--resume')
  wait_for_epoch(process, 2)
  process.send_signal(signal.SIGTERM)
  out, err = process.communicate(timeout=300)
  assert process.returncode == 143
  assert err == f'{SCRIPTS}/train.py: terminated\n'
  assert 'stopped and saved' in out and 'resume it' in out
  code, out, err = run('train', f'--workdir={workdir}', '--resume')
  assert code == 0, err
  results = []
  for path in (whole, workdir):
    data = [json.loads(line) for line in open(path / 'metrics.jsonl')]
    assert [record['epoch'] for record in data] == list(range(1, 13))
    results.append([(r['train_loss'], r['actions']) for r in data])
  assert results[0] == results[1]
  states = []
  for path in (whole, workdir):
    settings = config.load(path / 'config.json')
    state = state_lib.create_train_state(settings, H36M)
    state, _ = checkpoints.restore_state(path, state)
    states.append((state.variables, state.opt_state, state.step))
  jax.tree.map(np.testing.assert_array_equal, *states)


@pytest.mark.slow
def test_to_torch_and_back(trained, tmp_path):
  pytest.importorskip('torch', reason='needs the torch extra')
  workdir, _, _ = trained
  file, back = tmp_path / 'ckpt.pth.tar', tmp_path / 'back'
  code, out, err = run(
    *('convert_torch', '--to_torch', f'--input={workdir}', f'--output={file}')
  )
  assert (code, err) == (0, ''), err
  code, out, err = run(
    *('convert_torch', f'--input={file}', f'--output={back}'),
    *('--preset=synthetic', '--downsample=72', '--eval_batch_size=64'),
  )
  assert (code, err) == (0, ''), err
  tables = [run('evaluate', f'--checkpoint={w}')[1] for w in (workdir, back)]
  assert tables[0] == tables[1] and 'all poses' in tables[0]
  # Trained on, it does what the original does: Adam's moments came along.
  file = tmp_path / 'last.pth.tar'
  both = tmp_path / 'original', tmp_path / 'converted'
  shutil.copytree(workdir, both[0])
  assert (
    run(
      *('convert_torch', '--to_torch', '--which=last'),
      *(f'--input={both[0]}', f'--output={file}'),
    )[0]
    == 0
  )
  assert (
    run(
      *('convert_torch', f'--input={file}', f'--output={both[1]}'),
      *('--preset=synthetic', '--downsample=72', '--batch_size=40'),
      *('--chunk_steps=5', '--eval_batch_size=64'),
    )[0]
    == 0
  )
  losses = []
  for path in both:
    code, _, err = run('train', f'--workdir={path}', '--resume', '--epochs=3')
    assert (code, err) == (0, '')
    lines = (path / 'metrics.jsonl').read_text().splitlines()
    losses.append(json.loads(lines[-1])['train_loss'])
  assert losses[0] == losses[1]
  file = tmp_path / 'ckpt.pth.tar'
  file.write_bytes(file.read_bytes()[:999])
  fails(
    *('convert_torch', f'--input={file}', f'--output={tmp_path / "new"}'),
    status=1,
    message='ckpt.pth.tar: cut off, or not a checkpoint',
  )
  assert not (tmp_path / 'new').exists()


def wait_for_epoch(process, epoch):
  for line in process.stdout:
    if line.startswith(f'epoch {epoch}/'):
      return
  raise AssertionError(process.stderr.read())
