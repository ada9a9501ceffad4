"""Live streams, frame by frame."""

import numpy as np
import pytest
from timed import RATES, SIZE, make_lifter, of_frames

from semgcn_jax import Lifter
from semgcn_jax.errors import SettingError, UserError


@pytest.fixture(scope='module')
def lifter():
  return make_lifter(causal=True)


@pytest.mark.parametrize('rate', RATES)
def test_a_stream_is_the_clip(lifter, rate):
  keypoints = of_frames(70)
  keypoints[:2], keypoints[30:41] = 0, 0
  lifted = lifter.lift(keypoints, SIZE, fps=rate, field_of_view=60.0)
  stream = lifter.stream(SIZE, fps=rate, field_of_view=60.0)
  found = [stream(frame) for frame in keypoints]
  poses = np.stack([frame.poses for frame in found])
  assert np.isnan(poses[:2]).all() and lifted.num_missing == 2
  np.testing.assert_allclose(poses, lifted.poses, atol=1e-4)
  errors = np.stack([frame.errors for frame in found])
  np.testing.assert_allclose(errors, lifted.errors, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize('rate', [10, 29.97])
def test_a_stream_is_the_clip_by_the_weights_in_the_box(rate):
  keypoints = of_frames(70)
  lifter = Lifter.load('cmu-stream')
  stream = lifter.stream(SIZE, fps=rate)
  found = [stream(frame).poses for frame in keypoints]
  np.testing.assert_allclose(
    found, lifter(keypoints, SIZE, fps=rate), atol=1e-4
  )


def test_streams_that_cannot_be(lifter):
  with pytest.raises(SettingError, match='causal'):
    make_lifter().stream(SIZE)
  with pytest.raises(SettingError, match='joints'):
    lifter.stream(SIZE, 'nobody')
  with pytest.raises(SettingError, match='image_size'):
    lifter.stream((0, 0))
  shares = np.full((17, 3), 0.5)
  with pytest.raises(UserError, match='normalized'):
    lifter.stream(SIZE)(shares)
  assert np.isfinite(lifter.stream(SIZE, check=False)(shares).poses).all()
  with pytest.raises(UserError, match='one frame'):
    lifter.stream(SIZE)(of_frames(70))


def test_streams_of_one_lifter_do_not_meet(lifter):
  keypoints = of_frames(5)
  alone = [lifter.stream(SIZE)(frame).poses for frame in keypoints[:1]]
  first, second = lifter.stream(SIZE), lifter.stream(SIZE)
  for frame in keypoints:
    second(frame[::-1])
  np.testing.assert_array_equal(first(keypoints[0]).poses, alone[0])
