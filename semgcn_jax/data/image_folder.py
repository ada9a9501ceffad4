"""A folder of images with poses, in this package's own layout.

The folder holds annotations.npz, whose arrays `read` describes, and the images
that it names.
"""

import io
import pathlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from semgcn_jax.config import DataConfig
from semgcn_jax.data.agreement import check_boxes, check_poses
from semgcn_jax.data.npz import unreadable, write_arrays
from semgcn_jax.data.pairs import Pairs, take
from semgcn_jax.data.plausible import MIN_PIXELS, check_3d
from semgcn_jax.errors import SettingError, UserError, listed, shortened
from semgcn_jax.files import read_arrays, replacing
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.pictures.crops import keypoint_boxes, square_boxes, to_crop
from semgcn_jax.pictures.image_files import MAX_SIDE, ImageFiles
from semgcn_jax.pictures.image_scan import note_turns, scan, sound_rows

ANNOTATIONS = 'annotations.npz'
SPLITS = ('train', 'val', 'test')
_QUALITY = 95  # Of the JPEG files to write, out of 100.
_NOT_FOR_FOLDERS = (
  *('cameras', 'keypoints', 'train_subjects', 'test_subjects'),
  *('val_subjects', 'image_aligned'),
)


def read(
  config: DataConfig, skeleton: Skeleton, *, train: bool = True
) -> dict[str, Pairs]:
  """Reads annotations.npz of the folder `data_dir`, and checks the images.

  The file has `names` `[N]`, image paths relative to `image_dir`, or else to
  the folder; `keypoints` `[N, J, 2]`, pixels of the image; `poses` `[N, J, 3]`,
  metres, in the camera frame; and `splits` `[N]`: train, val or test. `boxes`
  `[N, 4]` are optional: left, top, width, height, pixels, extended to squares
  about their center; without them, the crop is the joints' square with a
  margin. `actions` `[N]`, also optional, get scores of their own.

  Args:
    config: The folder, and which of its pairs to take.
    skeleton: The skeleton of the poses.
    train: Whether to read the training and validation pairs too.

  Returns:
    {split: its pairs}: `test`, and with `train` also `train`, and `val` if
    there are any. Unusable images are left out of `train`.

  Raises:
    SettingError: A setting does not work with such a folder.
    UserError: The file is missing, damaged or wrong; or an image to score is
      unusable.
  """
  plain = DataConfig()
  for name in _NOT_FOR_FOLDERS:
    if getattr(config, name) != getattr(plain, name):
      raise SettingError(
        f'`{name}`: does not work with `dataset=images`; leave it out'
      )
  path = pathlib.Path(config.data_dir) / ANNOTATIONS
  arrays = _read_annotations(path, skeleton)
  folder = pathlib.Path(config.image_dir or config.data_dir)
  pairs = {}
  for split in ('test', 'train', 'val') if train else ('test',):
    chosen = arrays['splits'] == split
    if config.actions:
      chosen &= np.isin(arrays['actions'], config.actions)
    test_step = config.test_downsample or config.downsample
    step = config.downsample if split == 'train' else test_step
    rows = np.flatnonzero(chosen)[::step]
    if len(rows):
      some = {name: array[rows] for name, array in arrays.items()}
      pairs[split] = _make_pairs(some, folder, config, skeleton, split)
    elif split != 'val':
      raise UserError(
        f'{path}: its `splits` have no {split} pairs'
        + (f' of {listed(config.actions)}' if config.actions else '')
      )
  return pairs


def _make_pairs(
  arrays: dict[str, np.ndarray],
  folder: pathlib.Path,
  config: DataConfig,
  skeleton: Skeleton,
  split: str,
) -> Pairs:
  """Builds the pairs of a split, without unusable images."""
  boxes, poses = arrays['boxes'], arrays['poses']
  roots = poses[:, skeleton.root]
  paths = tuple(str(folder / name) for name in arrays['names'].tolist())
  names, actions = np.unique(arrays['actions'], return_inverse=True)
  pairs = Pairs(
    inputs=to_crop(arrays['keypoints'], boxes),
    targets=(poses - roots[:, None]).astype(np.float32),
    roots=roots.astype(np.float32),
    cameras=np.zeros(len(poses), np.int32),
    actions=actions.astype(np.int32),
    action_names=tuple(names.tolist()),
    camera_list=(),
    images=ImageFiles(paths, boxes, config.crop_size),
  )
  note_turns(paths, folder)
  problems = scan(paths, boxes)
  if not problems:
    return pairs
  keep = sound_rows(problems, paths, folder, train=split == 'train')
  return take(pairs, keep)


