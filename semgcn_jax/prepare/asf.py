"""Motion capture in Acclaim's format: skeletons (.asf) and motions (.amc)."""

import dataclasses
import pathlib
import re
from collections.abc import Iterator, Sequence

import numpy as np

from semgcn_jax.errors import UserError, shortened
from semgcn_jax.files import read_text

ROOT_CHANNELS = ('TX', 'TY', 'TZ', 'RX', 'RY', 'RZ')
MAX_VALUE = 1e9  # No motion has larger numbers, in any unit.
# The fields of a bone that are read.
_FIELDS = ('name', 'direction', 'length', 'axis', 'dof')


@dataclasses.dataclass(frozen=True)
class Bone:
  """A bone of an .asf file.

  Attributes:
    parent: The name of the parent bone, or 'root'.
    offset: The vector from start to end in the neutral pose, `[3]`, in the
      file's unit.
    axis: The rotation of the bone's own axes, `[3, 3]`.
    channels: The rx, ry and rz in a motion, in its order.
  """

  parent: str
  offset: np.ndarray
  axis: np.ndarray
  channels: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Asf:
  """The skeleton of an .asf file.

  Attributes:
    path: The path of the file, for messages.
    bones: {name: bone}, parents first, without the root.
    metres: The file's unit of length, in metres.
  """

  path: pathlib.Path
  bones: dict[str, Bone]
  metres: float

  @property
  def channels(self) -> dict[str, tuple[str, ...]]:
    """The channels of the root, and of every bone that has any."""
    moving = {n: b.channels for n, b in self.bones.items() if b.channels}
    return {'root': ROOT_CHANNELS} | moving


def read_asf(path: pathlib.Path) -> Asf:
  """Reads a skeleton.

  Raises:
    UserError: The file cannot be read, is cut off, is not an .asf file, or has
      features that CMU does not use.
  """
  try:
    return _parse_asf(path, read_text(path, 'latin1'))
  except OSError as error:
    raise UserError(f'{path}: {error.strerror}') from error
  except (ValueError, KeyError, IndexError, ZeroDivisionError) as error:
    raise UserError(
      f'{path}: cut off, or not an .asf skeleton ({shortened(error, 100)})'
    ) from error


def _parse_asf(path: pathlib.Path, text: str) -> Asf:
  """Parses the text of an .asf file; raises a ValueError or the like."""
  text = re.sub('#.*', '', text)
  sections = {}
  for part in text.split('\n:')[1:]:
    name, _, body = part.partition('\n')
    name, *values = name.split()
    if name.lower() in sections:
      raise ValueError(f'it has two sections {shortened(name)}')
    sections[name.lower()] = (values, body)
  units = dict(
    line.lower().split()
    for line in sections['units'][1].splitlines()
    if line.strip()
  )
  if units['angle'] not in ('deg', 'degrees'):
    raise ValueError('its angles are not in degrees')
  root = sections['root'][1].upper()
  if 'ORDER ' + ' '.join(ROOT_CHANNELS) not in ' '.join(root.split()):
    raise ValueError('its root order is not TX TY TZ RX RY RZ')
  for line in root.splitlines():
    name, *values = line.split() or ('',)
    if name == 'ORIENTATION' and any(float(value) for value in values):
      raise ValueError('its root is rotated, which is not supported')
    if name == 'AXIS' and values != ['XYZ']:
      raise ValueError('the axis of its root is not XYZ')
  parents: dict[str, str] = {}
  for line in sections['hierarchy'][1].splitlines():
    parent, *children = line.split() or ('begin',)
    for child in children if parent != 'begin' else ():
      if child in parents:
        raise ValueError(f'two parents of {shortened(child)}')
      parents[child] = parent
  described: dict[str, Bone] = {}
  for fields in _described(sections['bonedata'][1].splitlines()):
    name = fields['name'][0]
    if name in described or name == 'root':
      raise ValueError(f'two bones are called {shortened(name)}')
    described[name] = _bone(fields, parents)
  bones, left = {}, dict(described)
  while left:
    ready = [
      n for n, b in left.items() if b.parent == 'root' or b.parent in bones
    ]
    if not ready:
      raise ValueError(f'its hierarchy does not reach {", ".join(left)}')
    bones |= {name: left.pop(name) for name in ready}
  length = float(units['length'])
  if not 1e-3 < length < 1e3:
    raise ValueError(f'its unit of length is {length:g}')
  # The field is the number of units per inch, which is 0.0254 metres.
  return Asf(path, bones, 0.0254 / length)


