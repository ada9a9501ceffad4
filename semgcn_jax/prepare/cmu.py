"""The CMU Graphics Lab Motion Capture Database, in its original formats."""

import csv
import functools
import importlib.resources
import pathlib
import re
from collections.abc import Iterator, Sequence

import numpy as np

from semgcn_jax.data.plausible import MAX_SPAN
from semgcn_jax.errors import SettingError, UserError, listed
from semgcn_jax.files import read_text
from semgcn_jax.prepare.asf import bone_ends, read_amc, read_asf
from semgcn_jax.prepare.bvh import Bvh, joint_positions, read_bvh
from semgcn_jax.prepare.recordings import Product, Recording, find_files

_FARTHEST = 1e4  # No recording goes this many metres from the origin.
_SMALLEST = 1e-3  # Every body spans more metres than this.
NATIVE_FPS = 120.0  # The rate of clips without an entry in a table of rates.


def _read_table(name: str) -> list[dict[str, str]]:
  """Reads the rows of a CSV file beside this module."""
  table = importlib.resources.files('semgcn_jax.prepare') / name
  return list(csv.DictReader(table.read_text().splitlines()))


# Each joint of `skeleton.H36M` is the mean of the ends of these bones. The bone
# before the wrist, the radius, ends two thirds down the forearm.
JOINTS = {
  row['joint']: tuple(row['asf'].split('+'))
  for row in _read_table('cmu_joints.csv')
}
# The same for the .bvh conversion of the database (B. Hahne, cgspeed.com),
# whose joints are where the bones of the .asf start. It gives 'Neck' and both
# 'FingerBase' no offset. So the thorax bone (12 cm) is missing: the thorax is
# at its lower end, and head and arms are 12 cm lower. The wrist is at the end
# of the radius.
BVH_JOINTS = {
  row['joint']: tuple(row['bvh'].split('+'))
  for row in _read_table('cmu_joints.csv')
}
BVH_METRES = 0.0254 / 0.45  # The unit of its files, and of every .asf.

_FILE = re.compile(r'(?:.*/)?(?:\d+/\d+\.asf|\d+/\d+_\d+\.amc|\d+_\d+\.bvh)')


def read_clip(path: pathlib.Path, asf: pathlib.Path, stride: int) -> np.ndarray:
  """Reads an .amc motion as poses.

  Args:
    path: The .amc file.
    asf: The .asf file of its skeleton.
    stride: The step between the frames to keep.

  Returns:
    The poses, `[T, 16, 3]` float32, in metres, z up, with the joints of
    `skeleton.H36M`.

  Raises:
    UserError: A file cannot be read; see `read_asf` and `read_amc`.
  """
  skeleton = read_asf(asf)
  motion = read_amc(path, skeleton)
  motion = {name: values[::stride] for name, values in motion.items()}
  return _poses(bone_ends(skeleton, motion), JOINTS, path)


def read_bvh_clip(
  path: pathlib.Path, fps: float, stride: int | None
) -> np.ndarray:
  """Reads a .bvh motion as `read_clip` does an .amc; see `BVH_JOINTS`.

  The T-pose that the conversion puts before a motion is left out.

  Args:
    path: The .bvh file.
    fps: The frames per second to keep.
    stride: The step between the frames to keep; None computes it from the
      file's own rate.

  Raises:
    UserError: The file cannot be read (see `read_bvh`) or lacks a joint.
    SettingError: The file's rate is not a multiple of `fps`.
  """
  bvh = read_bvh(path)
  missing = {joint for joints in BVH_JOINTS.values() for joint in joints}
  missing -= set(bvh.joints)
  if missing:
    raise UserError(
      f'{path}: lacks {listed(sorted(missing))}; not from the CMU database'
    )
  stride = stride or _stride(path.stem, 1 / bvh.frame_time, fps)
  first = 1 if _starts_with_t_pose(bvh, path) else 0
  return _bvh_poses(bvh, slice(first, None, stride), path)


def _bvh_poses(bvh: Bvh, frames: slice, path: pathlib.Path) -> np.ndarray:
  """Computes the poses `[T, 16, 3]` of some frames; see `_poses`."""
  ends = joint_positions(bvh, frames)
  metres = {k: v * BVH_METRES for k, v in ends.items()}
  return _poses(metres, BVH_JOINTS, path)


def _starts_with_t_pose(bvh: Bvh, path: pathlib.Path) -> bool:
  """Whether the first frame is a T-pose: the next one jumps away from it."""
  if len(bvh.motion) < 3:
    return False
  poses = _bvh_poses(bvh, slice(3), path)
  poses -= poses[:, :1]
  leap, step = np.linalg.norm(np.diff(poses, axis=0), axis=-1).mean(axis=-1)
  return leap > max(0.01, 10 * step)


