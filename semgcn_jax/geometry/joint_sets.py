"""Joint sets: how the joints of a skeleton derive from those of other files.

`joint_sets.json` defines those of Human3.6M's 16 joints, and the file of any
other skeleton its own. Array functions take NumPy and JAX arrays.
"""

import functools
import importlib.resources
import json
import logging
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from semgcn_jax.errors import UserError, choose, listed
from semgcn_jax.geometry.skeletons import H36M, OWN, JointSet, Skeleton

# {joint of `H36M`: its point} of the limbs, the same in every set.
LIMBS = {
  f'{side[0].upper()}{joint.capitalize()}': f'{side}_{joint}'
  for side in ('left', 'right')
  for joint in ('hip', 'knee', 'ankle', 'shoulder', 'elbow', 'wrist')
}
FEET = ('right_heel', 'right_big_toe', 'left_heel', 'left_big_toe')
MIN_KEYPOINTS = 4  # Poses with fewer detected keypoints are not estimated.


def _read_sets() -> dict[str, JointSet]:
  """Reads the joint sets.

  In the file, `sources` lists what each joint of the trunk is the mean of. A
  set with `indices` contains the joints of `H36M` themselves, at these indices.
  `points` lists points whose names differ from the joints'.
  """
  path = importlib.resources.files('semgcn_jax.geometry') / 'joint_sets.json'
  sets = {}
  for key, entry in json.loads(path.read_text()).items():
    if 'indices' in entry:
      names = [f'joint {index}' for index in range(entry['num_joints'])]
      for index, joint in zip(entry['indices'], H36M.joints, strict=True):
        names[index] = joint
      named = {joint: [joint] for joint in H36M.joints}
    else:
      names = entry['names']
      named = {j: n.split() for j, n in (LIMBS | entry['sources']).items()}
    points = entry.get('points', {})
    sets[key] = JointSet(
      key,
      names=tuple(names),
      sources=tuple(
        tuple(map(names.index, named[joint])) for joint in H36M.joints
      ),
      points=tuple(points.get(name, name) for name in names),
      counts=tuple(entry.get('counts', ())),
      same_as=entry.get('same_as', ''),
    )
  return sets


# Networks know the sets without `same_as` by their order; add new ones last.
JOINT_SETS = _read_sets()
# The sets that networks are trained on, in the order of their input.
LIFTED = tuple(name for name, own in JOINT_SETS.items() if not own.same_as)
# {number of keypoints: joint set}, the defaults.
BY_COUNT = {
  count: name for name, own in JOINT_SETS.items() for count in own.counts
}
# {number of joints: joint set} of Human3.6M files.
H36M_SETS = {
  own.num_joints: name
  for name, own in JOINT_SETS.items()
  if name.startswith('h36m')
}


@functools.cache
def joint_sets_of(skeleton: Skeleton) -> dict[str, JointSet]:
  """Returns the joint sets that a skeleton's joints derive from, by name.

  Those of `H36M` are `JOINT_SETS`; those of another are the skeleton's own
  joints, `OWN`, and its `joint_sets`.
  """
  if skeleton == H36M:
    return JOINT_SETS
  joints = skeleton.joints
  own = JointSet(OWN, joints, tuple((n,) for n in range(len(joints))), joints)
  return {known.name: known for known in (own, *skeleton.joint_sets)}


def mirror_order(joint_set: JointSet, skeleton: Skeleton) -> np.ndarray:
  """Returns the joint of a set that replaces each in a mirror image, `[K]`.

  It contributes to the mirrored joints of the skeleton; of several that do, or
  of those that contribute to none, it is the one of that name. Joints without
  such a partner stay.
  """
  order = np.arange(joint_set.num_joints)
  given = [
    {n for n, source in enumerate(joint_set.sources) if index in source}
    for index in range(joint_set.num_joints)
  ]
  for index, point in enumerate(joint_set.points):
    mirrored = {int(skeleton.mirror_order[joint]) for joint in given[index]}
    other = _exchange_sides(point)
    if mirrored != given[index] and given.count(mirrored) == 1:
      order[index] = given.index(mirrored)
    elif other in joint_set.points:
      order[index] = joint_set.points.index(other)
  return np.where(
    order[order] == np.arange(len(order)), order, range(len(order))
  )