def _described(lines: Sequence[str]) -> Iterator[dict[str, list[str]]]:
  """Yields the fields of each bone, {key: the words after it}."""
  fields: dict[str, list[str]] | None = None
  for line in lines:
    key, *values = line.split() or ('',)
    if key == 'begin':
      if fields is not None:
        raise ValueError('a bone has no end')
      fields = {}
    elif key == 'end' and fields is not None:
      yield fields
      fields = None
    elif key and fields is not None:
      if key in fields and key in _FIELDS:
        raise ValueError(f'two lines {key} in a bone')
      fields[key] = values
  if fields is not None:
    raise ValueError('a bone has no end')


def _bone(fields: dict[str, list[str]], parents: dict[str, str]) -> Bone:
  """Builds a bone from its fields, {key: the words after it}."""
  name = fields['name'][0]
  *angles, order = fields['axis']
  if order != 'XYZ':
    raise ValueError(f'axis order {shortened(order)} of {shortened(name)}')
  direction = np.array([float(x) for x in fields['direction']])
  turn = np.array([float(x) for x in angles])
  length = float(fields['length'][0])
  if direction.shape != (3,) or len(angles) != 3:
    raise ValueError(f'direction or axis of {shortened(name)} is not 3 numbers')
  if not 0 <= length < 1e4:
    raise ValueError(f'the length of {shortened(name)} is {length:g}')
  if not (np.abs([*direction, *turn]) < MAX_VALUE).all():
    raise ValueError(f'{shortened(name)} has an invalid number')
  bone = Bone(
    parent=parents[name],
    offset=direction * length,
    axis=rotation(turn),
    channels=tuple(fields.get('dof', ())),
  )
  channels = set(bone.channels)
  if not channels <= {'rx', 'ry', 'rz'} or len(channels) < len(bone.channels):
    raise ValueError(f'dof of {shortened(name)}')
  return bone


def rotation(degrees: np.ndarray) -> np.ndarray:
  """Builds rotations `[..., 3, 3]` about the fixed x, then y, then z axis.

  Args:
    degrees: The angles about x, y and z, `[..., 3]`.
  """
  # scipy's Rotation differs in the last bits, also between machines.
  angles = np.deg2rad(degrees)
  (cx, cy, cz), (sx, sy, sz) = (
    np.moveaxis(f(angles), -1, 0) for f in (np.cos, np.sin)
  )
  rows = (
    (cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz),
    (cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz),
    (-sy, sx * cy, cx * cy),
  )
  return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def read_amc(path: pathlib.Path, asf: Asf) -> dict[str, np.ndarray]:
  """Reads a motion.

  Args:
    path: The .amc file.
    asf: The skeleton that moves.

  Returns:
    {'root' or bone: `[T, channels]` float64}, in degrees; the root's first
    three channels are its position, in the file's unit.

  Raises:
    UserError: The file cannot be read, its angles are in an unknown unit, or a
      line, which the message names, is cut off, not numeric, repeated in its
      frame, or from another skeleton.
  """
  try:
    lines = read_text(path, 'latin1').splitlines()
  except OSError as error:
    raise UserError(f'{path}: {error.strerror}') from error
  headers = [line for line in lines if line.lstrip().startswith(':')]
  return _in_degrees(path, _read_frames(path, lines, asf), headers)


def _in_degrees(
  path: pathlib.Path, motion: dict[str, np.ndarray], headers: Sequence[str]
) -> dict[str, np.ndarray]:
  """Converts the angles of a motion if a header says they are radians.

  Raises:
    UserError: The headers name another unit of angles, or two.
  """
  units = set()
  for line in headers:
    words = re.findall('[a-z]+', line.partition('#')[0].lower())
    named = {
      unit
      for unit in ('deg', 'rad', 'grad')
      if any(re.fullmatch(f'{unit}(s|ian|ians|ree|rees)?', w) for w in words)
    }
    if {'angle', 'angles'} & set(words):
      named = named or {shortened(line.strip())}
    units |= named
  if not units <= {'deg', 'rad'} or len(units) > 1:
    named = ' and '.join(sorted(units))
    raise UserError(
      f'{path}: its header names the unit of angles {named}; only degrees and'
      ' radians are supported'
    )
  if 'rad' not in units:
    return motion
  motion = {name: np.rad2deg(values) for name, values in motion.items()}
  motion['root'][:, :3] = np.deg2rad(motion['root'][:, :3])
  return motion


