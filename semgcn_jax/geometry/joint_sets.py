"""Joint sets: how Human3.6M's 16 joints derive from the joints of other files.

`joint_sets.json` defines every set. Array functions take NumPy and JAX arrays.
"""

import dataclasses
import importlib.resources
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from semgcn_jax.errors import UserError, choose, listed
from semgcn_jax.geometry.skeletons import H36M

# {joint of `H36M`: its point} of the limbs, the same in every set.
LIMBS = {
  f'{side[0].upper()}{joint.capitalize()}': f'{side}_{joint}'
  for side in ('left', 'right')
  for joint in ('hip', 'knee', 'ankle', 'shoulder', 'elbow', 'wrist')
}
FEET = ('right_heel', 'right_big_toe', 'left_heel', 'left_big_toe')
MIN_KEYPOINTS = 4  # Poses with fewer detected keypoints are not estimated.


@dataclasses.dataclass(frozen=True)
class JointSet:
  """A set of joints, and how Human3.6M's 16 joints derive from it.

  Attributes:
    names: The name of each joint.
    sources: For each joint of `H36M`, the indices of the joints that it is the
      mean of.
    points: The body point at each joint, named alike in every set.
    counts: The numbers of keypoints by which the set is recognized. Whole-body
      formats have more than `num_joints`, and begin with the joints of the set.
    same_as: The set that networks use instead; '' if they know this one.
  """

  names: tuple[str, ...]
  sources: tuple[tuple[int, ...], ...]
  points: tuple[str, ...]
  counts: tuple[int, ...] = ()
  same_as: str = ''

  @property
  def num_joints(self) -> int:
    """The number of joints of the set."""
    return len(self.names)

  @property
  def used(self) -> list[int]:
    """The indices of the joints that contribute to any of Human3.6M's."""
    return sorted({index for source in self.sources for index in source})

  @property
  def mirror_order(self) -> np.ndarray:
    """The joint that replaces each joint in a mirror image, `[J]`."""
    sides = {'left': 'right', 'right': 'left'}
    order = np.arange(self.num_joints)
    for index, point in enumerate(self.points):
      side, _, part = point.partition('_')
      if side in sides:
        point = f'{sides[side]}_{part}'
      elif point in H36M.joints:
        point = H36M.joints[H36M.mirror_order[H36M.joints.index(point)]]
      if point in self.points:
        order[index] = self.points.index(point)
    return order

  def fits(self, count: int) -> bool:
    """Whether people with this number of keypoints can be of this set."""
    return count == self.num_joints or count in self.counts


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


def resolve(
  joint_set: str, counts: Iterable[int], source: str, setting='joint_set'
) -> str:
  """Determines the joint set of people.

  Args:
    joint_set: A key of `JOINT_SETS`; '' to recognize it by `counts`.
    counts: The number of keypoints of each person.
    source: The file that they are from, for messages.
    setting: The setting that names the set, for messages.

  Returns:
    The key of the set; COCO's if there is nobody and none is named.

  Raises:
    SettingError: There is no such set.
    UserError: The counts differ, or do not fit the set.
  """
  known = sorted({*counts})
  if joint_set:
    choose(setting, joint_set, JOINT_SETS)
  if len(known) > 1:
    raise UserError(
      f'{source}: people have {listed(map(str, known))} joints; they must agree'
    )
  if not known:
    return joint_set or 'coco'
  (count,) = known
  name = joint_set or BY_COUNT.get(count, '')
  if not name:
    raise UserError(
      f'{source}: {count} joints a person; name their set by `{setting}`'
      f' ({listed(JOINT_SETS)})'
    )
  if not JOINT_SETS[name].fits(count):
    others = [other for other, own in JOINT_SETS.items() if own.fits(count)]
    advice = f'no joint set has {count}'
    if others:
      advice = f'{count} fits {listed(others)}'
    raise UserError(
      f'{source}: {count} joints a person, but `{setting}={name}` has'
      f' {JOINT_SETS[name].num_joints}; {advice}'
    )
  return name


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
  (sources,) = source_table([joint_set], JOINT_SETS[joint_set].points)
  return mean_of_found(positions[..., np.maximum(sources, 0), :], sources >= 0)


def joints_of(keypoints: np.ndarray, joint_set: str) -> np.ndarray:
  """Converts keypoints `[..., J, 3]` of a joint set to `[..., 16, 3]`."""
  (sources,) = source_table([joint_set], JOINT_SETS[joint_set].points)
  return derive_joints(keypoints, sources)


def feet_of(keypoints: np.ndarray, joint_set: str) -> np.ndarray | None:
  """Selects the keypoints `[..., 4, 3]` of `FEET`; None if there are none."""
  points = JOINT_SETS[joint_set].points
  if not all(point in points for point in FEET):
    return None
  return keypoints[..., [points.index(point) for point in FEET], :]


def source_table(
  joint_sets: Sequence[str], points: Sequence[str]
) -> np.ndarray:
  """Tabulates the points that each of the 16 joints is the mean of.

  Args:
    joint_sets: Keys of `JOINT_SETS`.
    points: The names of all points.

  Returns:
    The indices of the points of each set and joint, `[S, 16, K]` int32, padded
    with -1.
  """
  sets = [JOINT_SETS[key] for key in joint_sets]
  most = max(len(joint) for own in sets for joint in own.sources)
  table = np.full((len(sets), 16, most), -1, np.int32)
  for row, own in zip(table, sets, strict=True):
    for cells, joint in zip(row, own.sources, strict=True):
      cells[: len(joint)] = [points.index(own.points[i]) for i in joint]
  return table


def derive_joints(points: Any, sources: Any) -> Any:
  """Derives the 16 joints from detected keypoints.

  A joint is the mean of the points that were found. Its confidence is the mean
  over all its points, so that missing ones lower it.

  Args:
    points: Keypoints `[..., P, 3]`.
    sources: Indices of points, `[..., 16, K]`, or `[16, K]` for all poses,
      padded with -1.

  Returns:
    Keypoints `[..., 16, 3]`.
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
  confidence = confidence.sum(axis=-1) / named.sum(axis=-1, dtype=points.dtype)
  return xp.concatenate([xy, confidence[..., None]], axis=-1)


def mean_of_found(values: Any, found: Any) -> Any:
  """Averages the values `[..., K, D]` that were found, `[..., K]` bool.

  Returns:
    The means, `[..., D]`, zeros where nothing was found.
  """
  xp = values.__array_namespace__()
  count = xp.maximum(found.sum(axis=-1, dtype=values.dtype), 1)
  return xp.where(found[..., None], values, 0).sum(axis=-2) / count[..., None]
