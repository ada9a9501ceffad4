import json
import subprocess
import sys

import pytest

from semgcn_jax.errors import SettingError
from semgcn_jax.files import (
  replacing,
  write_json,
  write_output,
  write_text,
)


def test_a_file_is_replaced_when_all_went_well(tmp_path):
  path = tmp_path / 'a.json'
  for text in ('first', 'second'):
    write_text(path, text)
    assert path.read_text() == text
  assert list(tmp_path.iterdir()) == [path]


def test_long_names_have_temporary_files_of_their_own(tmp_path):
  paths = [tmp_path / f'{"歩" * 80}{n}.json' for n in range(2)]
  with replacing(paths[0]) as first, replacing(paths[1]) as second:
    first.write_text('first')
    second.write_text('second')
    with replacing(paths[0]) as again:  # As by another thread.
      again.write_text('again')
  assert [path.read_text() for path in paths] == ['first', 'second']
  assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_a_failure_leaves_it_as_it_was(tmp_path):
  path = tmp_path / 'a.json'
  path.write_text('before')
  with pytest.raises(RuntimeError), replacing(path) as temporary:
    temporary.write_text('half')
    raise RuntimeError
  with pytest.raises(FileNotFoundError), replacing(path):
    pass  # Nothing was written.
  assert path.read_text() == 'before'
  assert list(tmp_path.iterdir()) == [path]


def test_writers_of_one_file_do_not_meet(tmp_path):
  path = tmp_path / 'a.txt'
  write = f"""
import pathlib, sys
from semgcn_jax.files import replacing
for _ in range(500):
  with replacing(pathlib.Path({str(path)!r})) as temporary:
    with open(temporary, 'w') as file:
      for _ in range(100):
        file.write(sys.argv[1])
        file.flush()
"""
  writers = [
    subprocess.Popen([sys.executable, '-c', write, letter]) for letter in 'ab'
  ]
  while any(writer.poll() is None for writer in writers):
    if path.exists():
      assert path.read_text() in ('a' * 100, 'b' * 100)
  assert [writer.returncode for writer in writers] == [0, 0]
  assert list(tmp_path.iterdir()) == [path]


def test_json(tmp_path):
  path = tmp_path / 'result.json'
  write_json({'mpjpe': 1.5}, path)
  assert json.loads(path.read_text()) == {'mpjpe': 1.5}
  for wrong in (tmp_path / 'missing' / 'result.json', tmp_path):
    with pytest.raises(SettingError, match='`output='):
      write_json({}, wrong)
  assert [p.name for p in tmp_path.iterdir()] == ['result.json']


def test_a_link_stays_and_permissions_too(tmp_path):
  target, link = tmp_path / 'target.json', tmp_path / 'link.json'
  target.write_text('before')
  target.chmod(0o600)
  link.symlink_to(target.name)
  write_text(link, 'after')
  assert link.is_symlink() and target.read_text() == 'after'
  assert target.stat().st_mode & 0o777 == 0o600


def test_a_new_file_is_never_replaced(tmp_path):
  path = tmp_path / 'a.json'
  with replacing(path, new=True) as temporary:
    temporary.write_text('first')
  with pytest.raises(SettingError, match='`output=.*`: exists by now'):
    write_output(path, lambda p: p.write_text('second'), new=True)
  assert path.read_text() == 'first' and [*tmp_path.iterdir()] == [path]
