"""Skeletons: joints, parents, sides, groups for pooling, and joint sets."""

import dataclasses
import hashlib
import importlib.resources
import json
import pathlib
from typing import Any

import numpy as np

from semgcn_jax.errors import SettingError, UserError, listed, shortened
from semgcn_jax.files import read_text, write_text


def are_whole(groups: tuple[tuple[int, ...], ...], count: int) -> bool:
  """Whether groups hold each of `count` joints exactly once, or are none."""
  grouped = sorted(joint for group in groups for joint in group)
  return not groups or (grouped == list(range(count)) and () not in groups)


@dataclasses.dataclass(frozen=True)
class JointSet:
  """A set of joints, and how those of a skeleton derive from it.

  Attributes:
    name: The name of the set.
    names: The name of each joint.
    sources: For each joint of the skeleton, the indices of the joints that it
      is the mean of; none if the set does not tell.
    points: The body point at each joint, named alike in every set.
    counts: The numbers of keypoints by which the set is recognized. Whole-body
      formats have more than `num_joints`, and begin with the joints of the set.
    same_as: The set that networks use instead; '' if they know this one.

  Examples:
    >>> from semgcn_jax import JOINT_SETS
    >>> JOINT_SETS['coco'].num_joints, JOINT_SETS['coco'].names[:3]
    (17, ('nose', 'left_eye', 'right_eye'))
  """

  name: str
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
    """The indices of the joints that contribute to any of the skeleton's."""
    return sorted({index for source in self.sources for index in source})

  def fits(self, count: int) -> bool:
    """Whether people with this number of keypoints can be of this set."""
    return count == self.num_joints or count in self.counts


