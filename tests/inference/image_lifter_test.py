"""Tests how pictures are lifted, by a network that is not there."""

import jax.numpy as jnp
import numpy as np
import pytest
from pictured import gradient

from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.inference.image_lifter import ImageLifter

# Its poses are zero, and its joints in the middle of the square.
LIFTER = ImageLifter(H36M, 32, lambda x: jnp.zeros((len(x), 16, 5)))
PICTURE = gradient(40, 60)


@pytest.mark.parametrize('box', [(10, 5, 20, 30), np.array([10.0, 5, 20, 30])])
def test_places_joints_in_the_box(box):
  clip = LIFTER.lift(PICTURE, box)
  [person] = clip.people
  assert clip.image_size == (60, 40)
  assert clip.pictures.decoded(0).shape == PICTURE.shape
  np.testing.assert_allclose(person.keypoints[0], [[20, 20, 1]] * 16)
  [whole] = LIFTER.lift(PICTURE).people
  np.testing.assert_allclose(whole.keypoints[0], [[30, 20, 1]] * 16)


@pytest.mark.parametrize(
  'box',
  [
    *((50, 5, -30, 30), (1, 2, 3), (0, 0, 0, 10), (0, 0, np.nan, 10)),
    *((0, np.inf, 10, 10), 'box', None),
  ],
)
def test_refuses_what_is_no_box(box):
  box = [None] * 4 if box is None else box
  with pytest.raises(SettingError, match='`box=.*give left, top') as raised:
    LIFTER.lift(PICTURE, box)
  assert '\n' not in str(raised.value)


@pytest.mark.parametrize(
  ('box', 'message'),
  [
    ((100, 100, 5, 5), 'outside of the image; give one within the 60 x 40'),
    ((0, 0, 9e5, 9e5), '900000 pixels a side'),
  ],
)
def test_refuses_a_box_that_cannot_be_cut_out(box, message):
  with pytest.raises(SettingError, match=message):
    LIFTER.lift(PICTURE, box)


def test_a_long_picture_needs_a_box():
  long = np.zeros((20_000, 20, 3), np.uint8)
  with pytest.raises(SettingError, match='`box`: the crop has 20000 pixels'):
    LIFTER.lift(long)
  [person] = LIFTER.lift(long, (0, 500, 20, 50)).people
  assert person.poses.shape == (1, 16, 3)


@pytest.mark.parametrize(
  'picture',
  [
    *(PICTURE / 255, PICTURE > 0, PICTURE[..., 0], PICTURE[..., :2]),
    np.dstack([PICTURE, PICTURE[..., :1]]),
  ],
)
def test_refuses_what_is_no_picture(picture):
  with pytest.raises(UserError, match=r'`picture`: .*give \[any, any, 3\]'):
    LIFTER.lift(picture)
  with pytest.raises(UserError, match=r'`images`: .*give \[any, 32, 32, 3\]'):
    LIFTER(picture[None, :32, :32])
  assert LIFTER(PICTURE[None, :32, :32])[0].shape == (1, 16, 3)
