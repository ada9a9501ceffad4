"""Windows of clips."""

import types

import numpy as np
import pytest

from semgcn_jax.data.windows import (
  clip_bounds,
  cut,
  known_fps,
  sequences,
  step_of,
)
from semgcn_jax.errors import SettingError


class Rows(types.SimpleNamespace):
  def __len__(self):
    return len(self.views)


PAIRS: object = Rows(views=np.array([0, 0, 0, 2, 2, 5]), fps=0.0)


@pytest.mark.parametrize(
  'fps, wanted, step', [(50, 10, 5), (24, 10, 2), (10, 10, 1), (5, 10, 1)]
)
def test_steps(fps, wanted, step):
  assert step_of(fps, wanted) == step


def test_rows_of_views():
  first, last = clip_bounds(PAIRS)
  assert first.tolist() == [0, 0, 0, 3, 3, 5]
  assert last.tolist() == [2, 2, 2, 4, 4, 5]
  rows = [part.tolist() for part in sequences(PAIRS, 2)]
  assert rows == [[0, 2], [1], [3], [4], [5]]


def test_unknown_rates_are_asked_for():
  with pytest.raises(SettingError, match='`fps`'):
    known_fps(PAIRS)


@pytest.mark.parametrize('before, after', [(0, 0), (3, 3), (6, 0)])
@pytest.mark.parametrize('size', [8, 11])
def test_every_frame_is_in_one_window_with_what_it_depends_on(
  before, after, size
):
  lengths = [1, 2, 7, 8, 9, 30, 41]
  clips = np.split(np.arange(sum(lengths)), np.cumsum(lengths)[:-1])
  windows = cut(clips, size, before, after)
  assert windows.rows.shape == windows.own.shape
  assert windows.rows.shape[1] == size
  own = windows.rows[windows.own]
  assert sorted(own.tolist()) == list(range(sum(lengths)))
  for rows, length, owned in zip(
    windows.rows, windows.lengths, windows.own, strict=True
  ):
    assert (rows[length:] == rows[length - 1]).all()
    clip = next(c for c in clips if rows[0] in c)
    for row in rows[owned]:
      seen = set(range(max(row - before, clip[0]), min(row + after, clip[-1])))
      assert seen <= set(rows[:length].tolist())
