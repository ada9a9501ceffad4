import io
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hostile import Hostile

from semgcn_jax.data import npz
from semgcn_jax.errors import UserError
from semgcn_jax.geometry.skeletons import H36M

POSES = {
  'S1': {'Walk 1': np.arange(2 * 16 * 3, dtype=np.float32).reshape(2, 16, 3)}
}


def write_pickle(path, key, value, protocol=2):
  """An npz of one object array, as NumPy writes it with any protocol."""
  header = io.BytesIO()
  np.lib.format.write_array_header_1_0(
    header, {'descr': '|O', 'fortran_order': False, 'shape': ()}
  )
  array = np.empty((), object)
  array[()] = value
  body = pickle.dumps(array, protocol=protocol)
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr(f'{key}.npy', header.getvalue() + body)


def test_reads_what_numpy_writes(tmp_path):
  path = tmp_path / 'poses.npz'
  np.savez_compressed(path, positions_3d=POSES)
  poses = npz.read_poses_3d(path)
  np.testing.assert_array_equal(poses['S1']['Walk 1'], POSES['S1']['Walk 1'])
  views = [np.ones((2, 16, 2)), np.zeros((3, 16, 3))]
  np.savez(path, positions_2d={'S1': {'Walk 1': views}}, metadata={'n': 1})
  first, second = npz.read_poses_2d(path)['S1']['Walk 1']
  assert first.shape == (2, 16, 2) and second.shape == (3, 16, 2)


@pytest.mark.parametrize('protocol', range(6))
def test_reads_every_pickle_protocol(tmp_path, protocol):
  path = tmp_path / 'poses.npz'
  value = {'S1': {'Walk 1': np.ones((2, 16, 3)), 'Run': np.zeros((1, 16, 3))}}
  write_pickle(path, 'positions_3d', value, protocol)
  assert npz.read_poses_3d(path)['S1']['Walk 1'].sum() == 96


class Reduce:
  """Pickles as a call, with a state."""

  def __init__(self, *reduced):
    self.reduced = reduced

  def __reduce__(self):
    return self.reduced


_dtype_state = np.dtype('V8').__reduce__()[2]
_object_bytes = b'A' * 8


