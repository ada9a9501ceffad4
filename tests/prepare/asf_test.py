import warnings

import numpy as np
import pytest
from asf_files import AMC, ASF

from semgcn_jax.errors import UserError
from semgcn_jax.prepare.asf import bone_ends, read_amc, read_asf, rotation


@pytest.fixture
def files(tmp_path):
  (tmp_path / '01.asf').write_text(ASF)
  (tmp_path / '01_01.amc').write_text(AMC)
  return tmp_path / '01.asf', tmp_path / '01_01.amc'


def turn(axis, degrees):
  """Rotation about one axis, by Rodrigues' formula."""
  x, y, z = axis
  k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
  angle = np.pi * degrees / 180
  return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


def xyz(x, y, z):
  return turn([0, 0, 1], z) @ turn([0, 1, 0], y) @ turn([1, 0, 0], x)


def test_rotation_turns_about_x_then_y_then_z():
  angles = np.random.default_rng(0).uniform(-180, 180, (5, 3))
  for matrix, one in zip(rotation(angles), angles, strict=True):
    np.testing.assert_allclose(matrix, xyz(*one), atol=1e-12)


def test_kinematics_written_out(files):
  asf = read_asf(files[0])
  ends = bone_ends(asf, read_amc(files[1], asf))
  metres = 0.0254 / 0.45
  root = np.array([1, 2, 3])
  whole = xyz(10, 20, 30)
  own = xyz(10, 20, -30)
  upper = whole @ own @ xyz(5, -6, 7.5) @ own.T
  own = xyz(0, 0, 20)
  lower = upper @ own @ xyz(-20, 0, 10) @ own.T  # The file's order is rz, rx.
  elbow = root + upper @ [0, -2.5, 0]
  expected = {
    'root': root,
    'upper': elbow,
    'fixed': root + whole @ [0.6, 0.8, 0],
    'lower': elbow + lower @ [0, -1.5, 0],
  }
  for name, place in expected.items():
    np.testing.assert_allclose(ends[name][0], place * metres, atol=1e-9)
  neutral = (root + [0, -4, 0]) * metres
  np.testing.assert_allclose(ends['lower'][1], neutral, atol=1e-9)


def test_other_line_ends_give_the_same(files):
  asf = read_asf(files[0])
  expected = read_amc(files[1], asf)
  files[1].write_bytes(AMC.replace('\n', '\r\n').encode())
  for name, array in read_amc(files[1], asf).items():
    np.testing.assert_array_equal(array, expected[name])


@pytest.mark.parametrize(
  'old, new, message',
  [
    (
      'upper 0 0 0',
      'upper 0 O 0',
      "01_01.amc:10: 'upper 0 O 0' has invalid",
    ),
    ('upper 0 0 0', 'upper 0 nan 0', '01_01.amc:10: .* has invalid numbers'),
    ('upper 0 0 0', 'upper 0 0', '01_01.amc:10: 2 numbers for upper, not 3'),
    ('upper 0 0 0', 'wing 0 0 0', '01_01.amc:10: wing does not move in 01.asf'),
    ('upper 5 -6 7.5\n', '', '01_01.amc:7: the frame before lacks upper'),
    ('lower 0 0\n', '', 'at its end: the frame before lacks lower'),
    ('\n2\nroot', '\n7\nroot', '01_01.amc:8: frame 7 follows frame 1'),
    ('\n2\n', '\n', '01_01.amc:8: root is in frame 1 twice'),
    ('\n2\n', '\n#2\n', '01_01.amc:9: root is in frame 1 twice'),
    ('upper 5', 'lower 3 4\nupper 5', '01_01.amc:8: lower is in frame 1 twice'),
    ('lower 1e1 -20', 'upper 1 2 3', '01_01.amc:7: upper is in frame 1 twice'),
    (':DEGREES', ':ANGLE grads', '01_01.amc: its header names the unit'),
    (':DEGREES', ':DEGREES\n:RADIANS', 'angles deg and rad'),
    ('1\nroot', f'{"9" * 5000}\nroot', 'frame 9{37}... is not a frame number'),
    ('upper 0 0 0', f'{"x" * 10**5} 0', 'x{37}... does not move'),
    ('upper 0 0 0', 'upper 0 1e300 0', 'has invalid numbers'),
    ('1\nroot', 'root', '01_01.amc:4: not an .amc motion'),
    (AMC, 'hello', '01_01.amc:1: not an .amc motion'),
    (AMC, '', 'at its end: not an .amc motion: no frame'),
  ],
)
def test_a_bad_motion_names_the_line(files, old, new, message):
  assert old in AMC
  files[1].write_text(AMC.replace(old, new, 1))
  with pytest.raises(UserError, match=message):
    read_amc(files[1], read_asf(files[0]))


