"""Motion capture in Biovision's format (.bvh)."""

import dataclasses
import pathlib
import re
from collections.abc import Iterator

import numpy as np

from semgcn_jax.errors import UserError, shortened
from semgcn_jax.files import read_text
from semgcn_jax.prepare.asf import MAX_VALUE, rotation

_CHANNELS = tuple(
  f'{axis}{kind}' for kind in ('position', 'rotation') for axis in 'XYZ'
)


@dataclasses.dataclass(frozen=True)
class Joint:
  """A joint of a .bvh file.

  Attributes:
    parent: The name of the parent joint; None for the root.
    offset: Its position x, y, z in the parent's frame, in the file's unit.
    channels: Its positions and rotations in a frame, in order.
  """

  parent: str | None
  offset: tuple[float, ...]
  channels: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Bvh:
  """The content of a .bvh file.

  Attributes:
    joints: {name: joint}, with parents first; an end site is '<parent> End'.
    motion: All channels, `[T, channels]` float64, in degrees and the file's
      unit.
    frame_time: The time between frames, in seconds.
  """

  joints: dict[str, Joint]
  motion: np.ndarray
  frame_time: float


def read_bvh(path: pathlib.Path) -> Bvh:
  """Reads a .bvh file.

  Raises:
    UserError: The file cannot be read, is cut off, is not a .bvh file, or has
      a bad number in a line, which the message names.
  """
  try:
    text = read_text(path, 'latin1')
    # A joint may be called MOTION as well.
    begin = re.search(r'(?<![^\s}])MOTION\s+(?=Frames\s*:)', text, re.I)
    if begin is None:
      raise ValueError('no MOTION with Frames:')
    head = text[: begin.start()]
    joints = _hierarchy(iter(head.split()))
    first = text.count('\n', 0, begin.end()) + 1
    numbered = enumerate(text[begin.end() :].split('\n'), start=first)
    rows = [(number, line) for number, line in numbered if line.strip()]
    count = int(_after('Frames', rows[0][1]))
    frame_time = float(_after('Frame Time', rows[1][1]))
    if count < 1 or not 0 < frame_time < 10:
      raise ValueError(f'{count} frames of {frame_time} s')
  except OSError as error:
    raise UserError(f'{path}: {error.strerror}') from error
  except (ValueError, StopIteration, IndexError) as error:
    reason = shortened(error, 100) or 'it ends'
    raise UserError(
      f'{path}: cut off, or not a .bvh motion ({reason})'
    ) from error
  rows = rows[2:]
  size = sum(len(joint.channels) for joint in joints.values())
  # A T-pose put before a motion may not be counted.
  if len(rows) not in (count, count + 1):
    raise UserError(
      f'{path}: has {len(rows)} frames, not {count}; the file is cut off, or'
      ' several were joined'
    )
  return Bvh(joints, _numbers(path, rows, size), frame_time)


def _after(key: str, line: str) -> str:
  """Returns the word after a key and a colon; raises a ValueError if none."""
  words = key.replace(' ', r'\s+')
  found = re.fullmatch(rf'\s*{words}\s*:\s*(\S+)\s*', line, re.I)
  if found is None:
    raise ValueError(f'no {key}:')
  return found[1]


def _hierarchy(tokens: Iterator[str]) -> dict[str, Joint]:
  """Parses the joints; raises a ValueError or the like if it cannot."""
  if next(tokens) != 'HIERARCHY':
    raise ValueError('no HIERARCHY')
  joints: dict[str, Joint] = {}
  parents: list[str] = []
  while True:
    match next(tokens, None):
      case 'ROOT' | 'JOINT':
        name = next(tokens)
      case 'End':
        name = f'{parents[-1]} {next(tokens).replace("Site", "End")}'
      case '}' if parents:
        parents.pop()
        continue
      case None if joints and not parents:
        return joints
      case token:
        raise ValueError(f'unexpected {shortened(token)}')
    if next(tokens) != '{' or name in joints:
      raise ValueError(f'joint {shortened(name)}')
    joints[name] = _joint(tokens, parents[-1] if parents else None, name)
    parents.append(name)


def _joint(tokens: Iterator[str], parent: str | None, name: str) -> Joint:
  """Parses the offset and channels of a joint."""
  if next(tokens) != 'OFFSET':
    raise ValueError(f'{shortened(name)} has no OFFSET')
  offset = tuple([float(next(tokens)) for _ in range(3)])
  if not (np.abs(offset) < MAX_VALUE).all():
    raise ValueError(f'offset of {shortened(name)}')
  if name.endswith(' End'):
    return Joint(parent, offset)
  if next(tokens) != 'CHANNELS':
    raise ValueError(f'{shortened(name)} has no CHANNELS')
  channels = tuple([next(tokens) for _ in range(int(next(tokens)))])
  if not set(channels) <= set(_CHANNELS):
    raise ValueError(f'channels of {shortened(name)}')
  return Joint(parent, offset, channels)


def _numbers(
  path: pathlib.Path, rows: list[tuple[int, str]], size: int
) -> np.ndarray:
  """Parses the frames' lines, each with its number in the file."""
  # Each number takes two characters, so a line too short for that is bad.
  short = next((number for number, row in rows if len(row) + 1 < 2 * size), 0)
  motion = np.empty((0 if short else len(rows), size))
  for index, (number, row) in enumerate(rows):
    try:
      if number == short:
        raise ValueError
      values = list(map(float, row.split()))
      if len(values) != size or not (np.abs(values) < MAX_VALUE).all():
        raise ValueError
      if not short:
        motion[index] = values
    except ValueError:
      raise UserError(
        f'{path}:{number}: does not hold {size:,} proper numbers; the line is'
        ' cut off, or from another skeleton'
      ) from None
  return motion


def joint_positions(bvh: Bvh, frames: slice) -> dict[str, np.ndarray]:
  """Computes joint positions by forward kinematics.

  Args:
    bvh: The content of the file.
    frames: The T frames to compute.

  Returns:
    {joint: `[T, 3]`}, in the file's unit.
  """
  motion = bvh.motion[frames]
  positions, turns, column = {}, {}, 0
  for name, joint in bvh.joints.items():
    offset = np.tile(joint.offset, (len(motion), 1))
    turn = np.tile(np.eye(3), (len(motion), 1, 1))
    for channel in joint.channels:
      axis, kind = 'XYZ'.index(channel[0]), channel[1:]
      if kind == 'position':
        offset[:, axis] += motion[:, column]
      else:
        turn = turn @ _about(axis, motion[:, column])
      column += 1
    if joint.parent is None:
      positions[name], turns[name] = offset, turn
    else:
      parent = turns[joint.parent]
      moved = (parent @ offset[..., None])[..., 0]
      positions[name] = positions[joint.parent] + moved
      turns[name] = parent @ turn
  return positions


def _about(axis: int, degrees: np.ndarray) -> np.ndarray:
  """Builds rotations `[T, 3, 3]` about x, y or z; see `asf.rotation`."""
  angles = np.zeros((len(degrees), 3))
  angles[:, axis] = degrees
  return rotation(angles)