def _poses(
  ends: dict[str, np.ndarray],
  joints: dict[str, tuple[str, ...]],
  path: pathlib.Path,
) -> np.ndarray:
  """Averages named points into joints, and turns y up into z up.

  Args:
    ends: The points, {name: `[T, 3]`}, in metres.
    joints: {joint: the names of the points to average}.
    path: The file, for messages.

  Returns:
    The poses, `[T, joints, 3]` float32, in metres.

  Raises:
    UserError: They cannot be a person's.
  """
  means = [
    sum(ends[name] for name in names) / len(names) for names in joints.values()
  ]
  x, y, z = np.moveaxis(np.stack(means, axis=1), -1, 0)
  poses = np.stack([x, -z, y], axis=-1)
  if not np.abs(poses).max(initial=0) < _FARTHEST:
    raise UserError(
      f'{path}: a joint is {np.abs(poses).max():.3g} m from the origin; fix or'
      ' remove the file'
    )
  span = np.median(np.ptp(poses, axis=1).max(axis=-1)) if len(poses) else 1.0
  if not _SMALLEST < span < MAX_SPAN:
    raise UserError(
      f'{path}: its poses span {span:.3g} m, so it, or its skeleton, is'
      ' damaged; copy it again, or remove it'
    )
  return poses.astype(np.float32)


def wanted(name: str) -> bool:
  """Whether a file with this path (with '/') is read."""
  return bool(_FILE.fullmatch(name))


def find(
  folders: Sequence[pathlib.Path],
  *,
  fps: float,
  benchmark: bool,
  rates: dict[str, float],
) -> Iterator[Product]:
  """Finds motions: NN/NN_MM.amc with their NN/NN.asf, or NN_MM.bvh.

  Args:
    folders: The folders to look in, at any depth.
    fps: The frames per second to keep.
    benchmark: Whether to take only the clips of the benchmark.
    rates: {clip: its frames per second}, if not the usual 120.

  Yields:
    The file of 3D, if there are motions.

  Raises:
    UserError: No motion is in the benchmark, or a skeleton is missing.
    SettingError: The rate of a clip is not a multiple of `fps`.
  """
  motions: dict[str, pathlib.Path] = {}
  for path, _ in find_files(folders, _FILE):
    # If a clip comes in both formats, the original is taken.
    if path.suffix == '.amc':
      motions[path.stem] = path
    elif path.suffix == '.bvh':
      motions.setdefault(path.stem, path)
  if not motions:
    return
  categories = read_categories()
  clips = []
  for name in sorted(motions):
    if benchmark and name not in categories:
      continue
    path, number = motions[name], name.partition('_')[0]
    if path.suffix == '.amc':
      asf = path.with_name(f'{number}.asf')
      if not asf.exists():
        raise UserError(f'{path}: has no skeleton {asf.name} beside it')
      stride = _stride(name, rates.get(name, NATIVE_FPS), fps)
      read = functools.partial(read_clip, path, asf, stride)
    else:
      stride = _stride(name, rates[name], fps) if name in rates else None
      read = functools.partial(read_bvh_clip, path, fps, stride)
    action = f'{categories.get(name, "Other")} {name}'
    clips.append(Recording(f'S{int(number)}', action, read))
  if not clips:
    raise UserError(
      f'{folders[0]}: holds no motion of the benchmark; take `clips=all`'
    )
  clips.sort(key=lambda clip: int(clip.subject[1:]))
  yield Product('cmu', clips)


def _stride(name: str, rate: float, fps: float) -> int:
  """Returns the step between the frames to keep of a clip."""
  stride = round(rate / fps)
  if stride < 1 or abs(stride * fps - rate) > 1e-3 * rate:
    raise SettingError(
      f'`fps={fps:g}`: {name} has {rate:g} frames per second, which is not a'
      ' multiple'
    )
  return stride


def read_categories() -> dict[str, str]:
  """Reads the category of each clip of the benchmark, {clip: category}."""
  return {row['clip']: row['category'] for row in _read_table('cmu_clips.csv')}


def read_rates(path: pathlib.Path) -> dict[str, float]:
  """Reads {clip: its frames per second} from a CSV file.

  Args:
    path: A file with two columns, with or without a header.

  Raises:
    UserError: The file cannot be read, or is not such a table.
  """
  try:
    text = read_text(path, 'utf-8-sig')
  except OSError as error:
    raise UserError(f'{path}: {error.strerror}') from error
  except ValueError as error:
    raise UserError(f'{path}: not a CSV file of text') from error
  rates = {}
  for number, line in enumerate(text.splitlines(), start=1):
    clip, _, rate = line.partition(',')
    if not line.strip() or (number == 1 and not clip.strip()[:1].isdigit()):
      continue
    try:
      rates[clip.strip()] = value = float(rate)
      if not 0 < value < 1e6:
        raise ValueError
    except ValueError as error:
      raise UserError(
        f'{path}:{number}: not a clip and its frames per second'
      ) from error
  return rates
