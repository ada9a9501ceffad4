import warnings

import numpy as np
import pytest
from detections import (
  people,
)
from filmed import keypoints_of

from semgcn_jax.detections.detector_formats import read_people
from semgcn_jax.errors import UserError


def test_arrays_of_numbers_that_are_no_pixels(tmp_path):
  path = tmp_path / 'a.npy'
  np.save(path, people(4, 17) * (1e300, 1, 1))
  with (
    warnings.catch_warnings(),
    pytest.raises(UserError, match='beyond 1e.06 pixels'),
  ):
    warnings.simplefilter('error')
    read_people([path])


@pytest.mark.slow
def test_an_array_padded_for_absent_people(tmp_path):
  padded = np.zeros((20_000, 10, 17, 3))
  padded[:200, 0] = people(200, 17)
  path = tmp_path / 'a.npz'
  np.savez_compressed(path, keypoints=padded)
  assert padded.nbytes > max(2**26, 100 * path.stat().st_size)
  frames = read_people([path]).frames
  assert sum(map(len, frames.values())) == 200
  np.savez_compressed(path, keypoints=np.zeros(2**29 + 1, np.uint8))
  with pytest.raises(UserError, match='than the limit of 536,870,912 bytes'):
    read_people([path])


def test_people_before_frames_are_noticed(tmp_path, caplog):
  keypoints = keypoints_of(12)
  path = tmp_path / 'a.npy'
  np.save(path, keypoints[None])
  frames = read_people([path]).frames
  assert [len(people) for people in frames.values()] == [1] * 12
  np.testing.assert_array_equal(frames[7][0].keypoints, keypoints[7])
  assert 'with the people first' in caplog.text
  # A crowd in one picture is a crowd.
  crowd = keypoints[None] + (np.arange(12) * 90)[:, None, None] * (1, 0, 0)
  np.save(path, crowd)
  assert [len(people) for people in read_people([path]).frames.values()] == [12]


def test_landmarks_with_visibility_and_presence(tmp_path):
  landmarks = keypoints_of(3, 'mediapipe')
  both = np.concatenate([landmarks[..., :2], landmarks], axis=-1)
  np.save(tmp_path / 'a.npy', both[..., [0, 1, 2, 4, 4]])
  frames = read_people([tmp_path / 'a.npy']).frames
  np.testing.assert_allclose(frames[1][0].keypoints, landmarks[1])
  np.save(tmp_path / 'b.npy', np.ones((3, 17, 5)))
  with pytest.raises(UserError, match=r'shape \(3, 17, 5\)'):
    read_people([tmp_path / 'b.npy'])
