"""Reading clips, with their people told apart."""

import numpy as np
import pytest
from detections import write
from filmed import keypoints_of

from semgcn_jax.detections.clip_files import read_clips
from semgcn_jax.errors import UserError
from semgcn_jax.geometry.joint_sets import JOINT_SETS
from semgcn_jax.pictures.videos import Album


@pytest.fixture
def path(tmp_path):
  """COCO's results of two people, of whom the second comes one frame later."""
  keypoints = keypoints_of(4)
  everybody = [
    (frame, person[frame])
    for frame in range(4)
    for person in (keypoints, keypoints + (400, 0, 0))[: 1 + (frame > 0)]
  ]
  results = [
    {'image_id': n, 'keypoints': p.ravel().tolist()} for n, p in everybody
  ]
  return write(tmp_path / 'walk.json', results)


def test_a_clip_knows_what_it_is(path):
  (clip,) = read_clips('walk', [path], image_size=(1280, 720))
  assert [person.name for person in clip.people] == ['1', '2']
  assert [p.frames.tolist() for p in clip.people] == [[0, 1, 2, 3], [1, 2, 3]]
  np.testing.assert_allclose(
    clip.people[1].keypoints, keypoints_of(4)[1:] + (400, 0, 0)
  )
  assert (clip.joint_set, clip.fps, clip.source) == ('coco', 30.0, str(path))
  assert clip.frames == range(4) and not clip.people[0].is_whole.any()


def test_pictures_tell_the_size_and_the_rate(path):
  album = Album(fps=12.5)
  album.add(0, np.zeros((40, 60, 3), np.uint8))
  (clip,) = read_clips('walk', [path], pictures=album)
  assert (clip.image_size, clip.fps, clip.pictures) == ((60, 40), 12.5, album)
  (own,) = read_clips(
    'walk', [path], pictures=album, image_size=(1280, 720), fps=25.0
  )
  assert (own.image_size, own.fps) == ((1280, 720), 25.0)


def test_what_a_file_does_not_tell(path):
  with pytest.raises(UserError, match='walk.json: .* not contain the image'):
    read_clips('walk', [path])
  with pytest.raises(
    UserError, match='17 joints a person, but `joint_set=mpii'
  ):
    read_clips('walk', [path], image_size=(1280, 720), joint_set='mpii')


def annotated(path, sizes, names=None):
  """COCO's annotations of a person in photos of these sizes."""
  keypoints = keypoints_of(len(sizes))
  content = {
    'images': [
      {'id': i, 'file_name': f'{100 + 7 * i:06}.jpg', 'width': w, 'height': h}
      for i, (w, h) in enumerate(sizes)
    ],
    'annotations': [
      {'image_id': i, 'category_id': 1, 'keypoints': (*p.ravel(),)}
      for i, p in enumerate(keypoints)
    ],
    'categories': [{'id': 1, 'name': 'person', 'keypoints': names or []}],
  }
  return write(path, content), keypoints


def test_photos_of_different_sizes_are_clips_of_their_own(tmp_path):
  path, keypoints = annotated(tmp_path / 'a.json', [(1280, 720), (1300, 800)])
  clips = read_clips('a', [path])
  assert [clip.image_size for clip in clips] == [(1280, 720), (1300, 800)]
  assert [clip.name for clip in clips] == ['a 100', 'a 107']
  for clip, wanted in zip(clips, keypoints, strict=True):
    np.testing.assert_allclose(
      clip.people[0].keypoints[0, :, :2], wanted[:, :2]
    )
  (alike,) = read_clips('a', [annotated(path, [(1280, 720)] * 2)[0]])
  assert alike.image_size == (1280, 720)


def test_names_of_keypoints_decide_their_order(tmp_path):
  names = [*JOINT_SETS['coco'].names[::-1]]
  path, keypoints = annotated(tmp_path / 'a.json', [(1280, 720)] * 2, names)
  (clip,) = read_clips('a', [path])
  assert (clip.joint_set, clip.is_named) == ('coco', True)
  found = clip.people[0].keypoints[..., :2]
  np.testing.assert_allclose(found, keypoints[:, ::-1, :2])


def test_width_and_height_exchanged_are_noted(path, caplog):
  read_clips('walk', [path], image_size=(1280, 720))
  assert not caplog.text
  read_clips('walk', [path], image_size=(1200, 1600))
  assert 'is `image_size` 1600x1200?' in caplog.text


def test_frames_of_a_video_that_count_from_one(tmp_path, caplog):
  keypoints = keypoints_of(4)
  results = [
    {'image_id': n + 1, 'keypoints': p.ravel().tolist()}
    for n, p in enumerate(keypoints)
  ]
  path = write(tmp_path / 'a.json', results)
  album = Album()
  for number in range(4):
    album.add(number, np.zeros((720, 1280, 3), np.uint8))
  (clip,) = read_clips('a', [path], pictures=album)
  assert clip.people[0].frames.tolist() == [0, 1, 2, 3]
  assert 'counts the frames of the video from 1' in caplog.text
  album.add(4, np.zeros((720, 1280, 3), np.uint8))
  (clip,) = read_clips('a', [path], pictures=album)
  assert clip.people[0].frames.tolist() == [1, 2, 3, 4]