def _read_frames(
  path: pathlib.Path, lines: Sequence[str], asf: Asf
) -> dict[str, np.ndarray]:
  """Reads the frames of a motion from its lines; see `read_amc`."""
  widths = {name: len(own) for name, own in asf.channels.items()}
  rows: dict[str, list[float]] = {name: [] for name in widths}
  places: dict[str, list[int]] = {name: [] for name in widths}
  count = last = 0
  for number, line in enumerate(lines, start=1):
    name, *words = line.split() or ('#',)
    if name[0] in '#:':
      continue
    if not words and name.isascii() and name.isdigit():
      _check_frame(places, count, f'{path}:{number}')
      # Python refuses to read numbers of thousands of digits.
      if len(name) > 18 or (count and int(name) != last + 1):
        after = f'follows frame {last}' if count else 'is not a frame number'
        raise UserError(f'{path}:{number}: frame {shortened(name)} {after}')
      last, count = int(name), count + 1
      continue
    if not count or name not in places or len(places[name]) == count:
      raise UserError(
        f'{path}:{number}: {_misplaced(name, last if count else None, asf)}'
      )
    try:
      values = list(map(float, words))
    except ValueError as error:
      raise _no_number(path, number, line) from error
    if len(values) != widths[name]:
      raise UserError(
        f'{path}:{number}: {len(values)} numbers for {name}, not'
        f' {widths[name]}; the line is cut off, or from another skeleton'
      )
    rows[name] += values
    places[name].append(number)
  where = f'{path}, at its end'
  _check_frame(places, count, where)
  if not count:
    raise UserError(f'{where}: not an .amc motion: no frames')
  motion = {name: np.array(rows[name]).reshape(count, -1) for name in rows}
  for name, values in motion.items():
    proper = (np.abs(values) < MAX_VALUE).all(axis=1)
    if not proper.all():
      number = places[name][int(proper.argmin())]
      raise _no_number(path, number, lines[number - 1])
  return motion


def _misplaced(name: str, frame: int | None, asf: Asf) -> str:
  """Says why a line of values cannot be in this frame, or before any."""
  if frame is None:
    return 'not an .amc motion: no frame number before it'
  if name not in asf.channels:
    return (
      f'{shortened(name)} does not move in {asf.path.name}; the motion is from'
      ' another skeleton'
    )
  return (
    f'{name} is in frame {frame} twice; the next frame number, or a line, is'
    ' damaged'
  )


def _no_number(path: pathlib.Path, number: int, line: str) -> UserError:
  """Returns the error for a line with an invalid number."""
  return UserError(f'{path}:{number}: {line.strip()!r:.80} has invalid numbers')


def _check_frame(places: dict[str, list[int]], count: int, where: str) -> None:
  """Raises a UserError if the last of `count` frames lacks a bone."""
  missing = [name for name, own in places.items() if len(own) < count]
  if missing:
    raise UserError(
      f'{where}: the frame before lacks {", ".join(missing)}; the file is cut'
      ' off, or from another skeleton'
    )


def bone_ends(asf: Asf, motion: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Computes the ends of the bones by forward kinematics.

  Args:
    asf: The skeleton.
    motion: A motion from `read_amc`, of T frames.

  Returns:
    {'root' or bone: its end, `[T, 3]`}, in metres, y up.
  """
  root = motion['root']
  ends = {'root': root[:, :3] * asf.metres}
  turns = {'root': rotation(root[:, 3:])}
  for name, bone in asf.bones.items():
    turns[name] = turns[bone.parent]
    if bone.channels:
      angles = np.zeros((len(root), 3))
      for column, channel in enumerate(bone.channels):
        angles[:, ('rx', 'ry', 'rz').index(channel)] = motion[name][:, column]
      turn = bone.axis @ rotation(angles) @ bone.axis.T
      turns[name] = turns[name] @ turn
    offset = turns[name] @ (bone.offset * asf.metres)
    ends[name] = ends[bone.parent] + offset
  return ends