def _exchange_sides(name: str) -> str:
  """Replaces 'left' in a name by 'right', or the other way around."""
  others = {'left': 'right', 'right': 'left'}
  return re.sub(
    r'(?<![a-z])(left|right)(?![a-z])', lambda side: others[side[0]], name
  )


def resolve(
  joint_set: str,
  counts: Iterable[int],
  source: str,
  setting: str = 'joint_set',
  skeleton: Skeleton = H36M,
  lifted: Sequence[str] = (),
) -> str:
  """Determines the joint set of people.

  Args:
    joint_set: The name of a joint set; '' to recognize it by `counts`.
    counts: The number of keypoints of each person.
    source: The file that they are from, for messages.
    setting: The setting that names the set, for messages.
    skeleton: The skeleton whose joint sets are known.
    lifted: Those that the network lifts, of another skeleton than `H36M`; if
      empty, all.

  Returns:
    The name of the set; the default if there is nobody and none is named.

  Raises:
    SettingError: There is no such set.
    UserError: The counts differ, or do not fit the set.
  """
  joint_sets = joint_sets_of(skeleton)
  known = sorted({*counts})
  if joint_set:
    choose(setting, joint_set, joint_sets)
  if len(known) > 1:
    raise UserError(
      f'{source}: people have {listed(map(str, known))} joints; they must agree'
    )
  if not known:
    return joint_set or default_joint_set(skeleton, lifted)
  (count,) = known
  fitting = [name for name, own in joint_sets.items() if own.fits(count)]
  name = joint_set
  if not name and skeleton == H36M:
    name = BY_COUNT.get(count, '')
  elif not name:
    name = _last([own for own in fitting if own in (lifted or fitting)], source)
  if not name:
    raise UserError(
      f'{source}: {count} joints a person; name their set by `{setting}`'
      f' ({listed(joint_sets)})'
    )
  if name not in fitting:
    advice = f'no joint set has {count}'
    if fitting:
      advice = f'{count} fits {listed(fitting)}'
    raise UserError(
      f'{source}: {count} joints a person, but `{setting}={name}` has'
      f' {joint_sets[name].num_joints}; {advice}'
    )
  return name


def default_joint_set(skeleton: Skeleton, lifted: Sequence[str] = ()) -> str:
  """Returns the default joint set among those that a network lifts, or all.

  It is COCO's for people, and the last for others: a detector's before the
  joints themselves.
  """
  return (
    'coco' if skeleton == H36M else [*(lifted or joint_sets_of(skeleton))][-1]
  )


def _last(fitting: Sequence[str], source: str) -> str:
  """Returns the last of the joint sets that fit, or '', and notes a choice."""
  # A detector's and the joints themselves mean the same joints.
  if len({*fitting} - {OWN}) > 1:
    logging.getLogger('semgcn_jax').warning(
      '%s: its keypoints may be those of %s; they are read as %s, or name their'
      ' `joint_set`',
      source,
      listed(fitting),
      fitting[-1],
    )
  return fitting[-1] if fitting else ''


def to_h36m(positions: np.ndarray, source: str) -> np.ndarray:
  """Selects Human3.6M's 16 joints.

  Args:
    positions: Positions `[..., J, D]` of J = 32, 17 or 16 joints.
    source: The file that they are from, for the message.

  Returns:
    The positions of the 16 joints, `[..., 16, D]`.

  Raises:
    UserError: There is another number of joints.
  """
  joints = positions.shape[-2]
  if joints not in H36M_SETS:
    raise UserError(
      f'{source}: {joints} joints; Human3.6M files hold 32, 17 or 16'
    )
  return convert_joints(positions, H36M_SETS[joints])


