import numpy as np
import pytest
from h36m_files import motion
from pictured import DAMAGE, encoded, gradient

from semgcn_jax.config import DataConfig
from semgcn_jax.data import datasets, h36m, h36m_images
from semgcn_jax.data.npz import write_poses_3d
from semgcn_jax.data.pairs import View, make_pairs
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry.cameras import h36m_cameras, project, world_to_camera
from semgcn_jax.geometry.skeletons import H36M

CAMERAS = ('54138969', '55011271', '58860488', '60457274')
CLIPS = {'S1': ['Walking 1', 'Eating 2', 'Photo'], 'S11': ['Phoning 3']}
# Where each clip's frames of the first camera are, in the two layouts.
PLACES = {
  ('S1', 'Walking 1'): ('s_01_act_14_subact_01', 'S1/Walking-1'),
  ('S1', 'Eating 2'): ('s_01_act_04_subact_01', 'S1/Eating-1'),
  ('S1', 'Photo'): ('s_01_act_12_subact_02', 'S1/TakingPhoto-2'),
  ('S11', 'Phoning 3'): ('s_11_act_06_subact_01', 'S11/Phoning-1'),
}


@pytest.fixture(scope='module')
def jpegs():
  """A frame of each size that the cameras have, of fifty colours."""
  return {
    size: [encoded(gradient(size[1], size[0], 3 * n)) for n in range(5)]
    for size in ((1000, 1000), (1000, 1002))
  }


def place(layout, subject, clip, camera, frame):
  numbered, named = PLACES[subject, clip]
  if layout == 'named':
    return f'{named}/imageSequence/{CAMERAS[camera]}/img_{frame + 1:06}.jpg'
  name = f'{numbered}_ca_{camera + 1:02}'
  return f'{name}/{name}_{frame + 1:06}.jpg'