def _read_annotations(
  path: pathlib.Path, skeleton: Skeleton
) -> dict[str, np.ndarray]:
  """Reads and checks the arrays that `read` lists.

  Returns:
    The arrays, with square `boxes`, and the action '' if the file has none.

  Raises:
    UserError: The file is missing, damaged, or not in this layout.
  """
  arrays = _read_file(path)
  needed = ('names', 'keypoints', 'poses', 'splits')
  for name in needed:
    if name not in arrays:
      raise UserError(f'{path}: holds no {name}; it needs {listed(needed)}')
  count, joints = len(np.atleast_1d(arrays['names'])), skeleton.num_joints
  if not count:
    raise UserError(f'{path}: holds no poses')
  shapes = {
    'names': (count,),
    'splits': (count,),
    'actions': (count,),
    'keypoints': (count, joints, 2),
    'poses': (count, joints, 3),
    'boxes': (count, 4),
  }
  arrays = {
    name: _check_array(name, arrays[name], shape, path)
    for name, shape in shapes.items()
    if name in arrays
  }
  # Names may have been made under Windows.
  arrays['names'] = np.char.replace(arrays['names'], '\\', '/')
  _check_names(arrays['names'], path)
  other = sorted(set(arrays['splits'].tolist()) - set(SPLITS))
  if other:
    raise UserError(
      f'{path}: splits has {shortened(repr(other[0]))}; it may have'
      f' {listed(SPLITS)}'
    )
  _check_poses(arrays, path)
  check_poses(arrays['keypoints'], arrays['poses'], skeleton, str(path))
  arrays['boxes'] = _make_boxes(arrays, path)
  arrays.setdefault('actions', np.full(count, ''))
  return arrays


