import os
import re
import stat
import zipfile

import numpy as np
import pytest

from semgcn_jax.data.npz import read_poses_3d, write_poses_3d
from semgcn_jax.errors import FlagError, UserError
from semgcn_jax.prepare import cmu, prepare_cmu
from semgcn_jax.prepare.archives import unpack_zip

WANTED = re.compile(r'(?:[^/]+/)*(\d+)/(\d+\.asf)')


def prepare(source, output_dir, **changes):
  fields = {'fps': 10, 'benchmark': True, 'rates': None, 'overwrite': False}
  return prepare_cmu(source, output_dir, **fields | changes)


def zip_of(folder, path):
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
    for file in folder.rglob('*.a*'):
      archive.write(file, file.relative_to(folder))


@pytest.mark.parametrize('kind', ['tree', 'subjects', 'zip'])
def test_cmu_files_give_the_benchmarks_poses(shared, tmp_path, kind, capsys):
  source = shared / 'cmu' / 'raw'
  if kind == 'subjects':
    source = source / 'subjects'
  if kind == 'zip':
    zip_of(source, tmp_path / 'cmu.zip')
    source = tmp_path / 'cmu.zip'
  poses = read_poses_3d(prepare(source, tmp_path / 'data'))
  reference = read_poses_3d(shared / 'cmu' / 'data_3d_cmu.npz')
  actions = [(s, a) for s, clips in poses.items() for a in clips]
  assert actions == [
    *(('S3', 'Climb 03_02'), ('S5', 'Walk 05_01'), ('S5', 'Dance 05_03')),
    *(('S16', 'Jump 16_01'), ('S16', 'Run 16_08')),
  ]
  for subject, action in actions:
    np.testing.assert_allclose(
      poses[subject][action], reference[subject][action], rtol=0, atol=1e-4
    )
  assert 'S16               2       47' in capsys.readouterr().out
  assert [p.name for p in (tmp_path / 'data').iterdir()] == ['data_3d_cmu.npz']


def test_rates(shared, tmp_path):
  rates = tmp_path / 'rates.csv'
  rates.write_text('clip,fps\n16_01,60\n')
  source = shared / 'cmu' / 'raw'
  poses = read_poses_3d(prepare(source, tmp_path, rates=rates, fps=30))
  lengths = {a: len(p) for clips in poses.values() for a, p in clips.items()}
  usual = read_poses_3d(
    prepare(source, tmp_path, rates=None, fps=30, overwrite=True)
  )
  assert lengths['Walk 05_01'] == len(usual['S5']['Walk 05_01'])
  ratio = lengths['Jump 16_01'] / len(usual['S16']['Jump 16_01'])
  assert 1.9 < ratio <= 2
  rates.write_text('16_01,fast\n')
  with pytest.raises(UserError, match='rates.csv:1: not a clip'):
    prepare(source, tmp_path / 'new', rates=rates)
  with pytest.raises(FlagError, match='--fps=50: .* not a multiple'):
    prepare(source, tmp_path / 'new', fps=50)
  with pytest.raises(FlagError, match='--fps=0'):
    prepare(source, tmp_path / 'new', fps=0)


def test_nothing_is_overwritten_or_half_written(tmp_path):
  output = tmp_path / 'data_3d_cmu.npz'
  output.write_text('mine')
  with pytest.raises(FlagError, match='exists; replace it with --overwrite'):
    prepare(tmp_path, tmp_path)
  assert output.read_text() == 'mine'
  output.unlink()
  with pytest.raises(FlagError, match='not the CMU database'):
    prepare(tmp_path, tmp_path)
  folder = tmp_path / 'subjects' / '03'
  folder.mkdir(parents=True)
  (folder / '03.asf').write_text(':version 1')
  with pytest.raises(UserError, match='no motion of the benchmark'):
    prepare(tmp_path, tmp_path)
  (folder / '03_02.amc').write_text('1')
  with pytest.raises(UserError, match='03.asf: cut off'):
    prepare(tmp_path, tmp_path)
  assert {p.name for p in tmp_path.iterdir()} == {'subjects'}


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
  path = tmp_path / 'data_3d_cmu.npz'
  poses = {'S1': {'Walk': np.zeros((2, 16, 3), np.float32)}}
  write_poses_3d(poses, path)
  before = path.read_bytes()

  def interrupted(file, **arrays):
    file.write(b'half')
    raise KeyboardInterrupt

  monkeypatch.setattr(np, 'savez_compressed', interrupted)
  with pytest.raises(KeyboardInterrupt):
    write_poses_3d(poses, path)

  def full(file, **arrays):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(np, 'savez_compressed', full)
  with pytest.raises(UserError, match='No space left on device'):
    write_poses_3d(poses, path)
  assert path.read_bytes() == before
  assert [p.name for p in tmp_path.iterdir()] == [path.name]
  with pytest.raises(UserError, match='cannot be written'):
    write_poses_3d(poses, path / 'data' / 'poses.npz')


def test_the_benchmarks_clips():
  categories = cmu.read_categories()
  assert len(categories) == 264
  assert categories['07_05'] == 'Walk'
  assert tuple(cmu.JOINTS)[:2] == ('Pelvis', 'RHip')


def test_unpacking_only_what_is_wanted(tmp_path):
  path = tmp_path / 'a.zip'
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('all/subjects/03/03.asf', 'skeleton')
    archive.writestr('readme.txt', 'no')
  unpack_zip(path, WANTED, tmp_path / 'out')
  files = [p for p in (tmp_path / 'out').rglob('*') if p.is_file()]
  assert [p.relative_to(tmp_path / 'out').parts for p in files] == [
    ('03', '03.asf')
  ]
  path.write_bytes(path.read_bytes()[:-30])
  with pytest.raises(UserError, match='cut off or not a zip'):
    unpack_zip(path, WANTED, tmp_path / 'out')


@pytest.mark.parametrize(
  'name', ['../03/03.asf', 'a/../../03/03.asf', '/03/03.asf']
)
def test_members_outside_are_refused(tmp_path, name):
  path = tmp_path / 'a.zip'
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr(name, 'skeleton')
  with pytest.raises(UserError, match='lies outside of the archive'):
    unpack_zip(path, WANTED, tmp_path / 'out')
  assert not (tmp_path / 'out').exists()


def test_links_and_bombs_are_refused(tmp_path, monkeypatch):
  path = tmp_path / 'a.zip'
  with zipfile.ZipFile(path, 'w') as archive:
    link = zipfile.ZipInfo('03/03.asf')
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(link, os.fspath('/etc/passwd'))
  with pytest.raises(UserError, match='is a link'):
    unpack_zip(path, WANTED, tmp_path / 'out')
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
    archive.writestr('03/03.asf', b'0' * 2**20)
  monkeypatch.setattr('semgcn_jax.prepare.archives.MAX_MEMBER', 2**19)
  with pytest.raises(UserError, match='would be 1,048,576 bytes'):
    unpack_zip(path, WANTED, tmp_path / 'out')
