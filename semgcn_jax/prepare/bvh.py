"""Motion capture in Biovision's format (.bvh): joints and their angles."""

import dataclasses
import pathlib
from collections.abc import Iterator

import numpy as np

from semgcn_jax.errors import UserError
from semgcn_jax.files import read_text
from semgcn_jax.prepare.asf import rotation

_CHANNELS = tuple(
  f'{axis}{kind}' for kind in ('position', 'rotation') for axis in 'XYZ'
)


@dataclasses.dataclass(frozen=True)
class Joint:
  """A joint of a .bvh file.

  Attributes:
    parent: The name of the parent joint; None for the root.
    offset: The x, y, z of its place in the parent's frame, in the file's unit.
    channels: The positions and rotations that a frame gives for it, in order.
  """

  parent: str | None
  offset: tuple[float, ...]
  channels: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Bvh:
  """The content of a .bvh file.

  Attributes:
    joints: {name: joint}, with parents first; an end site is '<parent> End'.
    motion: The values of all channels, `[T, channels]` float64, in degrees and
      the file's unit.
    frame_time: The time from a frame to the next, in seconds.
  """

  joints: dict[str, Joint]
  motion: np.ndarray
  frame_time: float


def read_bvh(path: pathlib.Path) -> Bvh:
  """Reads a .bvh file.

  Raises:
    UserError: The file cannot be read, is cut off, is no .bvh file, or has a
      bad number in a line, which the message names.
  """
  try:
    text = read_text(path, 'latin1')
    head, found, motion = text.partition('MOTION')
    if not found:
      raise ValueError('no MOTION')
    joints = _hierarchy(iter(head.split()))
    frames, frame_time, *lines = motion.lstrip().splitlines()
    count = int(frames.removeprefix('Frames:'))
    frame_time = float(frame_time.removeprefix('Frame Time:'))
    if count < 1 or not 0 < frame_time < 10:
      raise ValueError(f'{count} frames of {frame_time} s')
  except OSError as error:
    raise UserError(f'{path}: {error.strerror}') from error
  except (ValueError, StopIteration, IndexError) as error:
    raise UserError(
      f'{path}: cut off, or not a .bvh motion ({error or "it ends"})'
    ) from error
  first = head.count('\n') + 4  # The number of the first frame's line.
  size = sum(len(joint.channels) for joint in joints.values())
  rows = [line for line in lines if line.strip()]
  # Whoever puts a T-pose before a motion may forget to count it.
  if len(rows) not in (count, count + 1):
    raise UserError(
      f'{path}: has {len(rows)} frames, not {count}; the file is cut off, or'
      ' put together of several'
    )
  return Bvh(joints, _numbers(path, first, rows, size), frame_time)


def _hierarchy(tokens: Iterator[str]) -> dict[str, Joint]:
  """Parses the joints; a ValueError or the like says why it cannot."""
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
        raise ValueError(f'unexpected {token}')
    if next(tokens) != '{' or name in joints:
      raise ValueError(f'joint {name}')
    joints[name] = _joint(tokens, parents[-1] if parents else None, name)
    parents.append(name)


def _joint(tokens: Iterator[str], parent: str | None, name: str) -> Joint:
  """Parses the offset and channels of a joint."""
  if next(tokens) != 'OFFSET':
    raise ValueError(f'{name} has no OFFSET')
  offset = tuple([float(next(tokens)) for _ in range(3)])
  if not np.isfinite(offset).all():
    raise ValueError(f'offset of {name}')
  if name.endswith(' End'):
    return Joint(parent, offset)
  if next(tokens) != 'CHANNELS':
    raise ValueError(f'{name} has no CHANNELS')
  channels = tuple([next(tokens) for _ in range(int(next(tokens)))])
  if not set(channels) <= set(_CHANNELS):
    raise ValueError(f'channels of {name}')
  return Joint(parent, offset, channels)


def _numbers(
  path: pathlib.Path, first: int, rows: list[str], size: int
) -> np.ndarray:
  """Parses the lines of the frames, of which the first has this number."""
  motion = np.empty((len(rows), size))
  for index, row in enumerate(rows):
    try:
      values = list(map(float, row.split()))
      if len(values) != size or not np.isfinite(values).all():
        raise ValueError
      motion[index] = values
    except ValueError:
      raise UserError(
        f'{path}:{first + index}: does not hold {size} proper numbers; the'
        ' line is cut off, or of another skeleton'
      ) from None
  return motion


def joint_positions(bvh: Bvh, frames: slice) -> dict[str, np.ndarray]:
  """Computes the positions of the joints, by forward kinematics.

  Args:
    bvh: The content of the file.
    frames: The slice of T frames to compute.

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
  """Makes rotations about x, y or z, `[T, 3, 3]`; see `asf.rotation`."""
  angles = np.zeros((len(degrees), 3))
  angles[:, axis] = degrees
  return rotation(angles)
