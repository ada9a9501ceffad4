import numpy as np
import pytest

from semgcn_jax.simulation.draws import Draws


def test_a_row_does_not_depend_on_the_others():
  many, few = Draws((3, 1), range(6)), Draws((3, 1), [4, 2])
  for low, high, shape in ((0, 1, ()), (-2, 5, (3,)), (0, 9, (2, 2))):
    many_rows = many.uniform(low, high, *shape)
    assert many_rows.shape == (6, *shape)
    assert low <= many_rows.min() and many_rows.max() <= high
    np.testing.assert_array_equal(
      many_rows[[4, 2]], few.uniform(low, high, *shape)
    )
  other = Draws((3, 2), range(6)).uniform(0, 1)
  assert not np.isin(other, Draws((3, 1), range(6)).uniform(0, 1)).any()


def test_choices_and_chances():
  draws = Draws((0,), range(2000))
  chosen = draws.choice(((1, 2), (3, 4)))
  assert chosen.shape == (2000, 2) and set(chosen[:, 0]) == {1, 3}
  assert 0.2 < draws.happens(0.25).mean() < 0.3


def test_a_stream_ends():
  draws = Draws((0,), [1])
  draws.uniform(0, 1, 90)
  with pytest.raises(ValueError, match='not more'):
    draws.uniform(0, 1, 90)