@dataclasses.dataclass(frozen=True)
class Skeleton:
  """An immutable, hashable tree of joints.

  Attributes:
    joints: The name of each joint.
    parents: The index of each joint's parent; -1 for the root.
    left: The indices of the left joints.
    right: The indices of the right joints, in the same order.
    groups: The joints that non-local layers pool together (paper Fig. 6,
      right). Every joint is in exactly one group; without groups, none are
      pooled.
    joint_sets: Other sets of joints, such as those of a detector, from which
      these derive.
    stands: Whether it stands on a ground, as people do; others, such as hands,
      are filmed from all around.
    unit: What a lifter takes for 1 m, so that a skeleton of any size is as
      large as a person to its network.

  Raises:
    UserError: The fields contradict each other, or `parents` has a cycle.

  Examples:
    >>> from semgcn_jax import H36M, Skeleton
    >>> arm = Skeleton(('shoulder', 'elbow', 'wrist'), parents=(-1, 0, 1))
    >>> arm.num_joints, arm.root, arm.bones
    (3, 0, ((0, 1), (1, 2)))
    >>> H36M.joints[0], H36M.num_joints
    ('Pelvis', 16)
  """

  joints: tuple[str, ...]
  parents: tuple[int, ...]
  left: tuple[int, ...] = ()
  right: tuple[int, ...] = ()
  groups: tuple[tuple[int, ...], ...] = ()
  joint_sets: tuple[JointSet, ...] = ()
  stands: bool = False
  unit: float = 1.0

  def __post_init__(self):
    numbers = (self.parents, self.left, self.right, *self.groups)
    if not all(
      isinstance(field, tuple) for field in (self.joints, self.groups, *numbers)
    ) or not all(type(n) is int for field in numbers for n in field):
      raise UserError(
        'skeleton: parents, left and right must be lists of whole numbers, and'
        ' groups a list of such lists'
      )
    count = len(self.joints)
    if not all(isinstance(joint, str) for joint in self.joints) or (
      len(set(self.joints)) != count
    ):
      raise UserError('skeleton: joints must be a list of different names')
    if len(self.parents) != count:
      raise UserError(
        f'skeleton: {count} joints but {len(self.parents)} parents;'
        ' give one parent per joint, -1 for the root'
      )
    self._check_tree()
    sides = self.left + self.right
    if len(self.left) != len(self.right) or len(set(sides)) != len(sides):
      raise UserError(
        'skeleton: left and right must pair distinct joints, one to one'
      )
    if any(not 0 <= joint < count for joint in sides):
      raise UserError(
        f'skeleton: left and right must be joint indices, 0 to {count - 1}'
      )
    if not are_whole(self.groups, count):
      raise UserError(
        'skeleton: the groups must hold every joint exactly once;'
        ' give none to switch pooling off'
      )
    points = [point for own in self.joint_sets for point in own.points]
    if len({*points, *self.joints}) < len(points) + count:
      raise UserError(
        'skeleton: the name of a joint set and one of its keypoints together'
        ' read like another name; rename the joint set'
      )
    if type(self.stands) is not bool:
      raise UserError('skeleton: stands must be true or false')
    if type(self.unit) not in (int, float) or not 0 < self.unit < np.inf:
      raise UserError('skeleton: unit must be a number of metres above 0')

  def _check_tree(self) -> None:
    """Raises a UserError unless the parents form a tree."""
    count = len(self.joints)
    for joint, parent in zip(self.joints, self.parents, strict=True):
      if not -1 <= parent < count:
        raise UserError(
          f'skeleton: the parent of {joint} is {parent};'
          f' give an index from 0 to {count - 1}, or -1 for the root'
        )
    for start in range(count):
      path = [start]
      while self.parents[path[-1]] != -1:
        path.append(self.parents[path[-1]])
        if path[-1] in path[:-1]:
          cycle = ' -> '.join(self.joints[i] for i in path)
          raise UserError(
            f'skeleton: the parents form a cycle, {cycle};'
            ' correct the parents so that every joint leads to the root'
          )
    if self.parents.count(-1) != 1:
      raise UserError(
        f'skeleton: {self.parents.count(-1)} joints have parent -1;'
        ' exactly one joint is the root'
      )

  @property
  def fingerprint(self) -> str:
    """A hash of the fields that weights depend on."""
    fields = dataclasses.asdict(self)
    del fields['stands']
    for name in ('joint_sets', 'unit'):  # Older versions had none.
      if fields[name] == getattr(Skeleton, name):
        del fields[name]
    return _hash(fields)

  @property
  def num_joints(self) -> int:
    """The number of joints."""
    return len(self.joints)

  @property
  def num_nodes(self) -> int:
    """The same, of any graph."""
    return self.num_joints

  @property
  def edges(self) -> tuple[tuple[int, int], ...]:
    """The bones, as the edges of a graph."""
    return self.bones

  @property
  def root(self) -> int:
    """The index of the joint without a parent."""
    return self.parents.index(-1)

  @property
  def bones(self) -> tuple[tuple[int, int], ...]:
    """The pairs (parent, child) of all bones, ordered by child."""
    return tuple((p, child) for child, p in enumerate(self.parents) if p != -1)

  @property
  def head(self) -> tuple[int, int] | None:
    """The bone (parent, child) to the joint Head; None if there is none."""
    names = [joint.lower() for joint in self.joints]
    heads = [bone for bone in self.bones if names[bone[1]] == 'head']
    return heads[0] if heads else None

  @property
  def mirror_order(self) -> np.ndarray:
    """The joint that replaces each joint in a mirror image, `[J]`."""
    order = np.arange(self.num_joints)
    order[list(self.left + self.right)] = self.right + self.left
    return order

  def require_sides(self, setting: str) -> None:
    """Raises a SettingError if there are no left and right joints to swap.

    Args:
      setting: The setting that needs them, for the message.
    """
    if not self.left:
      raise SettingError(
        f'`{setting}`: the skeleton has no left and right to swap; leave'
        f' `{setting}` out, or give `skeleton` its sides'
      )


H36M = Skeleton(
  joints=(
    *('Pelvis', 'RHip', 'RKnee', 'RAnkle', 'LHip', 'LKnee', 'LAnkle'),
    *('Spine', 'Thorax', 'Head'),
    *('LShoulder', 'LElbow', 'LWrist', 'RShoulder', 'RElbow', 'RWrist'),
  ),
  parents=(-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 8, 10, 11, 8, 13, 14),
  left=(4, 5, 6, 10, 11, 12),
  right=(1, 2, 3, 13, 14, 15),
  groups=((2, 3), (5, 6), (1, 4), (0, 7), (8, 9), (14, 15), (11, 12), (10, 13)),
  stands=True,
)

OWN = 'own'  # The name of the joint set of a skeleton's own joints.