def _read_file(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads the arrays of annotations.npz; raises a UserError if it cannot."""
  try:
    return read_arrays(path)
  except OSError as error:
    raise unreadable(path, error) from error
  except ValueError as error:
    raise UserError(
      f'{path}: cut off or not an npz file ({shortened(error, 100)}); write it'
      ' again'
    ) from error


def _check_array(
  name: str, array: np.ndarray, shape: tuple[int, ...], path: pathlib.Path
) -> np.ndarray:
  """Checks the type, shape and numbers of an array; returns them as float64."""
  kinds = 'U' if name in ('names', 'splits', 'actions') else 'iuf'
  if array.shape != shape or array.dtype.kind not in kinds:
    raise UserError(
      f'{path}: {name} is {array.dtype} {list(array.shape)}, not'
      f' {"text" if kinds == "U" else "numbers"} {list(shape)}'
    )
  if kinds == 'U':
    return array
  bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
  if len(bad):
    raise UserError(f'{path}: {name}[{bad[0]}] is not a number; fix the file')
  return array.astype(np.float64)


def _make_boxes(
  arrays: dict[str, np.ndarray], path: pathlib.Path
) -> np.ndarray:
  """Returns the square of each pair, `[N, 4]`, pixels.

  Raises:
    UserError: A box is empty, much too large, or around someone else.
  """
  keypoints = arrays['keypoints']
  if 'boxes' not in arrays:
    squares = keypoint_boxes(keypoints)
  else:
    empty = np.flatnonzero((arrays['boxes'][:, 2:] <= 0).any(axis=1))
    if len(empty):
      width, height = arrays['boxes'][empty[0], 2:]
      raise UserError(
        f'{path}: boxes[{empty[0]}] has the width {width:g} and the height'
        f' {height:g}; give left, top, width and height in pixels'
      )
    check_boxes(arrays['boxes'], keypoints, str(path))
    squares = square_boxes(arrays['boxes'])
  sides = squares[:, 2]
  bad = np.flatnonzero((sides < 1) | (sides > MAX_SIDE))
  if len(bad):
    raise UserError(
      f'{path}: the crop of pair {bad[0]} has {sides[bad[0]]:g} pixels a side;'
      f' it must have 1 to {MAX_SIDE:,}'
    )
  inside = np.all(np.abs(to_crop(keypoints, squares)) <= 1, axis=-1)
  held, joints = np.sum(inside, axis=1), keypoints.shape[1]
  other = np.flatnonzero(held < joints / 2)
  if len(other):
    raise UserError(
      f'{path}: boxes[{other[0]}] holds {held[other[0]]} of {joints} joints, so'
      ' it misses the person; give left, top, width and height in pixels'
    )
  return squares


def _check_names(names: np.ndarray, path: pathlib.Path) -> None:
  """Raises a UserError if an image would lie outside its folder."""
  for number, name in enumerate(names.tolist()):
    parts = name.split('/')
    if '..' in parts or not parts[0] or ':' in parts[0] or '\0' in name:
      raise UserError(
        f'{path}: names[{number}] is {shortened(repr(name))}; give paths within'
        ' the folder'
      )


def _check_poses(arrays: dict[str, np.ndarray], path: pathlib.Path) -> None:
  """Raises a UserError if the 2D is not in pixels, or the 3D not in metres."""
  keypoints, poses = arrays['keypoints'], arrays['poses']
  empty = np.flatnonzero(~keypoints.any(axis=(1, 2)))
  if len(empty):
    raise UserError(
      f'{path}: keypoints[{empty[0]}] are all zero; leave such pairs out'
    )
  if np.abs(keypoints).max() < MIN_PIXELS:
    raise UserError(f'{path}: keypoints are not in pixels; give pixels')
  for split in np.unique(arrays['splits']).tolist():
    chosen = poses[arrays['splits'] == split]
    check_3d({split: {'poses': chosen}}, str(path), [split])
  behind = np.flatnonzero((poses[..., 2] <= 0).any(axis=1))
  if len(behind):
    raise UserError(
      f'{path}: poses[{behind[0]}] lies behind the camera; give poses in metres'
      ' in the camera frame, not relative to the root'
    )


def write(folder: pathlib.Path, splits: Mapping[str, Pairs]) -> None:
  """Writes pairs with square crops as a folder that `read` reads.

  The crops are JPEG files in the subfolder pictures. The annotations come last,
  so a folder that has them is complete.

  Args:
    folder: The folder; created if needed.
    splits: {split: its pairs} for train, val or test, with images
      `[N, S, S, 3]`, which are read in blocks.

  Raises:
    UserError: The folder cannot be written.
  """
  columns: dict[str, list[np.ndarray]] = {}
  try:
    for split, pairs in splits.items():
      size = pairs.images.shape[1]
      names = np.array(
        [f'pictures/{split}_{n:06}.jpg' for n in range(len(pairs))]
      )
      (folder / 'pictures').mkdir(parents=True, exist_ok=True)
      for start in range(0, len(pairs), 256):
        rows = np.arange(start, min(start + 256, len(pairs)))
        _write_pictures(folder, names[rows], pairs.images[rows])
      for name, array in {
        'names': names,
        'keypoints': (pairs.inputs.astype(np.float64) + 1) * size / 2,
        'poses': pairs.targets + pairs.roots[:, None],
        'boxes': np.tile(np.array([0, 0, size, size]), (len(pairs), 1)),
        'splits': np.full(len(pairs), split),
        'actions': np.array(pairs.action_names)[pairs.actions],
      }.items():
        columns.setdefault(name, []).append(array)
    arrays = {name: np.concatenate(parts) for name, parts in columns.items()}
    write_arrays(folder / ANNOTATIONS, arrays)
  except OSError as error:
    raise UserError(
      f'{folder}: cannot be written ({error.strerror}); give another folder'
    ) from error


def _write_pictures(
  folder: pathlib.Path, names: np.ndarray, pictures: np.ndarray
) -> None:
  """Writes images `[n, S, S, 3]` as JPEG files, several at once."""

  def write_one(name_and_picture):
    name, picture = name_and_picture
    content = io.BytesIO()
    Image.fromarray(picture).save(
      content, 'JPEG', quality=_QUALITY, subsampling=0
    )
    with replacing(folder / name) as temporary:
      temporary.write_bytes(content.getvalue())

  with ThreadPoolExecutor() as pool:
    for _ in pool.map(write_one, zip(names.tolist(), pictures, strict=True)):
      pass
