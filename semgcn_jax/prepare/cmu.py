"""The CMU Graphics Lab Motion Capture Database, from its own files."""

import csv
import dataclasses
import importlib.resources
import pathlib

import numpy as np

from semgcn_jax.errors import FlagError, UserError
from semgcn_jax.prepare.asf import Asf, bone_ends, read_amc, read_asf

NATIVE_FPS = 120.0

# Where each joint of `skeleton.H36M` is: the mean of these bones' ends.
JOINTS = {
  'Pelvis': ('lhipjoint', 'rhipjoint'),
  'RHip': ('rhipjoint',),
  'RKnee': ('rfemur',),
  'RAnkle': ('rtibia',),
  'LHip': ('lhipjoint',),
  'LKnee': ('lfemur',),
  'LAnkle': ('ltibia',),
  'Spine': ('lowerback',),
  'Thorax': ('thorax',),
  'Head': ('head',),
  'LShoulder': ('lclavicle',),
  'LElbow': ('lhumerus',),
  # The radius is only two thirds of the forearm.
  'LWrist': ('lwrist',),
  'RShoulder': ('rclavicle',),
  'RElbow': ('rhumerus',),
  'RWrist': ('rwrist',),
}


def read_clip(path: pathlib.Path, asf: Asf, stride: int) -> np.ndarray:
  """Reads a motion as poses.

  Args:
    path: the .amc file.
    asf: its skeleton.
    stride: keep every stride-th frame, from the first.

  Returns:
    `[T, 16, 3]` float32, metres, z up, joints as `skeleton.H36M`.

  Raises:
    UserError: see `read_amc`.
  """
  motion = read_amc(path, asf)
  ends = bone_ends(asf, {name: v[::stride] for name, v in motion.items()})
  joints = [
    sum(ends[bone] for bone in bones) / len(bones) for bones in JOINTS.values()
  ]
  x, y, z = np.moveaxis(np.stack(joints, axis=1), -1, 0)
  return np.stack([x, -z, y], axis=-1).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Clip:
  """A motion to convert.

  Attributes:
    subject: 'S<number>'.
    action: '<category> <clip>'.
    asf: file of the skeleton.
    amc: file of the motion.
    stride: keep every stride-th frame.
  """

  subject: str
  action: str
  asf: pathlib.Path
  amc: pathlib.Path
  stride: int


def find_tree(source: pathlib.Path) -> pathlib.Path | None:
  """The folder that holds NN/NN.asf, at `source` or just below."""
  for folder in (source, *sorted(source.glob('**/subjects'))):
    if any(folder.glob('[0-9]*/[0-9]*.asf')):
      return folder
  return None


def find_clips(
  folder: pathlib.Path,
  *,
  fps: float,
  benchmark: bool,
  rates: dict[str, float],
) -> list[Clip]:
  """The motions of the database's tree, `folder`/NN/NN_MM.amc.

  Args:
    folder: 'subjects' of the database.
    fps: frames per second to keep.
    benchmark: only the clips of the benchmark.
    rates: {clip: frames per second} where it is not 120.

  Raises:
    UserError: no motions, a missing skeleton.
    FlagError: a rate that is not a multiple of fps.
  """
  categories = read_categories()
  clips = []
  for amc in sorted(folder.glob('*/*.amc')):
    clip = amc.stem
    if benchmark and clip not in categories:
      continue
    number = amc.parent.name
    asf = amc.parent / f'{number}.asf'
    if not number.isdigit() or not asf.exists():
      raise UserError(f'{amc}: has no skeleton {asf.name} beside it')
    rate = rates.get(clip, NATIVE_FPS)
    stride = round(rate / fps)
    if stride < 1 or abs(stride * fps - rate) > 1e-6 * rate:
      raise FlagError(
        f'--fps={fps:g}: {clip} has {rate:g} frames per second, which is not a'
        ' multiple'
      )
    action = f'{categories.get(clip, "Other")} {clip}'
    clips.append(Clip(f'S{int(number)}', action, asf, amc, stride))
  if not clips:
    kind = (
      'no motion of the benchmark; take --clips=all'
      if benchmark
      else ('no motion NN/NN_MM.amc')
    )
    raise UserError(f'{folder}: holds {kind}')
  return clips


def read_categories() -> dict[str, str]:
  """{clip: category} of the benchmark's clips."""
  table = importlib.resources.files('semgcn_jax.prepare') / 'cmu_clips.csv'
  return {
    row['clip']: row['category']
    for row in csv.DictReader(table.read_text().splitlines())
  }


def read_rates(path: pathlib.Path) -> dict[str, float]:
  """{clip: frames per second} of a CSV of two columns.

  Raises:
    UserError: no such file, or not such a table.
  """
  rates = {}
  try:
    for number, row in enumerate(csv.reader(open(path, newline='')), start=1):
      if not row or (number == 1 and not row[0].strip()[:1].isdigit()):
        continue
      clip, rate = row
      rates[clip.strip()] = float(rate)
  except OSError as error:
    raise UserError(f'{path}: {error.strerror}') from error
  except ValueError as error:
    raise UserError(
      f'{path}:{number}: not a clip and its frames per second'
    ) from error
  return rates


def convert(clip: Clip) -> np.ndarray:
  """The poses of a clip; see `read_clip`."""
  return read_clip(clip.amc, read_asf(clip.asf), clip.stride)
