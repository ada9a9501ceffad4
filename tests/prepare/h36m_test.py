import h5py
import numpy as np
import pytest
from h36m_files import (
  MPII,
  WRITERS,
  millimetres,
  motion,
  recording,
  tar_of,
  write_cdf,
  write_h5,
  zip_of,
)

from semgcn_jax.data.h36m import ACTIONS
from semgcn_jax.data.npz import read_poses_2d, read_poses_3d
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry.cameras import h36m_cameras
from semgcn_jax.prepare.convert import Options, prepare
from semgcn_jax.prepare.h36m import CAMERAS, canonical, read_recording

# As the dataset names files -> as the field names actions.
NAMES = {
  'Directions': 'Directions',
  'Directions 1': 'Directions 1',
  'TakingPhoto 1': 'Photo 1',
  'WalkingDog': 'WalkDog',
  'WalkTogether': 'WalkTogether',
}
SUBJECTS = ('S1', 'S11')


def write_source(folder, kind):
  """{(subject, canonical action): `[T, 96]`} of what is there."""
  written = {}
  for subject in SUBJECTS:
    for index, (name, action) in enumerate(NAMES.items()):
      values = millimetres(motion(subject='S5')[index : index + 7])
      # h36m.zip has the canonical names already.
      name = action if kind == 'h5' else name
      WRITERS[kind](recording(folder, kind, subject, name), values)
      written[subject, action] = values
  return written


