"""People painted as rectangles, and a detector and a tracker of them."""

import contextlib

import numpy as np
from filmed import keypoints_of

from semgcn_jax.detections.persons import Detection
from semgcn_jax.geometry.joint_sets import JOINT_SETS

WIDTH, HEIGHT = 40, 100
SIZE = 360, 160  # Of the pictures.
_LEVEL = 10  # Of the first person, and between people.
_LEAST = 0.5  # The share of a body that is enough to see it.


def picture(people):
  """Paints people, {number from 1: left and top}; later ones hide earlier."""
  image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
  for number, (left, top) in people.items():
    rows = slice(max(top, 0), top + HEIGHT)
    image[rows, max(left, 0) : left + WIDTH] = _LEVEL * number
  return image


class Painted:
  """A video of painted people, each image {number: place}."""

  name, fps, length = 'painted', 30.0, 0

  def __init__(self, frames, cut=None):
    self.frames, self.cut, self.cuts = frames, cut, []

  def __iter__(self):
    for number, people in enumerate(self.frames):
      if number == self.cut:
        self.cuts.append(number)
      yield picture(people)

  def timing(self):
    return None, self.fps

  def check_cuts(self):
    pass


def _visible(image):
  """Finds who is seen in an image, the largest first."""
  found = []
  for number in range(1, 12):
    rows, columns = np.nonzero(image[..., 0] == _LEVEL * number)
    if len(rows) >= _LEAST * WIDTH * HEIGHT:
      found.append((len(rows), _keypoints(rows, columns)))
  return [keypoints for _, keypoints in sorted(found, key=lambda f: -f[0])]


def _keypoints(rows, columns):
  """Puts the joints of a person into a box."""
  [person] = keypoints_of(1, 'mediapipe')
  found = (person[:, :2] != 10).any(axis=-1)  # What poses have.
  low, high = person[found, :2].min(axis=0), person[found, :2].max(axis=0)
  share = (person[:, :2] - low) / (high - low)
  start = np.array([columns.min(), rows.min()])
  size = np.array([np.ptp(columns), np.ptp(rows)])
  return np.where(found[:, None], np.c_[start + share * size, person[:, 2]], 0)


def find(image):
  """Finds the most prominent person, as a detector of one does."""
  return [Detection(keypoints) for keypoints in _visible(image)[:1]]


def find_all(image):
  """Finds everybody, with COCO's joints, the most prominent first."""
  names = JOINT_SETS['mediapipe'].names
  coco = [names.index(name) for name in JOINT_SETS['coco'].names]
  return [Detection(keypoints[coco]) for keypoints in _visible(image)]


@contextlib.contextmanager
def finder():
  """Opens `find`, as a detector is opened."""
  yield find


@contextlib.contextmanager
def tracker():
  """Finds the person closest to the last one found."""
  last = None

  def track(image):
    nonlocal last
    people = _visible(image)
    if last is not None and people:
      people.sort(key=lambda k: np.abs(middle(k) - middle(last)).sum())
    last = people[0] if people else None
    return [Detection(keypoints) for keypoints in people[:1]]

  yield track


def middle(keypoints):
  found = keypoints[keypoints[:, 2] > 0, :2]
  return (found.min(axis=0) + found.max(axis=0)) / 2


def whose(keypoints, image):
  """The number of the person that is painted in the middle of keypoints."""
  column, row = middle(keypoints).astype(int)
  return int(image[row, column, 0]) // _LEVEL
