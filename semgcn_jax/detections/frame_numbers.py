"""Numbers frames by their names.

The part of the names that counts upwards is the number, such as 12 in
`video_0000012_keypoints.json` and in `frame_0012_jpg.rf.3f2a.jpg`. Times are
recognized by steps that are equal but for rounding.
"""

import logging
import pathlib
import re
from collections.abc import Iterable, Sequence

import numpy as np

from semgcn_jax.errors import UserError, shortened

_MOST_DIGITS = 18
_LEAST_TIMES = 4  # Fewer names show no regular steps.
_LEAST_STEP = 5  # Steps between times, in the unit of the names, at least.
_ROUNDING = 0.12  # Steps between times differ by up to this share.
_EPOCH = 10**9  # No frame has so large a number.
_UNITS = {'ms': 1e3, 'us': 1e6, 'ns': 1e9}  # Per second.
_RATES = 0.5, 1000.0  # Frames per second that times may have.


def number_frames(
  names: Iterable[str], source: pathlib.Path
) -> tuple[dict[str, int], float | None]:
  """Numbers frames by their names.

  Args:
    names: The names of the frames or their files; names may repeat.
    source: Their file, for messages.

  Returns:
    {name: number}, and the frames per second if the names are times.

  Raises:
    UserError: A name has no number, or two names have the same.
  """
  names = list(dict.fromkeys(names))
  for name in names:
    if re.fullmatch(r'\d+\.\d+', name):
      raise UserError(
        f'{source}: frame {shortened(name)} is not a whole number'
      )
  numbers = _counting(names) or [_last(name, source) for name in names]
  first: dict[int, str] = {}
  for name, number in zip(names, numbers, strict=True):
    if first.setdefault(number, name) != name:
      raise UserError(
        f'{source}: {shortened(first[number])} and {shortened(name)} are both'
        f' frame {number}; a number in the names must count the frames'
      )
  times = _times(np.array(numbers))
  if times is None:
    return dict(zip(names, numbers, strict=True)), None
  order, unit, fps = times
  logging.getLogger('semgcn_jax').warning(
    '%s: its frames are named by times in %s; they are counted at %.4g frames'
    ' per second',
    source,
    unit,
    fps,
  )
  return dict(zip(names, order, strict=True)), fps


def _stem(name: str) -> str:
  """Returns a name without its ending; that of img.0001 is its number."""
  ending = pathlib.PurePath(name).suffix
  return name if ending[1:].isdigit() else pathlib.PurePath(name).stem


def _counting(names: Sequence[str]) -> list[int] | None:
  """Returns the numbers that count most evenly at one place of the names.

  A place is what follows the same text, or comes before it, in all names. None
  if there is no such place, or a single name.
  """
  if len(names) < 2:
    return None
  best, most = None, 0.0
  parts = [re.split(r'(\d+)', _stem(name)) for name in names]
  count = min(len(part) // 2 for part in parts)
  from_right = [(-2 - 2 * k, slice(-1 - 2 * k, None, 2)) for k in range(count)]
  from_left = [(1 + 2 * k, slice(0, 1 + 2 * k, 2)) for k in range(count)]
  for place, around in (*from_right, *from_left):
    values = [part[place] for part in parts]
    if len({tuple(part[around]) for part in parts}) > 1:
      continue
    if max(map(len, values)) > _MOST_DIGITS:
      continue
    numbers = [int(value) for value in values]
    if len({*numbers}) < len(names):
      continue
    density = (len(names) - 1) / (max(numbers) - min(numbers))
    if density > most:
      best, most = numbers, density
  return best


def _last(name: str, source: pathlib.Path) -> int:
  """Returns the last number in a name."""
  digits = re.findall(r'\d+', _stem(name))
  if not digits or name.startswith('-') or len(digits[-1]) > _MOST_DIGITS:
    raise UserError(f'{source}: frame {shortened(name)} has no number')
  return int(digits[-1])


def _times(
  numbers: np.ndarray,
) -> tuple[list[int], str, float] | None:
  """Counts frames that are numbered by times.

  Returns:
    The number of each frame from 0, the unit, and the frames per second; None
    if the numbers are no times.
  """
  if len(numbers) < _LEAST_TIMES:
    return None
  steps = np.diff(np.sort(numbers))
  step = float(np.median(steps))
  shares = steps / step
  regular = np.abs(shares - np.round(shares)) <= _ROUNDING
  uneven = np.gcd.reduce(steps) < _LEAST_STEP
  if step < _LEAST_STEP or not (uneven or numbers.max() >= _EPOCH):
    return None
  if not regular.all():
    return None
  step = np.ptp(numbers) / np.round(shares).sum()
  for unit, per_second in _UNITS.items():
    if _RATES[0] <= per_second / step <= _RATES[1]:
      counts = np.round((numbers - numbers.min()) / step).astype(int)
      fps = per_second / step
      # A whole rate, as far as rounded times can show.
      if abs(fps - round(fps)) * np.ptp(numbers) <= fps:
        fps = float(round(fps))
      return counts.tolist(), unit, fps
  return None
