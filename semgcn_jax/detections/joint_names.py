"""Recognizes joint sets by the names of keypoints that a file states."""

import dataclasses
import logging
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from semgcn_jax.detections.persons import Detection
from semgcn_jax.errors import choose, listed, shortened
from semgcn_jax.geometry.joint_sets import (
  JOINT_SETS,
  LIMBS,
  MIN_KEYPOINTS,
  joint_sets_of,
)
from semgcn_jax.geometry.skeletons import H36M, JointSet, Skeleton

_SIDES = {'left': 'left', 'l': 'left', 'right': 'right', 'r': 'right'}
# Other words for a joint, without the side and separators.
_SYNONYMS = {
  'pelvis': 'root midhip hip hips hipcenter spinebase bottomtorso',
  'spine': 'spinemid midspine spinenavel spinenaval belly torso',
  'thorax': 'spineshoulder chest centertorso',
  'upperneck': 'headbottom neckbase',
  'headtop': 'tophead topofhead upperhead',
}
_WORDS = {word: key for key, all_ in _SYNONYMS.items() for word in all_.split()}
_PAIRED = {point.split('_')[1] for point in LIMBS.values()} | {'eye', 'ear'}
# What stands for a joint that a file does not name.
_INSTEAD = {
  'left ankle': 'left foot',
  'right ankle': 'right foot',
  'left wrist': 'left hand',
  'right wrist': 'right hand',
  'head': 'headtop',
  'headtop': 'head',
}
# Names such as keypoint_3 say nothing.
_EMPTY = re.compile(r'(kp|kpt|key ?point|joint|point|landmark)?s? ?\d*')
_MIN_LIMBS = 8  # Joints of the limbs that must be named.


def recognize(
  names: Sequence[str], joint_sets: Iterable[str] = tuple(JOINT_SETS)
) -> tuple[str, list[int]] | None:
  """Finds the joint set that has most of the named joints.

  Args:
    names: The names of the keypoints in a file, in any spelling and order.
    joint_sets: The keys of `JOINT_SETS` to choose from.

  Returns:
    The key of the set, and for each of its joints the index in `names`, or -1
    where it is missing; None if the names are of no set.
  """
  columns: dict[str, int] = {}
  for index, name in enumerate(names):
    columns.setdefault(_standard(name), index)
  best, most = None, (False, 0, False)
  for key in joint_sets:
    own = JOINT_SETS[key]
    wanted = [_standard(name) for name in own.names]
    found = [_column(name, columns, wanted) for name in wanted]
    whole = all(found[index] >= 0 for index in own.used)
    count = sum(index >= 0 for index in found)
    rank = whole, count, own.num_joints == len(names)
    if rank > most:
      best, most = (key, found), rank
  limbs = sum(_standard(point) in columns for point in LIMBS.values())
  return best if limbs >= _MIN_LIMBS else None


def _column(
  name: str, columns: Mapping[str, int], wanted: Sequence[str]
) -> int:
  """Returns the index of a joint, or of what stands for it; -1 if missing."""
  other = _INSTEAD.get(name, '')
  if name not in columns and other not in wanted:
    name = other
  return columns.get(name, -1)


def _standard(name: str) -> str:
  """Rewrites the name of a joint, LAnkle or ankle_l, as 'left ankle'."""
  # Words may be joined, as in LeftKnee and RHip.
  name = name.lower() if name.isupper() else name
  parts = re.sub(r'(?<=[a-z0-9])(?=[A-Z])|(?<=^[LR])(?=[A-Z])', ' ', name)
  words = re.findall(r'[a-z]+|\d+', parts.lower())
  side = next((_SIDES[word] for word in words if word in _SIDES), '')
  joint = ''.join(word for word in words if word not in _SIDES)
  if not side and (match := re.fullmatch(r'(left|right)(.+)', joint)):
    side, joint = match.groups()
  if not side and joint[:1] in _SIDES and joint[1:] in _PAIRED:
    side, joint = _SIDES[joint[0]], joint[1:]
  if not side:
    joint = _WORDS.get(joint, joint)
  return f'{side} {joint}'.strip()


def _recognize_exactly(
  names: Sequence[str], joint_sets: Iterable[JointSet]
) -> tuple[str, list[int]] | None:
  """Finds the joint set that has most of the named joints; see `recognize`.

  Those of other skeletons than `H36M` are known by their own names only, in any
  case and with any separators. Of several sets, it is the last.
  """

  def plain(name):
    return re.sub(r'[\W_]+', '', name.casefold())

  there = {plain(name): index for index, name in enumerate(names)}
  orders = {
    own.name: [there.get(plain(name), -1) for name in own.names]
    for own in joint_sets
  }
  found = {name: sum(i >= 0 for i in order) for name, order in orders.items()}
  best = max(reversed(found), key=lambda name: found[name])
  return (best, orders[best]) if found[best] >= MIN_KEYPOINTS else None


def by_name(
  frames: Mapping[int, Sequence[Detection]],
  joint_set: str,
  source: str,
  skeleton: Skeleton = H36M,
  lifted: Sequence[str] = (),
) -> tuple[dict[int, list[Detection]], str]:
  """Sorts named keypoints into the order of their joint set.

  Args:
    frames: {number of a frame: its people}.
    joint_set: The name of the set, if the user gives it; otherwise ''.
    source: The file, for messages.
    skeleton: The skeleton whose joint sets are known.
    lifted: See `resolve`.

  Returns:
    The frames, and the name of the set; '' if neither names nor the user tell.
  """
  found: dict[tuple[str, ...], tuple[str, list[int]] | None] = {}
  key, result = joint_set, {}
  for number, people in frames.items():
    result[number] = []
    for person in people:
      names = person.names
      if len(names) != len(person.keypoints):
        names = ()
      if names not in found:
        found[names] = _order(names, key, source, skeleton, lifted)
      if order := found[names]:
        key, indices = order
        points = np.where(
          np.greater_equal(indices, 0)[:, None], person.keypoints[indices], 0
        )
        person = dataclasses.replace(person, keypoints=points, names=())
      result[number].append(person)
  return result, key


def _order(
  names: tuple[str, ...],
  joint_set: str,
  source: str,
  skeleton: Skeleton,
  lifted: Sequence[str],
) -> tuple[str, list[int]] | None:
  """Returns the set and the order of names; notes what is not known."""
  if all(_EMPTY.fullmatch(name.lower().replace('_', ' ')) for name in names):
    return None
  joint_sets = joint_sets_of(skeleton)
  if joint_set:
    joint_sets = {joint_set: choose('joint_set', joint_set, joint_sets)}
  if skeleton == H36M:
    order = recognize(names, joint_sets)
  else:
    kept = [s for s in joint_sets.values() if s.name in (lifted or joint_sets)]
    order = _recognize_exactly(names, kept or joint_sets.values())
  if order:
    return order
  shown = listed(shortened(name, 20) for name in names[:6])
  logging.getLogger('semgcn_jax').warning(
    '%s: names its keypoints %s%s, which are not those of %s; their order in'
    ' the file is used',
    source,
    shown,
    ', ...' if len(names) > 6 else '',
    joint_set or 'a known joint set',
  )
  return None
