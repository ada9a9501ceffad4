import numpy as np
import pytest
from detections import (
  as_alphapose,
  as_annotations,
  as_coco,
  as_mmpose,
  coco,
  openpose,
  people,
  read_view,
  write,
)

from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.prepare import views as view_lib


def test_the_surest_person_is_taken(tmp_path):
  person = people(3, 25)
  other = people(3, 25, seed=1) * (1, 1, 0.1)
  for i in range(3):
    both = np.stack([other[i], person[i]])
    write(tmp_path / f'{i}.json', openpose(both))
  view = read_view(sorted(tmp_path.iterdir()))
  np.testing.assert_allclose(view[:, 0], person[:, 8], rtol=1e-5)


def test_missing_joints_and_frames_are_interpolated(tmp_path):
  person = people(9, 25)
  person[4:6, 4] = 0  # OpenPose's sign of a wrist that it does not see.
  person[0, 4] = 0
  person[2, 15:17] = 0  # An eye and an ear are enough for the head.
  entries = [openpose(p[None]) for p in person]
  entries[7] = openpose(person[:0])
  for i, entry in enumerate(entries):
    write(tmp_path / f'{i}.json', entry)
  view = read_view(sorted(tmp_path.iterdir()))
  wrist = person[:, 4]
  third = (wrist[6, :2] - wrist[3, :2]) / 3
  np.testing.assert_allclose(view[4, 15, :2], wrist[3, :2] + third, rtol=1e-5)
  np.testing.assert_allclose(view[0, 15, :2], wrist[1, :2], rtol=1e-5)
  assert view[4, 15, 2] == view[0, 15, 2] == 0
  middle = (person[6, 8, :2] + person[8, 8, :2]) / 2
  np.testing.assert_allclose(view[7, 0, :2], middle, rtol=1e-5)
  assert (view[7, :, 2] == 0).all()
  head = person[2, 17:19].mean(axis=0)
  np.testing.assert_allclose(view[2, 9, :2], head[:2], rtol=1e-5)
  np.testing.assert_allclose(view[2, 9, 2], head[2] / 2, rtol=1e-5)


@pytest.mark.parametrize('first', [0, 1])
def test_frames_count_from_0_or_1(tmp_path, first):
  person = people(30, 17)
  person = person[[i for i in range(30) if i not in (3, 4, 29)]]
  kept = [i for i in range(29) if i not in (3, 4)]
  entries = as_coco(person)
  for entry, frame in zip(entries, kept, strict=False):
    entry['image_id'] = frame + first
  view = read_view([write(tmp_path / 'a.json', entries)])
  assert len(view) == 29
  np.testing.assert_allclose(view[5], coco(person)[3], rtol=1e-5)


def test_frames_without_a_person_count(tmp_path):
  """Also at the start and the end, where a form names them."""
  person = people(10, 25)
  files = []
  for i in range(10):
    entry = openpose(person[i][None] if 2 <= i < 8 else person[:0])
    files.append(write(tmp_path / f'v_{i:012d}_keypoints.json', entry))
  view = read_view(files)
  assert len(view) == 10
  np.testing.assert_allclose(view[2:8, 0], person[2:8, 8], rtol=1e-5)
  np.testing.assert_array_equal(view[1, 0, :2], view[2, 0, :2])
  for first in (0, 1):
    frames = as_mmpose(people(6, 17))['instance_info']
    frames = [{**f, 'frame_id': i + first} for i, f in enumerate(frames)]
    frames[0]['instances'] = frames[5]['instances'] = []
    view = read_view([write(tmp_path / 'a.json', frames)])
    assert len(view) == 6
    np.testing.assert_allclose(view[1], coco(people(6, 17))[1], rtol=1e-5)
  annotations = as_annotations(people(6, 17))
  del annotations['annotations'][0]
  annotations['annotations'].append({'image_id': 100, 'iscrowd': 1})
  view = read_view([write(tmp_path / 'a.json', annotations)])
  assert len(view) == 6
  # AlphaPose names its frames as the images are, and those without a person
  # not at all: of one view alone, the first that is named is the first.
  view = read_view(
    [write(tmp_path / 'a.json', as_alphapose(people(6, 17))[1:])]
  )
  assert len(view) == 5