def measure_unit(poses: np.ndarray) -> float:
  """Returns what is as large for poses as a metre is for people.

  Args:
    poses: Poses `[N, J, 3]` of any size, metres, the root at the origin.

  Returns:
    1, 2 or 5 times a power of ten, in metres: whatever is closest to how far
    the poses reach from the root.
  """
  reach = np.linalg.norm(poses, axis=-1).max(axis=-1)
  reach = max(float(np.median(reach)), 1e-9)
  power = 10.0 ** np.floor(np.log10(reach))
  units = [float(power * step) for step in (1, 2, 5, 10)]
  return min(units, key=lambda unit: abs(np.log(unit / reach)))


def bone_vectors(positions: Any, skeleton: Skeleton) -> Any:
  """Computes parent minus child for every bone (paper eq. 8).

  Args:
    positions: Positions `[..., J, D]`, of NumPy or JAX.
    skeleton: The skeleton of these J joints.

  Returns:
    The bone vectors, `[..., J - 1, D]`.
  """
  parents, children = zip(*skeleton.bones, strict=True)
  return positions[..., parents, :] - positions[..., children, :]


def join_bones(bones: Any, skeleton: Skeleton) -> Any:
  """Sums bone vectors to positions; the inverse of `bone_vectors`.

  Args:
    bones: The vectors, `[..., J - 1, D]`, of NumPy or JAX.
    skeleton: The skeleton of the J joints.

  Returns:
    The positions, `[..., J, D]`, with the root at the origin.
  """
  paths: dict[int, list[int]] = {skeleton.root: []}
  for index, (parent, child) in enumerate(skeleton.bones):
    paths[child] = [*paths[parent], index]
  joints = [paths[joint] for joint in range(skeleton.num_joints)]
  total: Any = 0
  for depth in range(max(map(len, joints))):
    index = [path[depth] if depth < len(path) else 0 for path in joints]
    there = np.array([[depth < len(path)] for path in joints])
    total = total - bones[..., index, :] * there
  return total


def mirror(positions: Any, skeleton: Skeleton) -> Any:
  """Mirrors poses in x and swaps their left and right joints.

  As is usual, 2D is mirrored about the image center. The exact mirror would be
  at the principal point (on average 28 pixels away for Human3.6M's cameras),
  which is not always known for detected 2D.

  Args:
    positions: Positions `[..., J, D]`, of NumPy or JAX: 2D on the normalized
      screen, or 3D in the camera frame.
    skeleton: The skeleton of these J joints.

  Returns:
    The mirrored poses, `[..., J, D]`.
  """
  sign = np.ones(positions.shape[-1], np.float32)
  sign[0] = -1
  return positions[..., skeleton.mirror_order, :] * sign


def load_skeleton(name: str) -> Skeleton:
  """Returns a built-in skeleton, or reads one from a JSON file.

  Args:
    name: A key of `SKELETONS`, or the path of a JSON object with `joints`,
      `parents` and, optionally, `left`, `right`, `groups`, `joint_sets`,
      `stands` and `unit`. Joint sets are {name: {'names': those of its joints,
      'sources': {joint of the skeleton: names of the joints that it is the
      mean of}, 'counts': other numbers of keypoints to know it by}}; a joint
      without sources is the one of its name, if any.

  Raises:
    SettingError: There is no such name or file.
    UserError: The file does not contain a valid skeleton.
  """
  if name in SKELETONS:
    return SKELETONS[name]
  try:
    fields = json.loads(read_text(name))
    sets = fields.pop('joint_sets', {})
    fields = {key: to_tuple(value) for key, value in fields.items()}
    fields['joint_sets'] = tuple(
      _read_joint_set(key, entry, fields['joints'])
      for key, entry in sets.items()
    )
    skeleton = Skeleton(**fields)
    # Files of older versions do not say that it stands.
    is_h36m = dataclasses.replace(skeleton, stands=True) == H36M
    return H36M if is_h36m else skeleton
  except UserError as error:
    raise UserError(f'{name}: {error}') from error
  except FileNotFoundError as error:
    raise SettingError(
      f'`skeleton={name}`: neither a file nor one of {listed(SKELETONS)}'
    ) from error
  except (
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
    RecursionError,
  ) as error:
    raise UserError(
      f'`skeleton={name}`: not a skeleton ({shortened(error, 200)}); give a'
      ' JSON object with joints, parents and, optionally, left, right, groups,'
      ' joint_sets, stands, unit'
    ) from error


