import numpy as np
import pytest

from semgcn_jax.errors import UserError
from semgcn_jax.prepare.bvh import joint_positions, read_bvh

TEXT = """HIERARCHY
ROOT Hips
{
  OFFSET 0 1 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
  JOINT Knee
  {
    OFFSET 0 -2 0
    CHANNELS 3 Zrotation Yrotation Xrotation
    End Site
    {
      OFFSET 0 0 3
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.0083333
0 0 0 0 0 0 0 0 0
1 2 3 90 0 0 0 90 0
"""


def test_forward_kinematics_by_hand(tmp_path):
  path = tmp_path / 'a.bvh'
  path.write_text(TEXT)
  bvh = read_bvh(path)
  assert bvh.frame_time == 0.0083333
  assert [*bvh.joints] == ['Hips', 'Knee', 'Knee End']
  ends = joint_positions(bvh, slice(None))
  np.testing.assert_allclose(ends['Knee End'][0], (0, -1, 3), atol=1e-12)
  # Turned by 90 degrees about z, -2 y becomes 2 x; about the turned y, the 3 z
  # becomes 3 x of the parent, which is 3 y.
  np.testing.assert_allclose(ends['Hips'][1], (1, 3, 3), atol=1e-12)
  np.testing.assert_allclose(ends['Knee'][1], (3, 3, 3), atol=1e-12)
  np.testing.assert_allclose(ends['Knee End'][1], (3, 6, 3), atol=1e-12)
  path.write_text(TEXT.replace('\n', '\r\n'))
  np.testing.assert_array_equal(read_bvh(path).motion, bvh.motion)


@pytest.mark.parametrize(
  ('old', 'new', 'match'),
  [
    ('HIERARCHY', 'HELLO', 'a.bvh: cut off, or not a .bvh motion'),
    ('MOTION', '', 'no MOTION'),
    ('0 90 0\n', '0 ninety 0\n', 'a.bvh:20: does not hold 9 proper numbers'),
    ('0 90 0\n', '0 90\n', 'a.bvh:20: does not hold 9 proper numbers'),
    ('0 90 0\n', '0 nan 0\n', 'a.bvh:20: does not hold 9 proper numbers'),
    ('Frames: 2', 'Frames: 3', 'has 2 frames, not 3'),
    ('Frame Time: 0.0083333', 'Frame Time: 0', 'frames of 0.0 s'),
    ('CHANNELS 3', 'CHANNELS 4', 'channels of Knee'),
    ('OFFSET 0 -2 0', 'OFFSET 0 -2', 'cut off, or not'),
    ('ROOT Hips', 'End Site', 'cut off, or not'),
    (TEXT[TEXT.index('-2 0') :], '-2 MOTION', 'cut off, or not'),
    (TEXT[TEXT.index('CHANNELS 3') :], 'CHANNELS 3 MOTION', 'cut off'),
    ('OFFSET 0 0 3\n    }\n  }\n}', 'OFFSET 0 0 3\n', 'cut off, or not'),
    ('JOINT Knee', 'JOINT Hips', 'joint Hips'),
    ('JOINT Knee', 'x' * 200_000, r'unexpected x{37}\.\.\.\)$'),
    ('OFFSET 0 -2 0', 'OFFSET 0 -2 1e308', 'offset of Knee'),
    ('0 90 0\n', '0 1e308 0\n', 'a.bvh:20: does not hold 9 proper numbers'),
  ],
)
def test_bad_files(tmp_path, old, new, match):
  path = tmp_path / 'a.bvh'
  assert old in TEXT
  path.write_text(TEXT.replace(old, new))
  with pytest.raises(UserError, match=match):
    read_bvh(path)


def test_a_frame_that_is_not_counted_is_kept(tmp_path):
  path = tmp_path / 'a.bvh'
  path.write_text(TEXT.replace('Frames: 2', 'Frames: 1'))
  assert len(read_bvh(path).motion) == 2


def test_bad_number_is_found_by_its_line(tmp_path):
  path = tmp_path / 'a.bvh'
  path.write_text(TEXT.replace('1 2 3', '1 x 3'))
  line = next(
    number
    for number, text in enumerate(path.read_text().splitlines(), start=1)
    if 'x 3' in text
  )
  with pytest.raises(UserError, match=f'a.bvh:{line}: '):
    read_bvh(path)
  with pytest.raises(UserError, match='No such file'):
    read_bvh(tmp_path / 'none.bvh')


def test_channels_beyond_the_text_take_no_memory(tmp_path):
  channels = 'CHANNELS 2000000 ' + 'Xposition ' * 2_000_000
  text = TEXT.replace('CHANNELS 3 Zrotation Yrotation Xrotation', channels)
  path = tmp_path / 'a.bvh'
  head = text[: text.index('Frames')]
  path.write_text(f'{head}Frames: 100000\nFrame Time: 0.01\n' + '0\n' * 100_000)
  with pytest.raises(UserError, match='a.bvh:19: does not hold 2,000,006'):
    read_bvh(path)


@pytest.mark.parametrize(
  ('old', 'new'),
  [
    ('Knee', 'L_MOTION_Knee'),
    ('Knee', 'MOTION'),
    ('Frames: 2\n', 'Frames: 2\n\n'),
    ('Frames:', 'Frames :'),
    ('Frames:', 'FRAMES:'),
    ('MOTION\n', 'MOTION '),
    ('Frame Time: ', 'Frame Time:'),
  ],
)
def test_unusual_spellings(tmp_path, old, new):
  path = tmp_path / 'a.bvh'
  path.write_text(TEXT)
  expected = read_bvh(path)
  path.write_text(TEXT.replace(old, new))
  found = read_bvh(path)
  np.testing.assert_array_equal(found.motion, expected.motion)
  assert found.frame_time == expected.frame_time
  assert len(found.joints) == 3
