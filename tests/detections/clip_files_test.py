"""Reading clips, with their people told apart."""

import numpy as np
import pytest
from detections import write
from filmed import keypoints_of

from semgcn_jax.detections.clip_files import read_clips
from semgcn_jax.errors import UserError
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
