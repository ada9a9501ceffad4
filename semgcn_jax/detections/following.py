"""Follows the people of a video, from entering to leaving.

Each person has a tracker of their own, which sees nothing but their
surroundings. Every few images, others are looked for; who is found is also
followed backwards to the last look.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

from semgcn_jax.detections.finding import (
  MOST_PEOPLE,
  blank,
  box_of,
  find_in_box,
  find_people,
  inside,
  is_plausible,
  paint_over,
  shared,
  size_of,
  surroundings,
)
from semgcn_jax.detections.persons import Find
from semgcn_jax.detections.tracking import SPREAD, oks
from semgcn_jax.pictures.crops import Box

_LOOK_EVERY = 1 / 3  # Seconds, but at most `_MOST_KEPT` images.
_LOOK_EVERY_IF_LOST = 3  # Images.
_MOST_KEPT = 10  # Images in memory.
# Around a person in what a tracker sees, over the size of the person; who is
# lost is searched with more or less of the surroundings in turn.
_MARGINS = (0.3, 0.1, 0.6)
_FIRST_MARGINS = (0.6, 0.3, 0.1, 0.0)
_LOST = 0.5  # Seconds for which a tracker looks on for a lost person.
ABSENT = 2.0  # Seconds after which a person counts as a new one.
# How far a person may be from where they were lost, in sizes, and how much
# farther in each second.
_NEAR, _SPEED = 0.3, 1.2
# A body that is stretched looks at most so many times as large as usual, or
# usually that much larger than when it is curled up.
_RESIZED = 2.5
_USUAL = 30  # The last images, of which the median size is the usual one.
_LEAST_OKS = 0.4  # From one image to the next.
_SAME_OKS = 0.4  # Two trackers on people this much alike follow the same one.
_MOST_SHARED = 0.7  # Of the smaller of two boxes, or both show the same person.
_MOST_COVERED = 0.75  # Of a new person's box, by those of others.
_FEWEST = 8  # Keypoints of somebody who is worth following.


@dataclasses.dataclass
class _Person:
  """A person who is followed.

  Attributes:
    number: The person's number, from 1.
    found: {number of an image: the keypoints in it, `[J, 3]`}.
    find: The tracker; None while the person is absent.
    gone: Whether the person cannot come back.
  """

  number: int
  found: dict[int, np.ndarray]
  find: Find | None
  gone: bool = False

  @property
  def last(self) -> int:
    """The number of the last image that shows the person."""
    return max(self.found)

  @property
  def keypoints(self) -> np.ndarray:
    """The keypoints in that image."""
    return self.found[self.last]

  def fits(self, keypoints: np.ndarray) -> bool:
    """Whether keypoints are enough, and have about the person's size."""
    last = list(self.found.values())[-_USUAL:]
    ratio = size_of(keypoints) / float(np.median([size_of(k) for k in last]))
    many = (keypoints[:, 2] > 0).sum() >= _FEWEST
    return bool(many) and 1 / _RESIZED < ratio < _RESIZED


def follow(
  pictures: Iterable[np.ndarray],
  find: Find,
  new_tracker: Callable[[], contextlib.AbstractContextManager[Find]],
  *,
  fps: float,
  box: Box | None = None,
  box_at: int = 0,
  is_cut: Callable[[int], bool] = lambda number: False,
) -> list[dict[int, np.ndarray]]:
  """Finds and follows people in the images of a video.

  Args:
    pictures: The images, `[H, W, 3]` uint8 each.
    find: Finds people in a single image.
    new_tracker: Makes a function that finds one person in one image after the
      other.
    fps: The frames per second.
    box: Left, top, width and height of the only person to return, who is
      followed even if not found otherwise, pixels.
    box_at: The number of the image in which the box is.
    is_cut: Whether another scene begins with the image of a number.

  Returns:
    For each person, in the order in which they come: {number of an image: the
    keypoints in it, `[J, 3]`}.

  Raises:
    UserError: There is nobody in the box, or an image cannot be read.
  """
  with contextlib.ExitStack() as stack:
    crowd = Crowd(find, lambda: stack.enter_context(new_tracker()), fps)
    wanted = None
    for number, picture in enumerate(pictures):
      if is_cut(number):
        crowd.leave()
      crowd.advance(number, picture)
      if box is not None and number == box_at:
        wanted = crowd.keep(find_in_box(find, picture, box).keypoints)
    if wanted is not None:
      return [wanted.found]
  return sorted((person.found for person in crowd.people), key=min)


