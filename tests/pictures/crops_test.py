import numpy as np
import pytest

from semgcn_jax.errors import SettingError
from semgcn_jax.pictures.crops import read_box


@pytest.mark.parametrize(
  'box',
  [
    (1, 2, 3.5, 4),
    ['1', '2', '3.5', '4'],
    '1,2,3.5,4',
    np.array([1, 2, 3.5, 4]),
  ],
)
def test_boxes_are_numbers_or_their_texts(box):
  assert read_box(box) == read_box(box, (60, 40)) == (1.0, 2.0, 3.5, 4.0)


@pytest.mark.parametrize(
  'box, said',
  [
    (['1', '2', '3'], '1,2,3'),
    (['1', '2', '0', '3'], '1,2,0,3'),
    (['a', '2', '3', '3'], 'a,2,3,3'),
    ((0, 0, np.nan, 1), '0,0,nan,1'),
    ((2e6, 0, 1, 1), '2000000.0,0,1,1'),
    ('box', 'box'),
    (None, 'None'),
  ],
)
def test_what_is_no_box(box, said):
  with pytest.raises(SettingError, match=f'^`box={said}`: give left, top'):
    read_box(box)


@pytest.mark.parametrize('box', [(60, 0, 5, 5), (-5, 0, 5, 5), (0, 40, 9, 9)])
def test_boxes_outside_of_a_picture(box):
  read_box(box)
  read_box((-4, 39, 5, 5), (60, 40))
  with pytest.raises(SettingError, match='give one within the 60 x 40 pixels'):
    read_box(box, (60, 40))
