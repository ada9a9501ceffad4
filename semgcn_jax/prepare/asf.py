"""Acclaim motion capture: skeletons (.asf) and motions (.amc)."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from semgcn_jax.errors import UserError

ROOT_CHANNELS = ('TX', 'TY', 'TZ', 'RX', 'RY', 'RZ')


@dataclasses.dataclass(frozen=True)
class Bone:
  """A bone of an .asf file.

  Attributes:
    parent: name of the parent bone, 'root' at the start.
    offset: `[3]`, from its start to its end in the neutral pose, file units.
    axis: `[3, 3]`, rotation of the bone's own axis frame.
    channels: which of rx, ry, rz a motion gives, in its order.
  """

  parent: str
  offset: np.ndarray
  axis: np.ndarray
  channels: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Asf:
  """An .asf file.

  Attributes:
    path: the file, for messages.
    bones: {name: Bone}, parents first, without the root.
    metres: length of the file's unit.
  """

  path: pathlib.Path
  bones: dict[str, Bone]
  metres: float

  @property
  def channels(self) -> dict[str, tuple[str, ...]]:
    """Channels of the root and of every bone that has some."""
    moving = {n: b.channels for n, b in self.bones.items() if b.channels}
    return {'root': ROOT_CHANNELS} | moving


def read_asf(path: pathlib.Path) -> Asf:
  """Reads a skeleton.

  Raises:
    UserError: not an .asf file, cut off, or of a form that CMU does not use.
  """
  try:
    return _parse_asf(path, path.read_text(encoding='latin1'))
  except OSError as error:
    raise UserError(f'{path}: {error.strerror}') from error
  except (ValueError, KeyError, IndexError, ZeroDivisionError) as error:
    raise UserError(
      f'{path}: cut off, or not an .asf skeleton ({error})'
    ) from error


def _parse_asf(path: pathlib.Path, text: str) -> Asf:
  sections = {}
  for part in text.split('\n:')[1:]:
    name, _, body = part.partition('\n')
    name, *values = name.split()
    sections[name] = (values, body)
  units = dict(
    line.split() for line in sections['units'][1].splitlines() if line
  )
  if units['angle'] != 'deg':
    raise ValueError('its angles are not in degrees')
  root = sections['root'][1].upper()
  if 'ORDER ' + ' '.join(ROOT_CHANNELS) not in ' '.join(root.split()):
    raise ValueError('its root order is not TX TY TZ RX RY RZ')
  parents = {}
  for line in sections['hierarchy'][1].splitlines():
    parent, *children = line.split() or ('begin',)
    parents |= {child: parent for child in children}
  described = {}
  for block in sections['bonedata'][1].split('begin')[1:]:
    fields = {}
    for line in block.partition('end')[0].splitlines():
      if line.strip():
        key, *values = line.split()
        fields[key] = values
    described[fields['name'][0]] = _bone(fields, parents)
  bones, left = {}, dict(described)
  while left:
    ready = [
      n for n, b in left.items() if b.parent == 'root' or b.parent in bones
    ]
    if not ready:
      raise ValueError(f'its hierarchy does not reach {", ".join(left)}')
    bones |= {name: left.pop(name) for name in ready}
  # The unit is 1 / length inches.
  return Asf(path, bones, 0.0254 / float(units['length']))


def _bone(fields: dict[str, list[str]], parents: dict[str, str]) -> Bone:
  name = fields['name'][0]
  *angles, order = fields['axis']
  if order != 'XYZ':
    raise ValueError(f'axis order {order} of {name}')
  direction = np.array([float(x) for x in fields['direction']])
  bone = Bone(
    parent=parents[name],
    offset=direction * float(fields['length'][0]),
    axis=rotation(np.array([float(x) for x in angles])),
    channels=tuple(fields.get('dof', ())),
  )
  if not (np.isfinite(bone.offset).all() and np.isfinite(bone.axis).all()):
    raise ValueError(f'{name} holds what is not a number')
  channels = set(bone.channels)
  if not channels <= {'rx', 'ry', 'rz'} or len(channels) < len(bone.channels):
    raise ValueError(f'dof of {name}')
  return bone


def rotation(degrees: np.ndarray) -> np.ndarray:
  """Makes rotations about the fixed x, then y, then z axis.

  Args:
    degrees: `[3]` or `[T, 3]`.

  Returns:
    `[3, 3]` or `[T, 3, 3]`.
  """
  return Rotation.from_euler('xyz', degrees, degrees=True).as_matrix()


def read_amc(path: pathlib.Path, asf: Asf) -> dict[str, np.ndarray]:
  """Reads a motion.

  Args:
    path: the .amc file.
    asf: its skeleton.

  Returns:
    {'root' or bone: `[T, channels]` float64}, degrees; the root's first three
    are its position in file units.

  Raises:
    UserError: names the line that is cut off, not a number, or of another
      skeleton.
  """
  try:
    data = path.read_bytes()
  except OSError as error:
    raise UserError(f'{path}: {error.strerror}') from error
  start = data.find(b'\n1\n') if b'\r' not in data else -1
  tokens = data[start:].split() if start >= 0 else []
  layout = _layout(tokens, asf)
  size = layout[-1][2] if layout else 0
  frames, rest = divmod(len(tokens), size) if size else (0, 1)
  try:
    if rest:
      raise ValueError
    # Every frame has the same tokens: its number, then names and numbers.
    if list(map(int, tokens[::size])) != list(range(1, frames + 1)):
      raise ValueError
    motion = {}
    for name, first, last in layout:
      if set(tokens[first - 1 :: size]) != {name.encode()}:
        raise ValueError
      columns = [list(map(float, tokens[i::size])) for i in range(first, last)]
      motion[name] = np.array(columns).T
      if not np.isfinite(motion[name]).all():
        raise ValueError
    return motion
  except ValueError:
    # Slower, but says which line is wrong, and takes what is only unusual.
    return _read_amc_by_lines(path, data, asf)


def _layout(tokens: Sequence[bytes], asf: Asf) -> list[tuple[str, int, int]]:
  """(bone, first, last + 1) of the numbers in the first frame's tokens."""
  layout, place = [], 1
  channels = asf.channels
  while place < len(tokens) and tokens[place] != b'2':
    name = tokens[place].decode('latin1')
    if name not in channels:
      return []
    last = place + 1 + len(channels[name])
    layout.append((name, place + 1, last))
    place = last
  return layout if len(layout) == len(channels) else []