class Crowd:
  """The people of a video so far, and the last images of it.

  Attributes:
    people: Everybody, in the order in which they were found.
    fps: The images per second, which may change.
  """

  def __init__(
    self,
    find: Find,
    new_tracker: Callable[[], Find],
    fps: float,
    *,
    look_every: float = _LOOK_EVERY,
    most_kept: int = _MOST_KEPT,
  ):
    """Starts without anybody.

    Args:
      find: See `follow`.
      new_tracker: See `follow`.
      fps: The images per second.
      look_every: The seconds after which to look for others.
      most_kept: The images that are kept to follow new people backwards.
    """
    self.people: list[_Person] = []
    self.fps = fps
    self._find, self._new_tracker = find, new_tracker
    self._look_every, self._most_kept = look_every, most_kept
    self._count = 0
    self._free: list[Find] = []
    self._recent: dict[int, np.ndarray] = {}

  def advance(self, number: int, picture: np.ndarray) -> None:
    """Follows everybody to the next image, and may look for others."""
    self._step(number, picture)
    if self._is_time_to_look(number):
      self._look()

  def forget_before(self, number: int) -> None:
    """Forgets who was seen last before an image, and where the others were."""
    self.people = [
      p for p in self.people if p.find is not None or p.last >= number
    ]
    for person in self.people:
      kept = list(person.found)[-_USUAL:]
      for old in [n for n in person.found if n < min(number, kept[0])]:
        del person.found[old]

  def _is_time_to_look(self, number: int) -> bool:
    """Whether to look for people in an image: more often if one was lost."""
    every = max(1, min(round(self._look_every * self.fps), _MOST_KEPT))
    if not self.people or number % every == 0:
      return True
    return bool(self._lost(number)) and number % _LOOK_EVERY_IF_LOST == 0

  def leave(self) -> None:
    """Forgets everybody, as another scene begins."""
    self._recent.clear()
    for person in self.people:
      person.gone = True
      self._stop(person)

  def _step(self, number: int, picture: np.ndarray) -> None:
    """Follows everybody to the next image."""
    self._recent[number] = picture
    self._recent.pop(number - self._most_kept, None)
    for person in self._followed():
      keypoints = self._next(person, number, picture)
      if keypoints is not None:
        person.found[number] = keypoints
      elif number - person.last > _LOST * self.fps:
        self._stop(person)
    self._tell_apart(number)

  def _look(self) -> None:
    """Looks for people who are not followed, in the last image."""
    number, picture = max(self._recent.items())
    rest = picture.copy()
    known = [p for p in self._followed() if p.last == number]
    for person in known:
      paint_over(rest, person.keypoints)
    # Who stands behind another is only seen where nobody is painted over.
    candidates = find_people(self._find, rest)
    if known:
      candidates += self._find(picture)
    for candidate in candidates:
      if len(self._followed()) == MOST_PEOPLE:
        break
      self._add(candidate.keypoints)

  def _add(self, keypoints: np.ndarray) -> None:
    """Follows somebody `[J, 3]` in the last image, if likely a new person."""
    number, _ = max(self._recent.items())
    if (keypoints[:, 2] > 0).sum() < _FEWEST or not is_plausible(keypoints):
      return
    here = [p for p in self._followed() if p.last == number]
    # A body among those of others is made of their parts.
    covered = sum(inside(keypoints, p.keypoints) for p in here)
    if covered > _MOST_COVERED or any(
      _are_one(p.keypoints, keypoints) for p in here
    ):
      return
    earlier = self._lost_near(number, keypoints)
    if earlier is not None and not earlier.fits(keypoints):
      return  # Somebody's part.
    self._start(keypoints, earlier, sure=False)

  def keep(self, keypoints: np.ndarray) -> _Person:
    """Follows a person `[J, 3]` in the last image, unless they are followed."""
    number, _ = max(self._recent.items())
    for person in self._followed():
      if person.last == number and _are_one(person.keypoints, keypoints):
        return person
    person = self._start(keypoints, None, sure=True)
    assert person is not None
    return person

  def _start(
    self, keypoints: np.ndarray, earlier: _Person | None, *, sure: bool
  ) -> _Person | None:
    """Puts a tracker on a person in the last image.

    Args:
      keypoints: The person's keypoints, `[J, 3]`.
      earlier: Who it is, if they were followed before.
      sure: Whether the person is followed even if the tracker misses them.
    """
    number, picture = max(self._recent.items())
    find = self._free.pop() if self._free else self._new_tracker()
    person = _Person(self._count + 1, {number: keypoints}, find)
    missed = all(
      self._next(person, number, picture, margin) is None
      for margin in _FIRST_MARGINS
    )
    if missed and not sure:
      self._free.append(find)
      return None
    self._follow_back(person, -1 if earlier is None else earlier.last)
    # The tracker knows earlier images now, and has to see this one again.
    _forget(find, picture)
    self._next(person, number, picture, _FIRST_MARGINS[0])
    if earlier is None:
      self._count += 1
      self.people.append(person)
      return person
    earlier.found |= person.found
    self._stop(earlier)
    earlier.find = find
    return earlier

  def _follow_back(self, person: _Person, since: int) -> None:
    """Follows a person from the last image back to that of number `since`."""
    for before in sorted(self._recent, reverse=True)[1:]:
      if before <= since:
        break
      found = self._next(person, before, self._recent[before])
      if found is None or any(
        before in p.found and _are_one(p.found[before], found)
        for p in self.people
      ):
        break
      person.found[before] = found
    person.found = dict(sorted(person.found.items()))

  def _followed(self) -> list[_Person]:
    """Returns who has a tracker."""
    return [person for person in self.people if person.find is not None]

  def _stop(self, person: _Person) -> None:
    """Takes the tracker of a person away."""
    if person.find is not None:
      self._free.append(person.find)
      person.find = None

  def _next(
    self,
    person: _Person,
    number: int,
    picture: np.ndarray,
    margin: float | None = None,
  ) -> np.ndarray | None:
    """Finds a person in an image next to those in which they were found."""
    assert person.find is not None
    near = min(person.found, key=lambda n: abs(n - number))
    keypoints = person.found[near]
    left, top, right, bottom = box_of(keypoints)
    box = left, top, right - left, bottom - top
    spread = SPREAD + _SPEED / 2 * abs(number - near) / self.fps
    if margin is None:
      margin = _MARGINS[(abs(number - near) - 1) % len(_MARGINS)]
    for found in person.find(surroundings(picture, box, margin)):
      alike = _alike(keypoints, found.keypoints, spread) >= _LEAST_OKS
      if alike and person.fits(found.keypoints):
        return found.keypoints
    _forget(person.find, picture)
    return None

  def _tell_apart(self, number: int) -> None:
    """Leaves a body that two trackers are on to whom it fits better."""
    here = [p for p in self._followed() if p.last == number]
    for place, first in enumerate(here):
      for second in here[place + 1 :]:
        if number not in first.found or number not in second.found:
          continue
        if not _are_one(first.keypoints, second.keypoints):
          continue
        worse = min((first, second), key=self._continuity)
        if len(worse.found) > 1:
          del worse.found[number]
          assert worse.find is not None
          _forget(worse.find, self._recent[number])

  def _continuity(self, person: _Person) -> float:
    """Says how well the last keypoints of a person follow the ones before."""
    before = sorted(person.found)[:-1]
    if not before:
      return 0.0
    return _alike(person.found[before[-1]], person.keypoints)

  def _lost_near(self, number: int, keypoints: np.ndarray) -> _Person | None:
    """Finds who was lost a while ago near where somebody is found now."""
    best, least = None, np.inf
    for person in self._lost(number):
      seconds = (number - person.last) / self.fps
      apart = _apart(person.keypoints, keypoints)
      if apart < min(_NEAR + _SPEED * seconds, least):
        best, least = person, apart
    return best

  def _lost(self, number: int) -> list[_Person]:
    """Returns who is not in an image, and may come back."""
    return [
      person
      for person in self.people
      if not person.gone and 0 < number - person.last <= ABSENT * self.fps
    ]


def _forget(find: Find, picture: np.ndarray) -> None:
  """Makes a tracker forget whom it follows."""
  find(blank(picture))


def _are_one(first: np.ndarray, second: np.ndarray) -> bool:
  """Whether keypoints of one image, `[J, 3]`, are those of one person."""
  alike = _alike(first, second) > _SAME_OKS
  return alike and shared(first, second) > _MOST_SHARED


def _apart(first: np.ndarray, second: np.ndarray) -> float:
  """Returns how far two people's boxes are apart, over the larger size."""
  boxes = np.array([box_of(first), box_of(second)], float).reshape(2, 2, 2)
  middles = boxes.mean(axis=1)
  size = max(size_of(first), size_of(second))
  return float(np.linalg.norm(middles[0] - middles[1])) / size


def _alike(
  first: np.ndarray, second: np.ndarray, spread: float = SPREAD
) -> float:
  """Returns the similarity of two people's keypoints, `[J, 3]`; see `oks`."""
  return float(oks(first[None], second[None], spread)[0, 0])