@pytest.fixture(params=['numbered', 'named'])
def data(request, tmp_path, jpegs):
  """A folder of poses with every third frame, and where each frame is."""
  poses = {
    subject: {clip: motion()[5 * n : 5 * n + 13] for n, clip in enumerate(c)}
    for subject, c in CLIPS.items()
  }
  write_poses_3d(poses, tmp_path / 'data_3d_h36m.npz')
  for subject, clips in poses.items():
    for clip, frames in clips.items():
      for number, camera in enumerate(h36m_cameras()[subject]):
        for frame in range(0, len(frames), 3):
          path = tmp_path / place(request.param, subject, clip, number, frame)
          path.parent.mkdir(parents=True, exist_ok=True)
          size = camera.width, camera.height
          path.write_bytes(jpegs[size][frame // 3])
  return tmp_path, request.param


def settings(folder, **changes):
  given = {
    'dataset': 'h36m',
    'data_dir': str(folder),
    'image_dir': str(folder),
    'train_subjects': ('S1',),
    'test_subjects': ('S11',),
    'downsample': 3,
    'crop_size': 32,
  }
  return DataConfig(**given | changes)


def test_finds_the_frame_and_the_person_of_each_pair(data):
  folder, layout = data
  dataset = datasets.load(settings(folder), H36M)
  expected = [
    str(folder / place(layout, 'S1', clip, camera, frame))
    for clip in CLIPS['S1']
    for camera in range(4)
    for frame in range(0, 13, 3)
  ]
  train = dataset.train
  assert list(train.images.paths) == expected
  assert len(dataset.test) == len(dataset.test.images) == 20
  assert train.images[:3].shape == (3, 32, 32, 3)
  # The picture's colours are its places, and tell where the crop is.
  row = 5 + 2  # The second camera, the third of its frames.
  camera = h36m_cameras()['S1'][1]
  pixels = project(world_to_camera(motion()[6], camera), camera)
  low, high = pixels.min(0), pixels.max(0)
  side = (high - low).max() * 1.3
  corner = (low + high) / 2 - side / 2
  np.testing.assert_allclose(
    train.inputs[row], (pixels - corner) / side * 2 - 1, atol=1e-4
  )
  red, green, _ = train.images[np.array([row])][0, 16, 16]
  middle = corner + side * 16.5 / 32
  size = np.array([camera.width, camera.height])
  np.testing.assert_allclose([red, green], middle / size * 255, atol=2)
  without = datasets.load(settings(folder, image_dir=''), H36M)
  np.testing.assert_array_equal(train.targets, without.train.targets)
  assert train.action_names == without.train.action_names


@pytest.mark.parametrize('kind', DAMAGE)
def test_damage_is_left_out_of_training_and_refused_in_scoring(
  data, kind, caplog
):
  folder, layout = data

  def damage(*frame):
    path = folder / place(layout, *frame)
    path.unlink()
    content = DAMAGE[kind](gradient(1000, 1000))
    if content is not None:
      path.write_bytes(content)

  damage('S1', 'Walking 1', 0, 3)
  dataset = datasets.load(settings(folder), H36M)
  assert len(dataset.train) == len(dataset.train.images) == 59
  (message,) = caplog.messages
  assert f'1 {kind}' in message and '000004.jpg' in message
  assert str(folder) in message
  damage('S11', 'Phoning 3', 3, 12)
  with pytest.raises(UserError, match='000013.jpg'):
    datasets.load(settings(folder), H36M, train=False)


def test_missing_folders_and_frames_are_counted(data, caplog):
  folder, layout = data
  (folder / place(layout, 'S1', 'Photo', 2, 0)).parent.rename(folder / 'away')
  dataset = datasets.load(settings(folder), H36M)
  assert len(dataset.train) == 55 and '5 missing' in caplog.messages[0]
  with pytest.raises(UserError, match='32 of 52'):
    # The frames 1, 2, 4, ... are not there.
    datasets.load(settings(folder, test_downsample=1), H36M, train=False)
  frame = folder / place(layout, 'S11', 'Phoning 3', 0, 0)
  frame.write_bytes(encoded(gradient(256, 256)))
  with pytest.raises(UserError, match='another size'):
    datasets.load(settings(folder), H36M, train=False)


def test_each_clip_is_one_of_the_two_of_its_action():
  # The clips of data_3d_h36m.npz, as the numbers that their names end in.
  several = {
    'S1': {'Eating': ['', '2'], 'Sitting': ['1', '2']},
    'S5': {'Discussion': ['2', '3'], 'Photo': ['', '2']},
    'S6': {'Waiting': ['', '3'], 'Posing': ['', '2']},
    'S7': {'Phoning': ['', '2'], 'Walking': ['1', '2']},
    'S8': {'WalkTogether': ['1', '2'], 'Directions': ['', '1']},
    'S9': {'Discussion': ['1', '2'], 'SittingDown': ['', '1']},
    'S11': {'Phoning': ['2', '3'], 'Smoking': ['', '2']},
  }
  for subject, actions in several.items():
    for action, endings in actions.items():
      numbers = {
        h36m_images.repetition(subject, f'{action} {ending}'.strip())
        for ending in endings
      }
      assert numbers == {1, 2}, (subject, action)
  for subject, clip, number in (
    ('S1', 'Directions 1', 1),
    ('S1', 'Directions', 2),
    ('S5', 'SittingDown', 1),
    ('S9', 'SittingDown 1', 2),
    ('S11', 'Phoning 2', 2),
  ):
    assert h36m_images.repetition(subject, clip) == number
  assert set(h36m_images.ACTIONS) == set(h36m.ACTIONS)


def test_refuses_what_has_no_pictures(tmp_path):
  for subject, clip in (
    ('S1', 'Eating 1'),
    ('S2', 'Eating'),
    ('S1', 'Jumping'),
  ):
    with pytest.raises(UserError, match=clip):
      h36m_images.frame_prefix(tmp_path, View(subject, clip, 0))
  with pytest.raises(UserError, match='4 cameras'):
    h36m_images.frame_prefix(tmp_path, View('S1', 'Eating', 4))
  write_poses_3d(
    {s: {'Walking 1': motion()[:5]} for s in ('S1', 'S11')},
    tmp_path / 'data_3d_h36m.npz',
  )
  with pytest.raises(SettingError, match='no such folder'):
    datasets.load(settings(tmp_path, image_dir=str(tmp_path / 'x')), H36M)
  with pytest.raises(SettingError, match='has no images'):
    datasets.load(settings(tmp_path, dataset='synthetic'), H36M)
  with pytest.raises(UserError, match='none of the images'):
    datasets.load(settings(tmp_path), H36M)


def test_pairs_know_their_views_and_frames(tmp_path):
  write_poses_3d(
    {'S1': {clip: motion()[:7] for clip in CLIPS['S1']}},
    tmp_path / 'data_3d_h36m.npz',
  )
  source = datasets.read(settings(tmp_path))
  pairs = make_pairs(source, H36M, subjects=('S1',), actions=(), downsample=3)
  rows = [
    (View('S1', clip, camera), frame)
    for clip in CLIPS['S1']
    for camera in range(4)
    for frame in (0, 3, 6)
  ]
  found = [
    (pairs.view_list[view], frame)
    for view, frame in zip(pairs.views, pairs.frames, strict=True)
  ]
  assert found == rows
