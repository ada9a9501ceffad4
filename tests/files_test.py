import pytest

from semgcn_jax.files import replacing


def test_a_file_is_replaced_when_all_went_well(tmp_path):
  path = tmp_path / 'a.json'
  for text in ('first', 'second'):
    with replacing(path) as temporary:
      temporary.write_text(text)
    assert path.read_text() == text
  assert list(tmp_path.iterdir()) == [path]


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
