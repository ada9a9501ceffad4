"""Preparing data by its command, as docs/data.md says."""

import os
import re
import signal

import numpy as np
import pytest
from asf_files import AMC, ASF
from command_line import fails, run, start
from conftest import ROOT
from h36m_files import millimetres, recording, write_h5, zip_of

from semgcn_jax.data.npz import read_poses_3d
from semgcn_jax.prepare import cmu


@pytest.mark.slow
def test_a_dataset_of_your_own(tmp_path, monkeypatch):
  """Its snippet and its commands, with a tiny network."""
  text = (ROOT / 'docs' / 'data.md').read_text()
  section = text.partition('## Your own data')[2]
  monkeypatch.chdir(tmp_path)
  for program in re.findall(r'```python\n(.*?)```', section, re.DOTALL)[:2]:
    exec(program, {})
  commands = re.findall(
    r'^    python experiments/(\w+)\.py ((?:.*\\\n)*.*)$', section, re.MULTILINE
  )[:6]
  names = [name for name, _ in commands]
  assert names == [
    *('prepare_data', 'train', 'evaluate', 'view', 'train', 'predict')
  ]
  tiny = ('--hid_dim=4', '--num_layers=1', '--epochs=1', '--batch_size=40')
  for name, flags in commands:
    flags = re.sub(r'=(data|runs|hand\.|seen\.)', rf'={tmp_path}/\1', flags)
    flags = flags.replace('\\\n', ' ').split()
    if name == 'train':
      flags += [*tiny, f'--data_dir={tmp_path}/data']
    elif name == 'evaluate':
      flags += [f'--data_dir={tmp_path}/data']
    code, out, err = run(name, *flags)
    assert (code, err) == (0, ''), err
    if name == 'prepare_data':
      assert 'data_3d_hand.npz: 2 subjects, 2 clips, 4,200 frames' in out
      assert '21 joints, metres; usable' in out
    if name in ('train', 'evaluate'):
      assert 'all poses' in out and ' 400\n' in out
      assert 'a sixth of the mean reach' in out and 'PCK@150' not in out
    if name == 'evaluate':
      assert 'linear, all nodes' in out
    if name in ('view', 'predict'):
      assert 'The tiles are 10 cm wide' in out
  assert '10 poses, of 1 person' in out
  for name in ('hand', 'seen'):
    page = (tmp_path / f'{name}.html').read_text()
    assert '"unit": 0.2' in page and '"middle 3"' in page


def cmu_tree(folder, megabytes=0.0):
  """A tree of one subject with the bones that are needed, and long motions."""
  bones = sorted({bone for joint in cmu.JOINTS.values() for bone in joint})
  asf = ASF.partition(':bonedata')[0] + ':bonedata\n'
  for number, bone in enumerate(bones):
    asf += (
      f' begin\n id {number}\n name {bone}\n direction 0 1 0\n'
      f' length {1 + number}\n'
      ' axis 0 0 0 XYZ\n dof rx ry rz\n end\n'
    )
  asf += f':hierarchy\n begin\n root {" ".join(bones)}\n end\n'
  frame = 'root 1 2 3 4 5 6\n' + ''.join(f'{b} 1 2 3\n' for b in bones)
  count = 1 + int(megabytes * 1e6 / len(frame))
  text = AMC.partition('\n1\n')[0] + '\n'
  text += ''.join(f'{i + 1}\n{frame}' for i in range(count))
  (folder / '07').mkdir(parents=True)
  (folder / '07' / '07.asf').write_text(asf)
  for clip in ('07_01', '07_02', '07_03', '07_04'):
    (folder / '07' / f'{clip}.amc').write_text(text)
  return text


def prepare_flags(source, out, *more):
  return ('prepare_data', f'--source={source}', f'--output_dir={out}', *more)


