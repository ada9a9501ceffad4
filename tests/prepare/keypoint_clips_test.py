import numpy as np
import pytest
from detections import as_alphapose, as_coco, coco, people, write

from semgcn_jax.data.npz import read_poses_2d
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.prepare import convert
from semgcn_jax.prepare.convert import Options


def test_names_of_other_datasets_stay(tmp_path):
  write(tmp_path / 's' / 'S5' / 'Walk 05_01.0.json', as_coco(people(4, 17)))
  options = Options(dataset='cmu', detections_name='coco')
  [file] = convert.prepare(tmp_path / 's', tmp_path / 'data', options)
  assert [*read_poses_2d(file)['S5']] == ['Walk 05_01']


def test_other_files_are_no_views(tmp_path):
  write(tmp_path / 'v' / 'cmu_v1.0' / 'package.json', {})
  with pytest.raises(SettingError, match='holds no known files'):
    convert.prepare(tmp_path / 'v' / 'cmu_v1.0', tmp_path, Options())


def test_prepare_writes_every_view(tmp_path, capsys):
  source = tmp_path / 'source'
  views = {}
  for action in ('Walking 1', 'TakingPhoto'):
    for camera, serial in enumerate((54138969, 55011271)):
      person = people(6 + camera, 17, seed=camera)
      if camera:
        write(source / 'S1' / f'{action}.{serial}.json', as_coco(person))
      else:
        folder = source / 'S1' / f'{action}.{serial}'
        write(folder / 'alphapose-results.json', as_alphapose(person))
      views[action.replace('Taking', ''), camera] = person
  [file] = convert.prepare(
    source, tmp_path / 'data', Options(detections_name='hrnet')
  )
  assert file.name == 'data_2d_h36m_hrnet.npz'
  assert 'S1 2 12 2' in ' '.join(capsys.readouterr().out.split())
  with np.load(file, allow_pickle=True) as archive:
    poses = archive['positions_2d'].item()
  for (action, camera), person in views.items():
    np.testing.assert_allclose(
      poses['S1'][action][camera], coco(person), rtol=1e-5
    )
  with pytest.raises(
    SettingError, match='`detections_name=`, .* were found, such as'
  ):
    convert.prepare(source, tmp_path / 'data', Options())
  with pytest.raises(SettingError, match='`joint_set=lego`: choose from'):
    options = Options(detections_name='a', joint_set='lego')
    convert.prepare(source, tmp_path / 'data', options)


def test_a_camera_that_is_none(tmp_path):
  good = as_coco(people(4, 17))
  with pytest.raises(UserError, match='777 is not a camera'):
    write(tmp_path / 'x' / 'S1' / 'Walk.777.json', good)
    options = Options(detections_name='a')
    convert.prepare(tmp_path / 'x', tmp_path / 'data', options)


def test_files_of_macos_and_empty_views(tmp_path, capsys):
  source = tmp_path / 'source'
  for camera in (0, 1):
    write(source / 'S1' / f'Walk.{camera}.json', as_coco(people(4, 17)))
    write(source / 'S1' / f'._Walk.{camera}.json', 'x')
    write(source / '__MACOSX' / 'S1' / f'Walk.{camera}.json', 'x')
  write(source / 'S1' / 'Sit.0.json', as_coco(people(4, 17)))
  write(source / 'S1' / 'Sit.1.json', [])
  for i, entry in enumerate(as_coco(people(4, 17))):
    for camera in (0, 1):
      folder = source / 'S1' / f'Run.{camera}'
      write(folder / f'img.{i:04d}.json', [{'keypoints': entry['keypoints']}])
  options = Options(dataset='mine', detections_name='a')
  [file] = convert.prepare(source, tmp_path / 'data', options)
  assert sorted(read_poses_2d(file)['S1']) == ['Run', 'Walk']
  out = capsys.readouterr().out
  assert "S1 'Sit' camera 1: nobody found" in out
  assert "S1 'Sit' lacks the view of camera 1; left out" in out