def rotation(w, x, y, z):
  return np.array(
    [
      [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
      [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
      [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
  )


def projected(point, camera):
  """One joint by OpenCV's formula, whose tangential p1 and p2 are swapped."""
  x, y, z = rotation(*camera.orientation).T @ (
    point - np.array(camera.translation)
  )
  x, y = x / z, y / z
  r2 = x * x + y * y
  k1, k2, k3 = camera.radial_distortion
  p1, p2 = camera.tangential_distortion
  factor = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + p1 * x + p2 * y
  x, y = x * factor + p1 * r2, y * factor + p2 * r2
  (fx, fy), (cx, cy) = camera.focal_length, camera.center
  return fx * x + cx, fy * y + cy


@pytest.mark.parametrize(
  'kind',
  [
    'cdf',
    *(pytest.param(k, marks=pytest.mark.slow) for k in ('cdf.mat', 'h5')),
  ],
)
def test_every_source_gives_the_same_arrays(tmp_path, kind, capsys):
  written = write_source(tmp_path / 'source', kind)
  files = prepare(tmp_path / 'source', tmp_path / 'data', Options())
  names = ['data_3d_h36m.npz', 'data_2d_h36m_gt.npz']
  assert [file.name for file in files] == names
  assert {p.name for p in (tmp_path / 'data').iterdir()} == set(names)
  poses = read_poses_3d(files[0])
  del written['S11', 'Directions']  # Corrupt.
  assert {(s, a) for s in poses for a in poses[s]} == set(written)
  for (subject, action), values in written.items():
    expected = (values.reshape(-1, 32, 3) / 1000.0).astype(np.float32)
    np.testing.assert_array_equal(poses[subject][action], expected)
  views = read_poses_2d(files[1])['S11']['Photo 1']
  for camera, view in zip(h36m_cameras()['S11'], views, strict=True):
    assert view.shape == (7, 16, 2)
    point = poses['S11']['Photo 1'][3, 27]  # Right wrist.
    np.testing.assert_allclose(view[3, 15], projected(point, camera), atol=1e-3)
  out = capsys.readouterr().out
  assert 'note: missing: all 30 recordings of S5\n' in out
  assert 'note: missing: S1 has 5 of 30 recordings, not Discussion (2),' in out
  assert 'Photo (1)' in out and 'Directions (' not in out
  assert 'S11 4 28 4' in ' '.join(out.split())


@pytest.mark.slow
def test_archives_of_every_kind(tmp_path):
  data = {}
  for kind in WRITERS:
    write_source(tmp_path / kind, kind)
  (tmp_path / 'tgz').mkdir()
  for subject in SUBJECTS:
    (tmp_path / 'one').mkdir()
    (tmp_path / 'cdf' / subject).rename(tmp_path / 'one' / subject)
    archive = tmp_path / 'tgz' / f'Poses_D3_Positions_{subject}.tgz'
    tar_of(tmp_path / 'one', archive)
    (tmp_path / 'one' / subject).rename(tmp_path / 'cdf' / subject)
    (tmp_path / 'one').rmdir()
  zip_of(tmp_path / 'h5', tmp_path / 'h36m.zip')
  tar_of(tmp_path / 'cdf.mat', tmp_path / 'mat.tar', 'w')
  for source in ('cdf', 'tgz', 'h36m.zip', 'mat.tar'):
    out = tmp_path / 'data' / source
    files = prepare(tmp_path / source, out, Options())
    assert {p.name for p in out.iterdir()} == {f.name for f in files}
    data[source] = (read_poses_3d(files[0]), read_poses_2d(files[1]))
  for source in ('tgz', 'h36m.zip', 'mat.tar'):
    for ours, expected in zip(data[source], data['cdf'], strict=True):
      assert {s: [*a] for s, a in ours.items()} == {
        s: [*a] for s, a in expected.items()
      }
      for subject, actions in expected.items():
        for action, poses in actions.items():
          np.testing.assert_array_equal(ours[subject][action], poses)


@pytest.mark.slow
def test_stacked_hourglass(tmp_path, capsys):
  """Pretrained inside h36m.zip, fine-tuned in an archive of its own."""
  rng = np.random.default_rng(0)
  written = {}
  write_source(tmp_path / 'h36m', 'h5')
  for subject in SUBJECTS:
    for action in ('Directions_1', 'TakingPhoto', 'Directions', '_ALL'):
      for camera, serial in enumerate(CAMERAS):
        poses = rng.uniform(0, 1000, (6 + camera, 16, 2))
        for place in ('StackedHourglass', 'StackedHourglassFineTuned240'):
          root = 'h36m' if place == 'StackedHourglass' else 'tuned'
          name = f'{action}.{serial}.h5'
          write_h5(tmp_path / root / subject / place / name, poses, 'poses')
        action_name = action.replace('Taking', '').replace('_', ' ')
        written[subject, action_name, camera] = poses
  (tmp_path / 'source').mkdir()
  zip_of(tmp_path / 'h36m', tmp_path / 'source' / 'h36m.zip')
  tar_of(tmp_path / 'tuned', tmp_path / 'source' / 'sh_ft_240.tar.gz')
  files = prepare(tmp_path / 'source', tmp_path / 'data', Options())
  assert [f.name for f in files] == [
    *('data_3d_h36m.npz', 'data_2d_h36m_gt.npz'),
    *('data_2d_h36m_sh_pt_mpii.npz', 'data_2d_h36m_sh_ft_h36m.npz'),
  ]
  for file in files[2:]:
    poses = read_poses_2d(file)
    assert [*poses['S11']] == ['Directions 1', 'Photo']
    assert [*poses['S1']] == ['Directions', 'Directions 1', 'Photo']
    for (subject, action, camera), values in written.items():
      if (subject, action) != ('S11', 'Directions') and action != ' ALL':
        np.testing.assert_array_equal(
          poses[subject][action][camera], values[:, MPII].astype(np.float32)
        )
  assert 'missing: S1 has 3 of 30' in capsys.readouterr().out


def test_a_missing_view_leaves_its_action_out(tmp_path, capsys):
  for action in ('Eating', 'Posing'):
    for serial in CAMERAS:
      path = tmp_path / 'S1' / 'StackedHourglass' / f'{action}.{serial}.h5'
      write_h5(path, np.ones((2, 16, 2)), 'poses')
  path.with_name('Eating.58860488.h5').unlink()
  [file] = prepare(tmp_path, tmp_path / 'data', Options())
  assert [*read_poses_2d(file)['S1']] == ['Posing']
  expected = "note: S1 'Eating' lacks the view of camera 2; left out\n"
  assert expected in capsys.readouterr().out
  for serial in CAMERAS[:3]:
    path.with_name(f'Posing.{serial}.h5').unlink()
  options = Options(overwrite=True)
  before = file.read_bytes()
  with pytest.raises(UserError, match='nothing to write'):
    prepare(tmp_path, tmp_path / 'data', options)
  assert file.read_bytes() == before


def test_canonical_names():
  assert canonical('TakingPhoto_2') == 'Photo 2'
  assert canonical('WalkingDog 1') == 'WalkDog 1'
  assert canonical('Walking') == 'Walking'
  assert len(ACTIONS) == 15


def test_what_matlab_7_3_saves(tmp_path):
  """It is HDF5: a cell holds a reference, and arrays are transposed."""
  path = recording(tmp_path, 'cdf.mat', 'S1', 'Eating')
  path.parent.mkdir(parents=True)
  good = millimetres(motion())
  with h5py.File(path, 'w') as file:
    file['#refs#/a'] = good.T
    cell = file.create_dataset('data', (1, 1), h5py.ref_dtype)
    cell[0, 0] = file['#refs#/a'].ref
  expected = (good.reshape(-1, 32, 3) / 1000).astype(np.float32)
  np.testing.assert_array_equal(read_recording(path), expected)


@pytest.mark.slow
def test_damage_and_wrong_files(tmp_path):
  good = millimetres(motion())
  place = recording(tmp_path, 'cdf', 'S1', 'Eating')

  def fails(match):
    with pytest.raises(UserError, match=match) as caught:
      prepare(tmp_path, tmp_path / 'data', Options())
    assert '\n' not in str(caught.value)
    assert not list((tmp_path / 'data').iterdir())

  write_cdf(place, good)
  place.write_bytes(place.read_bytes()[:300])
  fails('Eating.cdf: cut off, or not a file of Human3.6M')
  place.write_text('not a recording')
  fails('Eating.cdf: cut off, or not a file of Human3.6M')
  write_cdf(place, good[:, :64])
  fails(r'Eating.cdf: holds an array \[25, 64\], not 96 numbers per frame')
  write_cdf(place, np.tile(good, 2)[:, :78][:24])
  fails(r'holds an array \[24, 78\]')
  good[3, 5] = np.nan
  write_cdf(place, good)
  fails('Eating.cdf: holds NaN or infinity')
  place.unlink()
  place = recording(tmp_path, 'h5', 'S1', 'Eating')
  write_h5(place, np.zeros((5, 64)))
  fails(r'Eating.h5: holds an array \[5, 64\], not 96 numbers per frame')
  write_h5(place, np.zeros((5, 96)), 'poses')
  fails('Eating.h5: cut off, or not a file of Human3.6M')
  place.write_bytes(place.read_bytes()[:1000])
  fails('Eating.h5: cut off, or not a file of Human3.6M')
  place.unlink()
  place = recording(tmp_path, 'cdf.mat', 'S1', 'Eating')
  place.parent.mkdir(parents=True, exist_ok=True)
  place.write_bytes(b'MATLAB 5.0')
  fails('Eating.cdf.mat: cut off')
  place.unlink()
  place = recording(tmp_path, 'h5', 'S77', 'Eating')
  write_h5(place, np.zeros((5, 96)))
  fails('S77 has no cameras')
  place.unlink()
  write_h5(
    tmp_path / 'S1' / 'StackedHourglass' / 'Eating.12345678.h5',
    np.zeros((5, 16, 2)),
    'poses',
  )
  with pytest.raises(UserError, match='12345678 is not a camera'):
    prepare(tmp_path, tmp_path / 'data', Options(overwrite=True))


def test_unknown_sources(tmp_path):
  (tmp_path / 'readme.txt').write_text('hello')
  with pytest.raises(SettingError, match='holds no known files'):
    prepare(tmp_path, tmp_path / 'data', Options())
  with pytest.raises(SettingError, match='neither a folder nor an archive'):
    prepare(tmp_path / 'readme.txt', tmp_path / 'data', Options())
  with pytest.raises(SettingError, match='no such file or folder'):
    prepare(tmp_path / 'nothing', tmp_path / 'data', Options())