def _read_joint_set(
  name: str, entry: dict[str, Any], joints: tuple[str, ...]
) -> JointSet:
  """Reads a joint set of a skeleton's file; see `load_skeleton`."""
  where = f'skeleton: joint set {name}'
  if name == OWN:
    raise UserError(f'{where}: is the name of its own joints; take another')
  if not name or ',' in name:
    raise UserError(f'{where}: give a name without commas')
  names, named, counts = _joint_set_fields(entry, where)
  if unknown := [joint for joint in named if joint not in joints]:
    raise UserError(f'{where}: {unknown[0]} is not a joint of the skeleton')
  sources = []
  for joint in joints:
    own = named.get(joint, [joint] if joint in names else [])
    for point in own:
      if point not in names:
        raise UserError(
          f'{where}: has no {point}, of which {joint} is the mean'
        )
    sources.append(tuple(map(names.index, own)))
  if not any(sources):
    raise UserError(
      f'{where}: no joint derives from it; name them in `sources`, or alike'
    )
  # Detectors do not mark the joints themselves, but points near them.
  points = tuple(f'{name} {own}' for own in names)
  return JointSet(name, names, tuple(sources), points, counts)


def _joint_set_fields(
  entry: Any, where: str
) -> tuple[tuple[str, ...], dict[str, list[str]], tuple[int, ...]]:
  """Returns the names, sources and counts of a joint set, if they are valid."""

  def are_names(value):
    return (
      isinstance(value, list)
      and all(isinstance(name, str) and name for name in value)
      and len({*value}) == len(value)
    )

  entry = entry if isinstance(entry, dict) else {}
  if wrong := entry.keys() - {'names', 'sources', 'counts'}:
    raise UserError(
      f'{where}: has no {min(wrong)}; give names, sources and counts'
    )
  names, named = entry.get('names'), entry.get('sources', {})
  counts = entry.get('counts', [])
  if not are_names(names) or not names:
    raise UserError(f'{where}: names must be a list of different names')
  if not isinstance(named, dict) or not all(map(are_names, named.values())):
    raise UserError(
      f'{where}: sources must be {{joint: list of different names}}'
    )
  if not isinstance(counts, list) or not all(
    type(count) is int and count >= len(names) for count in counts
  ):
    raise UserError(
      f'{where}: counts must be a list of whole numbers, from {len(names)}'
    )
  return tuple(names), named, tuple(counts)


def save_skeleton(skeleton: Any, path: pathlib.Path) -> None:
  """Writes a skeleton, or a graph, as the JSON file that is read again."""
  fields = dataclasses.asdict(skeleton)
  if isinstance(skeleton, Skeleton):
    fields['joint_sets'] = {
      own.name: {
        'names': own.names,
        'sources': {
          joint: [own.names[index] for index in source]
          for joint, source in zip(skeleton.joints, own.sources, strict=True)
        },
        'counts': own.counts,
      }
      for own in skeleton.joint_sets
    }
  write_text(path, json.dumps(fields) + '\n')


def fingerprint_of(value: Any) -> str:
  """Hashes all fields of a dataclass."""
  return _hash(dataclasses.asdict(value))


def _hash(fields: dict[str, Any]) -> str:
  return hashlib.sha256(json.dumps(fields).encode()).hexdigest()


def to_tuple(value: Any) -> Any:
  """Converts nested lists and arrays to tuples, which are hashable."""
  if isinstance(value, np.ndarray):
    value = value.tolist()
  if isinstance(value, list | tuple):
    return tuple(to_tuple(item) for item in value)
  return value


def _built_in(name: str) -> Skeleton:
  path = importlib.resources.files('semgcn_jax.geometry') / f'{name}.json'
  with importlib.resources.as_file(path) as file:
    return load_skeleton(str(file))


SKELETONS = {'h36m': H36M}
# A hand, with the joints of MediaPipe's hand landmarks, in their order.
HAND = SKELETONS['hand'] = _built_in('hand')
