import io
import os
import stat
import tarfile
import zipfile

import pytest

from semgcn_jax.errors import UserError
from semgcn_jax.prepare import archives
from semgcn_jax.prepare.archives import is_archive, unpack

OUTSIDE = [
  'C:x.asf',
  '../03/03.asf',
  'a/../../03/03.asf',
  '/03/03.asf',
  '..\\03.asf',
]


def wanted(name):
  return name.endswith('.asf')


def zip_member(path, name, data=b'skeleton', mode=stat.S_IFREG):
  with zipfile.ZipFile(path, 'a', zipfile.ZIP_DEFLATED) as archive:
    member = zipfile.ZipInfo(name)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = (mode | 0o644) << 16
    archive.writestr(member, data)


def tar_member(path, name, data=b'skeleton', kind=tarfile.REGTYPE, mode='w:gz'):
  with tarfile.open(path, mode) as archive:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, '/etc/passwd'
    member.size = len(data) if kind == tarfile.REGTYPE else 0
    archive.addfile(member, io.BytesIO(data))


def files(folder):
  return {
    p.relative_to(folder).as_posix() for p in folder.rglob('*') if p.is_file()
  }


def test_only_what_is_wanted_is_unpacked(tmp_path):
  path = tmp_path / 'a.zip'
  zip_member(path, 'all/subjects/03/03.asf')
  zip_member(path, 'readme.txt')
  unpack(path, wanted, tmp_path / 'zip')
  assert files(tmp_path / 'zip') == {'all/subjects/03/03.asf'}
  for number, mode in enumerate(('w', 'w:gz', 'w:bz2', 'w:xz')):
    path = tmp_path / f'{number}.tar'
    tar_member(path, './b/03.asf', mode=mode)
    unpack(path, wanted, tmp_path / str(number))
    assert files(tmp_path / str(number)) == {'b/03.asf'}
  assert is_archive(path) and not is_archive(tmp_path / 'missing.zip')
  assert not is_archive(tmp_path)


@pytest.mark.parametrize('make', [zip_member, tar_member])
@pytest.mark.parametrize('name', OUTSIDE)
def test_members_outside_are_refused(tmp_path, name, make):
  make(tmp_path / 'a', name)
  with pytest.raises(UserError, match='a: refused, .* outside of the archive'):
    unpack(tmp_path / 'a', wanted, tmp_path / 'out')
  assert files(tmp_path) == {'a'}


def test_links_are_refused(tmp_path):
  path = tmp_path / 'a.zip'
  zip_member(path, 'link', os.fspath('/etc/passwd').encode(), stat.S_IFLNK)
  with pytest.raises(UserError, match="its member 'link' is a link or device"):
    unpack(path, wanted, tmp_path / 'out')
  for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
    tar_member(path, '03/03.asf', kind=kind)
    with pytest.raises(UserError, match='is a link or device'):
      unpack(path, wanted, tmp_path / 'out')
  assert files(tmp_path) == {'a.zip'}


@pytest.mark.parametrize('make', [zip_member, tar_member])
def test_bombs_are_refused(tmp_path, monkeypatch, make):
  path = tmp_path / 'a'
  make(path, '03.asf', b'0' * 2**20)
  monkeypatch.setattr(archives, 'MIN_TOTAL', 2**19)
  with pytest.raises(UserError, match='a: refused, it would unpack to more'):
    unpack(path, wanted, tmp_path / 'out')
  monkeypatch.setattr(archives, 'MIN_TOTAL', 2**21)
  unpack(path, wanted, tmp_path / 'in')
  monkeypatch.setattr(archives, 'MAX_MEMBER', 2**19)
  with pytest.raises(UserError, match='unpack to more'):
    unpack(path, wanted, tmp_path / 'out')
  assert files(tmp_path) == {'a', 'in/03.asf'}


def test_a_bomb_in_a_header_is_refused(tmp_path, monkeypatch):
  path = tmp_path / 'a.tgz'
  with tarfile.open(path, 'w:gz', format=tarfile.PAX_FORMAT) as archive:
    member = tarfile.TarInfo('03.asf')
    member.pax_headers = {'comment': 'x' * 2**23}
    archive.addfile(member)
  monkeypatch.setattr(archives, 'MIN_TOTAL', 2**20)
  with pytest.raises(UserError, match='a.tgz: refused, it would unpack'):
    unpack(path, wanted, tmp_path / 'out')


@pytest.mark.parametrize('make', [zip_member, tar_member])
def test_damaged_archives(tmp_path, make):
  path = tmp_path / 'a'
  make(path, '03.asf', os.urandom(50_000))
  whole = path.read_bytes()
  for length in (0, 100, 20_000, len(whole) - 30):
    path.write_bytes(whole[:length])
    with pytest.raises(UserError, match='copy it again'):
      unpack(path, wanted, tmp_path / 'out')
  path.write_bytes(whole[:30_000] + b'damage' + whole[30_006:])
  with pytest.raises(UserError, match='copy it again'):
    unpack(path, wanted, tmp_path / 'out')


@pytest.mark.parametrize('mode', ['w', 'w:bz2', 'w:xz'])
def test_cut_off_tars(tmp_path, mode):
  path = tmp_path / 'a'
  tar_member(path, '03.asf', os.urandom(3000), mode=mode)
  whole = path.read_bytes()
  # A plain one is whole up to its end mark: 512 and 3072 bytes, then zeros.
  for length in (100, 700, 3584) if mode == 'w' else (100, 700, 2900):
    path.write_bytes(whole[:length])
    with pytest.raises(UserError, match='copy it again'):
      unpack(path, wanted, tmp_path / 'out')