def test_cmu_by_command(tmp_path):
  cmu_tree(tmp_path / 'subjects')
  out = tmp_path / 'data'
  code, text, err = run(*prepare_flags(tmp_path / 'subjects', out))
  assert (code, err) == (0, '')
  assert 'S7 4 4 -' in ' '.join(text.split())
  [actions] = read_poses_3d(out / 'data_3d_cmu.npz').values()
  assert [*actions] == [f'Walk 07_0{i}' for i in (1, 2, 3, 4)]
  before = (out / 'data_3d_cmu.npz').read_bytes()
  command = prepare_flags(tmp_path / 'subjects', out)
  fails(*command, status=2, message='exists; replace it with --overwrite')
  amc = tmp_path / 'subjects' / '07' / '07_02.amc'
  good = amc.read_text()
  command = (*command, '--overwrite')
  amc.write_text(good.replace('head 1 2 3', 'head 1 2 x'))
  line = 1 + good[: good.index('head')].count('\n')
  fails(*command, status=1, message=f"07_02.amc:{line}: 'head 1 2 x' has")
  amc.write_text(good.replace('head', 'tail'))
  fails(*command, status=1, message='the motion is from another skeleton')
  amc.write_text(good)
  fails(
    *prepare_flags(tmp_path / 'subjects', amc / 'data'),
    status=2,
    message='cannot be used (Not a directory); name another folder',
  )
  fails('prepare_data', status=2, message='give --source to make files,')
  assert (out / 'data_3d_cmu.npz').read_bytes() == before
  assert [p.name for p in out.iterdir()] == ['data_3d_cmu.npz']


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing(tmp_path, number):
  cmu_tree(tmp_path / 'subjects', megabytes=12)
  zip_of(tmp_path, tmp_path / 'cmu.zip')
  out = tmp_path / 'data'
  process = start(
    *prepare_flags(tmp_path / 'cmu.zip', out), start_new_session=True
  )
  assert process.stdout.readline().startswith('unpacking')
  assert process.stdout.readline() == 'converting 4 clips\n'
  # A terminal sends Ctrl-C to every process of the command.
  send = os.killpg if number == signal.SIGINT else os.kill
  send(process.pid, number)
  rest, err = process.communicate(timeout=60)
  status, word = {
    signal.SIGINT: (130, 'interrupted'),
    signal.SIGTERM: (143, 'terminated'),
  }[number]
  assert process.returncode == status
  assert err.endswith(f'prepare_data.py: {word}\n') and err.count('\n') == 1
  assert not list(out.iterdir()), rest


@pytest.mark.slow
def test_no_disk_space(tmp_path):
  """A limit on the size of files stands for a full disk."""
  rng = np.random.default_rng(0)
  for subject in ('S1', 'S5'):
    poses = millimetres(rng.normal(size=(500, 16, 3)))
    write_h5(recording(tmp_path / 's', 'h5', subject, 'Eating'), poses)
  zip_of(tmp_path / 's', tmp_path / 'h36m.zip')

  def fails_with(source, kilobytes, message):
    limited = ('bash', '-c', f'ulimit -f {kilobytes} && exec "$@"', 'bash')
    process = start(*prepare_flags(source, tmp_path / 'data'), before=limited)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert message in err and err.count('\n') == 1
    assert not list((tmp_path / 'data').iterdir())

  message = 'data_3d_h36m.npz: cannot be written (File too large); give another'
  fails_with(tmp_path / 's', 50, message)
  fails_with(tmp_path / 'h36m.zip', 50, 'cannot be unpacked: File too')


def test_bad_archives_by_command(tmp_path):
  cmu_tree(tmp_path / 'subjects')
  zip_of(tmp_path, tmp_path / 'cmu.zip')
  whole = (tmp_path / 'cmu.zip').read_bytes()
  (tmp_path / 'cut.zip').write_bytes(whole[: len(whole) // 2])
  out = tmp_path / 'data'
  command = prepare_flags(tmp_path / 'cut.zip', out)
  fails(*command, status=1, message='cut.zip: cut off or not a zip or tar')
  assert not list(out.iterdir())