def h36m_sides(joints: int) -> tuple[list[int], list[int]]:
  """Lists the left and right joints of a set of 32, 17 or 16 joints."""
  sources = JOINT_SETS[H36M_SETS[joints]].sources
  left, right = (
    [sources[joint][0] for joint in side] for side in (H36M.left, H36M.right)
  )
  return left, right


def convert_joints(positions: np.ndarray, joint_set: str) -> np.ndarray:
  """Converts positions `[..., J, D]` of a joint set to `[..., 16, D]`."""
  (sources,) = _table([JOINT_SETS[joint_set].sources])
  return mean_of_found(positions[..., np.maximum(sources, 0), :], sources >= 0)


def joints_of(keypoints: np.ndarray, joint_set: JointSet) -> np.ndarray:
  """Converts keypoints of a joint set to those of the skeleton.

  Args:
    keypoints: The keypoints, `[..., K, 3]`.

  Returns:
    The skeleton's, `[..., J, 3]`.
  """
  (sources,) = _table([joint_set.sources])
  return derive_joints(keypoints, sources)


def feet_of(keypoints: np.ndarray, joint_set: JointSet) -> np.ndarray | None:
  """Selects the keypoints `[..., 4, 3]` of `FEET`; None if there are none."""
  points = joint_set.points
  if not all(point in points for point in FEET):
    return None
  return keypoints[..., [points.index(point) for point in FEET], :]


def source_table(
  joint_sets: Sequence[JointSet], points: Sequence[str]
) -> np.ndarray:
  """Tabulates the points that each joint of a skeleton is the mean of.

  Args:
    joint_sets: The joint sets.
    points: The names of all points.

  Returns:
    The indices of the points of each set and joint, `[S, J, K]` int32, padded
    with -1.
  """
  return _table(
    [
      [[points.index(own.points[i]) for i in joint] for joint in own.sources]
      for own in joint_sets
    ]
  )


def _table(sources: Sequence[Sequence[Sequence[int]]]) -> np.ndarray:
  """Pads lists of indices with -1, `[S, J, K]` int32."""
  most = max(len(joint) for own in sources for joint in own)
  table = np.full((len(sources), len(sources[0]), most), -1, np.int32)
  for row, own in zip(table, sources, strict=True):
    for cells, joint in zip(row, own, strict=True):
      cells[: len(joint)] = joint
  return table


def derive_joints(points: Any, sources: Any) -> Any:
  """Derives the joints of a skeleton from detected keypoints.

  A joint is the mean of the points that were found. Its confidence is the mean
  over all its points, so that missing ones lower it.

  Args:
    points: Keypoints `[..., P, 3]`.
    sources: Indices of points, `[..., J, K]`, or `[J, K]` for all poses,
      padded with -1.

  Returns:
    Keypoints `[..., J, 3]`.
  """
  xp = points.__array_namespace__()
  indices = xp.maximum(sources, 0)
  if sources.ndim == 2:
    chosen = points[..., indices, :]
  else:
    chosen = xp.take_along_axis(
      points[..., None, :, :], indices[..., None], axis=-2
    )
  named = sources >= 0
  confidence = xp.where(named, chosen[..., 2], 0)
  xy = mean_of_found(chosen[..., :2], confidence > 0)
  count = xp.maximum(named.sum(axis=-1, dtype=points.dtype), 1)
  confidence = confidence.sum(axis=-1) / count
  return xp.concatenate([xy, confidence[..., None]], axis=-1)


def mean_of_found(values: Any, found: Any) -> Any:
  """Averages the values `[..., K, D]` that were found, `[..., K]` bool.

  Returns:
    The means, `[..., D]`, zeros where nothing was found.
  """
  xp = values.__array_namespace__()
  count = xp.maximum(found.sum(axis=-1, dtype=values.dtype), 1)
  return xp.where(found[..., None], values, 0).sum(axis=-2) / count[..., None]