@pytest.mark.parametrize(
  'old, new',
  [
    (ASF, 'hello'),
    (ASF[-90:], ''),
    ('angle deg', 'angle rad'),
    ('TX TY TZ', 'TZ TY TX'),
    ('root upper fixed', 'upper fixed'),
    ('length 2.5', 'length long'),
    ('-30 XYZ', '-30 ZYX'),
    ('  length 0.45', '  length 0'),
    ('direction 0.6', 'direction nan'),
    ('dof rx ry rz', 'dof rx rx rz'),
    ('dof rz rx', 'dof rz rw'),
    ('orientation 0 0 0', 'orientation 0 90 0'),
    ('axis XYZ', 'axis ZYX'),
    ('direction 0 -1 0', 'direction 0 -1 0 0'),
    ('axis 10 20', 'axis inf 20'),
    ('name lower', 'name upper'),
    ('upper lower', 'upper lower\n    fixed lower'),
    ('direction 0 -1 0', 'direction 0 -1 0\n  direction 0 1 0'),
    (':hierarchy', ':bonedata\n:hierarchy'),
    *(('length 2.5', f'length {n}') for n in ('nan', 'inf', '-2.5', '1e300')),
  ],
)
def test_a_bad_skeleton_is_named(files, old, new):
  assert old in ASF
  files[0].write_text(ASF.replace(old, new, 1))
  with (
    warnings.catch_warnings(),
    pytest.raises(UserError, match='01.asf: cut off, or not an .asf'),
  ):
    warnings.simplefilter('error')
    read_asf(files[0])


@pytest.mark.parametrize(
  'old, new',
  [
    ('length 0.45', 'length 0.45  # in'),
    ('angle deg', 'angle DEG # not rad'),
    ('orientation 0 0 0', 'orientation 0 0 0 # none'),
    ('id 2', '# the end of upper, and the beginning\n id 2'),
    ('    upper lower', '# upper has a child\n    upper lower'),
    (':units', ':UNITS'),
  ],
)
def test_comments_and_letters_do_not_matter(files, old, new):
  assert old in ASF
  expected = read_asf(files[0])
  files[0].write_text(ASF.replace(old, new, 1))
  found = read_asf(files[0])
  assert (found.metres, found.channels) == (expected.metres, expected.channels)
  for name, bone in expected.bones.items():
    np.testing.assert_array_equal(found.bones[name].offset, bone.offset)


def test_bones_may_be_called_like_the_words_around_them(files):
  names = {'upper': 'beginning', 'lower': 'bend'}
  text = ASF
  for name, other in names.items():
    text = text.replace(name, other)
  expected = read_asf(files[0]).bones
  files[0].write_text(text)
  found = read_asf(files[0]).bones
  assert [*found] == [names.get(name, name) for name in expected]


def test_comments_and_blank_lines_among_units(files):
  expected = read_asf(files[0])
  files[0].write_text(
    ASF.replace('  mass 1.0', '  # kilograms\n\n  \n  mass 1.0')
  )
  assert read_asf(files[0]).metres == expected.metres


def test_frames_before_frame_1_are_kept(files):
  asf = read_asf(files[0])
  expected = read_amc(files[1], asf)
  for newline in ('\n', '\r\n'):
    counted = AMC.replace('\n2\n', '\n1\n').replace(
      'DEGREES\n1\n', 'DEGREES\n0\n'
    )
    files[1].write_bytes(counted.replace('\n', newline).encode())
    for name, array in read_amc(files[1], asf).items():
      np.testing.assert_array_equal(array, expected[name])
  files[1].write_text(AMC.replace('DEGREES\n', 'DEGREES\nupper 5 -6\n'))
  with pytest.raises(UserError, match='01_01.amc:4: not an .amc motion'):
    read_amc(files[1], asf)


@pytest.mark.parametrize(
  'header',
  [
    *(':RADIANS', ': radians', ':RADIANS # foo', ':ANGLE RADIANS'),
    '#' + 'x' * 5000 + '\n:RADIANS',
  ],
)
@pytest.mark.parametrize('newline', ['\n', '\r\n'])
def test_radians(files, header, newline):
  asf = read_asf(files[0])
  expected = read_amc(files[1], asf)
  values = {
    '10 20 30': (10, 20, 30),
    '5 -6 7.5': (5, -6, 7.5),
    '1e1 -20': (10, -20),
  }
  text = AMC.replace(':DEGREES', header)
  for degrees, numbers in values.items():
    radians = ' '.join(repr(np.pi * n / 180) for n in numbers)
    text = text.replace(
      degrees, radians.replace('np.float64(', '').replace(')', '')
    )
  files[1].write_bytes(text.replace('\n', newline).encode())
  for name, array in read_amc(files[1], asf).items():
    np.testing.assert_allclose(array, expected[name], atol=1e-9)


def test_missing_files(tmp_path, files):
  with pytest.raises(UserError, match='No such file'):
    read_asf(tmp_path / 'no.asf')
  with pytest.raises(UserError, match='No such file'):
    read_amc(tmp_path / 'no.amc', read_asf(files[0]))