def coco_view(tmp_path, camera, person, numbers):
  entries = as_coco(person)
  for entry, number in zip(entries, numbers, strict=True):
    entry['image_id'] = number
  path = write(tmp_path / f'{camera}.json', entries)
  return view_lib.read_view([path])


def test_the_origin_is_that_of_the_whole_clip(tmp_path):
  """Of four cameras one lacks frame 0: it must not come out early."""
  for first in (0, 1, 7):
    views = {}
    for camera in range(4):
      used = slice(1 if camera == 2 else 0, 60)
      person = people(60, 17, seed=camera)[used]
      numbers = [*range(first, first + 60)][used]
      views[camera] = coco_view(tmp_path, camera, person, numbers)
    whole, notes = view_lib.align(views)
    for camera, poses in whole.items():
      expected = coco(people(60, 17, seed=camera))
      assert len(poses) == 60
      np.testing.assert_allclose(poses[1:], expected[1:], rtol=1e-5)
    np.testing.assert_array_equal(whole[2][0, :, :2], whole[2][1, :, :2])
    assert (whole[2][0, :, 2] == 0).all()
    filled = 'camera 2: 1 of 60 frames have nobody'
    assert [note for note in notes if note.startswith(filled)]
    assert (f'frame {first} is taken as the first' in notes) == (first > 0)


def test_the_3d_and_a_flag_tell_the_origin(tmp_path):
  view = coco_view(tmp_path, 0, people(58, 17), range(2, 60))
  for frames_3d, late in ((60, 2), (59, 1), (40, 0), (None, 0)):
    whole, _ = view_lib.align({0: view}, frames_3d=frames_3d)
    assert len(whole[0]) == 58 + late, frames_3d
  whole, _ = view_lib.align({0: view}, first_frame=1)
  assert len(whole[0]) == 59
  with pytest.raises(SettingError, match='`first_frame=3`: .* frame 2'):
    view_lib.align({0: view}, first_frame=3)


def test_named_frames_start_at_the_first_file(tmp_path):
  files = [
    write(tmp_path / f'v_{i:012d}_keypoints.json', openpose(p[None]))
    for i, p in enumerate(people(6, 25), 100)
  ]
  view = view_lib.read_view(files)
  whole, _ = view_lib.align({0: view}, frames_3d=200)
  assert len(whole[0]) == 6
  np.testing.assert_allclose(whole[0][0, 0], people(6, 25)[0, 8], rtol=1e-5)


def test_a_view_of_nobody_is_empty(tmp_path):
  view = view_lib.read_view([write(tmp_path / 'a.json', [])])
  assert view.poses.shape == (0, 16, 3)


def test_nothing_is_invented_before_a_view_begins(tmp_path):
  def align(*numbers, **options):
    return view_lib.align(
      {
        camera: coco_view(tmp_path, camera, people(len(n), 17), n)
        for camera, n in enumerate(numbers)
      },
      **options,
    )

  with pytest.raises(UserError, match='1.json: begins with frame 60, but'):
    align(range(60), range(60, 120))
  with pytest.raises(UserError, match='begins with frame 10000000000, but'):
    align(range(60), range(10**10, 10**10 + 60))
  with pytest.raises(SettingError, match='`first_frame=0`: .* frame 100, too'):
    align(range(100, 160), first_frame=0)
  with pytest.raises(UserError, match='begins with frame 50'):
    align(range(50, 60), frames_3d=60)
  whole, notes = align(range(60), range(6, 60))
  assert [len(poses) for poses in whole.values()] == [60, 60]
  assert notes == [
    'camera 1: 6 of 60 frames have nobody; interpolated from their neighbors'
  ]


def test_views_whose_files_name_every_frame_begin_together(tmp_path):
  views = {}
  for camera in (0, 1):
    files = [
      write(tmp_path / f'{camera}' / f'{i + camera}.json', openpose(p[None]))
      for i, p in enumerate(people(10, 25))
    ]
    views[camera] = view_lib.read_view(files)
  with pytest.raises(
    UserError, match='from the same .*`first_frame=0` to fill'
  ):
    view_lib.align(views)
  whole, notes = view_lib.align(views, first_frame=0)
  assert [len(poses) for poses in whole.values()] == [10, 11]
  assert 'camera 1: 1 of 11 frames have nobody' in notes[0]
