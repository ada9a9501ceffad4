import warnings

import numpy as np
import pytest
from detections import (
  people,
)

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
