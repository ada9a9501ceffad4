import json

import pytest

from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.runs import folder


def record(epoch):
  return {'epoch': epoch, 'train_loss': 0.5, 'mpjpe': 90.0, 'p_mpjpe': 60.0}


LINES = [json.dumps(record(epoch)) + '\n' for epoch in (1, 2, 3)]


def test_only_an_unfinished_last_line_may_go(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  assert folder.read_log(tmp_path) == []
  path.write_text(''.join(LINES))
  assert folder.read_records(tmp_path, 3) == [record(e) for e in (1, 2, 3)]
  path.write_text(''.join(LINES)[:-9])
  assert folder.read_records(tmp_path, 2) == [record(1), record(2)]


@pytest.mark.parametrize(
  ('content', 'match'),
  [
    (b'\xfb' + ''.join(LINES).encode()[1:], 'line 1 is damaged'),
    (('[' + ''.join(LINES)[1:]).encode(), 'line 1 is damaged'),
    ((LINES[0] + LINES[1][5:] + LINES[2]).encode(), 'line 2 is damaged'),
    (b'{"epoch": 1}\n' + LINES[1].encode(), 'train_loss is missing'),
    (b'[' * 10**5 + b'\n' + LINES[1].encode(), 'line 1 is damaged'),
    ((LINES[0] + LINES[2]).encode(), 'lacks epochs up to 3'),
    *(
      (''.join(lines).encode(), 'lacks epochs up to 3')
      for lines in (
        [json.dumps(record(9)) + '\n', *LINES[1:]],
        LINES[1:],
        LINES[:2],
        [*LINES, LINES[2]],
      )
    ),
  ],
)
def test_other_damage_is_refused(tmp_path, content, match):
  (tmp_path / 'metrics.jsonl').write_bytes(content)
  with pytest.raises(UserError, match=match):
    folder.read_records(tmp_path, 3)
  assert (tmp_path / 'metrics.jsonl').read_bytes() == content


def test_later_epochs_may_go(tmp_path):
  (tmp_path / 'metrics.jsonl').write_text(''.join(LINES))
  assert folder.read_records(tmp_path, 1) == [record(1)]


def test_a_log_that_was_removed_goes_on(tmp_path):
  for epoch in (4, 5):
    folder.append_record(record(epoch), tmp_path)
  records = folder.read_records(tmp_path, 5)
  assert [r['epoch'] for r in records] == [4, 5]
  folder.write_records(records, tmp_path)
  assert folder.read_records(tmp_path, 5) == records


def test_a_folder_instead_of_the_log(tmp_path):
  (tmp_path / 'metrics.jsonl').mkdir()
  with pytest.raises(UserError, match=r'metrics\.jsonl: Is a directory'):
    folder.read_log(tmp_path)


def test_a_file_of_a_run_is_no_output(tmp_path):
  run = tmp_path / 'run'
  (run / 'checkpoints' / '9').mkdir(parents=True)
  for path in ('skeleton.json', 'curves.png', 'checkpoints/9/a.json'):
    folder.check_output(run / path)
  (run / 'config.json').write_text('{}')
  (tmp_path / 'link.json').symlink_to(run / 'skeleton.json')
  for path in (
    *('run/config.json', 'run/skeleton.json', 'run/metrics.jsonl'),
    *('run/weights.npz', 'run/checkpoints/9/a.json', 'link.json'),
    'run/checkpoints/../skeleton.json',
  ):
    with pytest.raises(SettingError, match='would replace a file of the run'):
      folder.check_output(tmp_path / path)
  for path in (tmp_path, tmp_path / 'missing' / 'scores.json'):
    with pytest.raises(SettingError, match='`output=.*existing folder'):
      folder.check_output(path)
  folder.check_output(run / 'scores.json')
  (run / 'scores.json').touch()
  folder.check_output(run / 'scores.json')
  with pytest.raises(SettingError, match='exists; name a new file'):
    folder.check_output(run / 'scores.json', new=True)
