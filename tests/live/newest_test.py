"""The newest image of a camera."""

import time

import numpy as np
import pytest

from semgcn_jax.errors import UserError
from semgcn_jax.live.newest import Newest, Rate


class Film:
  """A video whose images hold their number; it may fail after them."""

  name, fps = 'film', 100.0

  def __init__(self, count, fails=False):
    self.count, self.fails, self.closed = count, fails, False

  def __iter__(self):
    try:
      for number in range(self.count):
        yield np.full((2, 2, 3), number, np.uint8)
      if self.fails:
        raise UserError('film: holds no image that can be decoded')
    finally:
      self.closed = True


def test_images_that_come_meanwhile_are_skipped():
  began = time.time()
  with Newest(Film(40), paced=True) as newest:
    numbers = []
    for taken, picture in newest:
      assert began <= taken <= time.time()
      numbers.append(int(picture[0, 0, 0]))
      time.sleep(0.05)  # Five images.
  assert numbers == sorted({*numbers})
  assert 2 <= len(numbers) < 25 and numbers[-1] == 39
  assert time.time() - began >= 0.39  # The file plays at its rate.


def test_errors_are_raised_to_who_waits():
  with (
    Newest(Film(0, fails=True), paced=False) as newest,
    pytest.raises(UserError, match='film: holds no image'),
  ):
    list(newest)


def test_leaving_ends_the_reading():
  film = Film(10**9)
  with Newest(film, paced=False) as newest:
    next(iter(newest))
  assert film.closed


def test_the_rate_changes_when_it_clearly_does():
  rate = Rate(10.0)
  times = np.cumsum([0.09] * 30)
  assert not any(rate.changes(t) for t in times) and rate.fps == 10
  later = times[-1] + np.cumsum([0.2] * 60)
  changes = [t for t in later if rate.changes(t)]
  assert 1 <= len(changes) <= 4
  assert rate.fps == pytest.approx(5, rel=0.25)