@pytest.mark.parametrize(
  'hostile',
  [
    Reduce(np.ndarray, ((1,), np.dtype('O'), _object_bytes)),
    Reduce(np.array(0).__reduce__()[0], (np.ndarray, (1,), b'O')),
    Reduce(np.float64(0).__reduce__()[0], (np.dtype('O'), 'x')),
    Reduce(
      np.float64(0).__reduce__()[0],
      (np.dtype([('a', 'O')]), _object_bytes),
    ),
    np.zeros(1, dtype=[('a', 'O')]),
    np.zeros((2, 2), dtype=object),
    Reduce(np.dtype, ('M8[ns]',)),
    Reduce(np.ndarray, ((10**13,),)),
  ],
)
def test_numpy_cannot_be_turned_against_us(tmp_path, hostile):
  path = tmp_path / 'poses.npz'
  for protocol in (2, 5):
    write_pickle(path, 'positions_3d', {'S1': {'Walk': hostile}}, protocol)
    code = f"""
import pathlib
from semgcn_jax.data import npz
from semgcn_jax.errors import UserError
from semgcn_jax.geometry.skeletons import H36M
try:
  npz.read_poses_3d(pathlib.Path({str(path)!r}))
except UserError as error:
  print('refused', error)
"""
    result = subprocess.run(
      [sys.executable, '-c', code], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith('refused')


def test_a_pickled_function_is_refused_and_does_not_run(tmp_path):
  path, trace = tmp_path / 'poses.npz', tmp_path / 'it_ran'
  np.savez(path, positions_3d={'S1': {'Walk': Hostile(str(trace))}})
  with pytest.raises(
    UserError, match=r'poses.npz: refused, it would run .*mkdir'
  ):
    npz.read_poses_3d(path)
  assert not trace.exists()


def test_reads_fortran_order_other_bytes_and_object_lists(tmp_path):
  path = tmp_path / 'poses.npz'
  poses = np.random.default_rng(0).normal(size=(4, 16, 3))
  views = np.empty(2, object)
  views[:] = [poses[:3, :, :2], poses[..., :2]]
  np.savez(
    path,
    positions_3d={
      'S1': {'a': np.asfortranarray(poses), 'b': poses.astype('>f4')}
    },
    positions_2d={'S1': {'a': views}},
  )
  for array in npz.read_poses_3d(path)['S1'].values():
    np.testing.assert_array_equal(array, poses.astype(np.float32))
  lengths = [len(view) for view in npz.read_poses_2d(path)['S1']['a']]
  assert lengths == [3, 4]


@pytest.mark.parametrize('share', [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_named(tmp_path, share):
  path = tmp_path / 'poses.npz'
  np.savez_compressed(path, positions_3d=POSES)
  whole = path.read_bytes()
  path.write_bytes(whole[: int(len(whole) * share)])
  with pytest.raises(UserError, match=r'poses.npz: cut off'):
    npz.read_poses_3d(path)


def test_arrays_that_are_there_many_times(tmp_path):
  path = tmp_path / 'poses.npz'
  clip = np.zeros((5000, 16, 3), np.float32)
  few = {f'Walk {i}': clip for i in range(3)}
  np.savez_compressed(path, positions_3d={'S1': few})
  assert len(npz.read_poses_3d(path)['S1']) == 3
  many = {f'Walk {i}': clip for i in range(3000)}
  np.savez_compressed(path, positions_3d={'S1': many})
  with pytest.raises(UserError, match='hold 2,880,000,000 bytes, more than'):
    npz.read_poses_3d(path)
  views = {'Walk': [clip[..., :2]] * 3000}
  np.savez_compressed(path, positions_2d={'S1': views})
  with pytest.raises(UserError, match='bytes, more than'):
    npz.read_poses_2d(path)


def test_other_mistakes(tmp_path):
  path = tmp_path / 'poses.npz'
  with pytest.raises(UserError, match='no such file'):
    npz.read_poses_3d(path)
  np.savez(path, something=POSES)
  with pytest.raises(UserError, match='holds no positions_3d'):
    npz.read_poses_3d(path)
  np.savez(path, positions_3d=np.ones(3))
  with pytest.raises(UserError, match='not a pickled dict'):
    npz.read_poses_3d(path)
  np.savez(path, positions_3d={'S1': {'Walk': np.ones((2, 16))}})
  with pytest.raises(UserError, match=r"S1 'Walk' is not an array \[frames"):
    npz.read_poses_3d(path)
  np.savez(path, positions_3d={'S1': {'Walk': 'poses'}})
  with pytest.raises(UserError, match='is not an array'):
    npz.read_poses_3d(path)
  np.savez(path, positions_3d={'S1': {'Walk': np.ones((2, 16, 4))}})
  with pytest.raises(UserError, match='is not an array'):
    npz.read_poses_3d(path)
  np.savez(path, positions_3d={'S1': {'Walk': np.full((2, 16, 3), '1')}})
  with pytest.raises(UserError, match='is not an array'):
    npz.read_poses_3d(path)
  np.savez(path, positions_2d={'S1': {'Walk': 5}})
  with pytest.raises(UserError, match='not a list with an array per camera'):
    npz.read_poses_2d(path)
  np.savez(path, positions_3d={1: {2: np.ones((2, 16, 3))}})
  assert list(npz.read_poses_3d(path)['1']) == ['2']
  np.savez(path, positions_3d={})
  with pytest.raises(UserError, match='not a filled dict'):
    npz.read_poses_3d(path)


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
  path = tmp_path / 'data_3d_cmu.npz'
  poses = {'S1': {'Walk': np.zeros((2, 16, 3), np.float32)}}
  npz.write_poses_3d(poses, path)
  before = path.read_bytes()

  def interrupted(file, **arrays):
    file.write(b'half')
    raise KeyboardInterrupt

  monkeypatch.setattr(np, 'savez_compressed', interrupted)
  with pytest.raises(KeyboardInterrupt):
    npz.write_poses_3d(poses, path)

  def full(file, **arrays):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(np, 'savez_compressed', full)
  with pytest.raises(UserError, match='No space left on device'):
    npz.write_poses_3d(poses, path)
  assert path.read_bytes() == before
  assert [p.name for p in tmp_path.iterdir()] == [path.name]
  with pytest.raises(UserError, match='cannot be written'):
    npz.write_poses_3d(poses, path / 'data' / 'poses.npz')


def test_written_2d_keeps_confidences_and_metadata(tmp_path):
  path = tmp_path / 'data_2d_cmu_hrnet.npz'
  view = np.random.default_rng(0).normal(size=(4, 16, 3)).astype(np.float32)
  npz.write_poses_2d({'S1': {'Walk': [view, view + 1]}}, H36M, path)
  read = npz.read_poses_2d(path)['S1']['Walk']
  np.testing.assert_array_equal(read[1], view[..., :2] + 1)
  # As others read it.
  with np.load(path, allow_pickle=True) as file:
    positions, metadata = file['positions_2d'].item(), file['metadata'].item()
  np.testing.assert_array_equal(positions['S1']['Walk'][0], view)
  assert metadata['num_joints'] == 16
  assert metadata['keypoints_symmetry'] == [
    [4, 5, 6, 10, 11, 12],
    [1, 2, 3, 13, 14, 15],
  ]