def _read_amc_by_lines(
  path: pathlib.Path, data: bytes, asf: Asf
) -> dict[str, np.ndarray]:
  channels, frames, last = asf.channels, [], 0
  for number, line in enumerate(data.decode('latin1').splitlines(), start=1):
    where = f'{path}:{number}'
    name, *values = line.split() or ('#',)
    if name[0] in '#:':
      continue
    if name.isdigit() and not values:
      _check_frame(frames, channels, where)
      if frames and int(name) != last + 1:
        raise UserError(f'{where}: frame {name} follows frame {last}')
      last = int(name)
      frames.append({})
      continue
    if not frames:
      raise UserError(f'{where}: not an .amc motion: no frame number before it')
    if name not in channels:
      raise UserError(
        f'{where}: {name} does not move in {asf.path.name}; the motion is of'
        ' another skeleton'
      )
    try:
      frames[-1][name] = [float(value) for value in values]
      finite = np.isfinite(frames[-1][name]).all()
    except ValueError:
      finite = False
    if not finite:
      raise UserError(f'{where}: {line.strip()!r:.80} holds no proper number')
    if len(values) != len(channels[name]):
      raise UserError(
        f'{where}: {len(values)} numbers for {name}, not {len(channels[name])};'
        ' the line is cut off, or of another skeleton'
      )
  where = f'{path}, at its end'
  _check_frame(frames, channels, where)
  if not frames:
    raise UserError(f'{where}: not an .amc motion: no frame')
  return {
    name: np.array([frame[name] for frame in frames]) for name in channels
  }


def _check_frame(
  frames: list[dict[str, list[float]]],
  channels: dict[str, tuple[str, ...]],
  where: str,
) -> None:
  missing = [name for name in channels if frames and name not in frames[-1]]
  if missing:
    raise UserError(
      f'{where}: the frame before lacks {", ".join(missing)}; the file is cut'
      ' off, or of another skeleton'
    )


def bone_ends(asf: Asf, motion: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Forward kinematics.

  Args:
    asf: the skeleton.
    motion: of `read_amc`, T frames.

  Returns:
    {'root' or bone: where it ends, `[T, 3]`}, metres, y up.
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
