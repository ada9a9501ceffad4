"""Frames are numbered by the part of their names that counts."""

import pathlib

import pytest

from semgcn_jax.detections.frame_numbers import number_frames
from semgcn_jax.errors import UserError

SOURCE = pathlib.Path('f.json')


def numbers(names):
  found, fps = number_frames(names, SOURCE)
  return [found[name] for name in names], fps


@pytest.mark.parametrize(
  ('names', 'wanted'),
  [
    (['v_0000_keypoints.json', 'v_0001_keypoints.json'], [0, 1]),
    (['img.0007', 'img.0009'], [7, 9]),
    (['12', '3', '40'], [12, 3, 40]),
    (['S1_cam2_000010.jpg', 'S1_cam2_000020.jpg'], [10, 20]),
    (['0_cam2.jpg', '1_cam2.jpg', '5_cam2.jpg'], [0, 1, 5]),
    (['only_3.jpg'], [3]),
    # The digits of a hash do not count.
    (
      [
        f'frame_{i:04}_jpg.rf.{h}.jpg'
        for i, h in enumerate(['5a9', '1f2', 'c7'])
      ],
      [0, 1, 2],
    ),
    (['0001-83.png', '0002-17.png', '0003-55.png'], [1, 2, 3]),
    # Every fifth frame, and people in a few frames only.
    (['0', '5', '10', '15', '20'], [0, 5, 10, 15, 20]),
    (['3', '10', '11', '24', '100'], [3, 10, 11, 24, 100]),
  ],
)
def test_what_counts_is_the_number(names, wanted):
  assert numbers(names) == (wanted, None)


@pytest.mark.parametrize(
  ('per_second', 'start', 'rate'),
  [
    (1_000, 1_700_000_000_000, 30),
    (1_000, 0, 30),
    (1_000_000, 1_700_000_000_000_000, 25),
    (1_000, 5_000, 12.5),
  ],
)
def test_times_become_frames(per_second, start, rate, caplog):
  # The fourth frame was dropped.
  counts = [0, 1, 2, 4, 5, 6, 7, 8, 9]
  times = [start + round(n * per_second / rate) for n in counts]
  found, fps = numbers([f'{time}.json' for time in times])
  if start == 5_000:  # Steps of 80 ms might be every 80th frame.
    assert (found, fps) == (times, None)
    return
  assert found == counts and fps == pytest.approx(rate, rel=1e-3)
  assert 'named by times' in caplog.text


@pytest.mark.parametrize(
  ('names', 'message'),
  [
    (['a.jpg'], 'frame a.jpg has no number'),
    (['a_1.jpg', 'b_1.jpg'], 'a_1.jpg and b_1.jpg are both frame 1'),
    (['1.5', '2.5'], 'frame 1.5 is not a whole number'),
  ],
)
def test_names_that_do_not_count(names, message):
  with pytest.raises(UserError, match=f'f.json: {message}'):
    numbers(names)
