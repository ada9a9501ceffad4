"""A folder of pictures with poses, in a layout of this package's own.

The folder holds annotations.npz and the pictures that it names. `read` tells
which arrays the file has; `write` makes such a folder.
"""

import io
import pathlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from semgcn_jax.config import DataConfig
from semgcn_jax.data.pairs import Pairs, take
from semgcn_jax.data.plausible import MIN_PIXELS, check_3d
from semgcn_jax.errors import SettingError, UserError, listed, shortened
from semgcn_jax.files import read_arrays, replacing
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.pictures.crops import keypoint_boxes, square_boxes, to_crop
from semgcn_jax.pictures.image_files import MAX_SIDE, ImageFiles
from semgcn_jax.pictures.image_scan import scan, sound_rows

ANNOTATIONS = 'annotations.npz'
SPLITS = ('train', 'val', 'test')
_QUALITY = 95  # Of the JPEG files that are written, of 100.
_NOT_FOR_FOLDERS = (
  *('cameras', 'keypoints', 'train_subjects', 'test_subjects'),
  *('val_subjects', 'image_aligned'),
)


def read(
  config: DataConfig, skeleton: Skeleton, *, train: bool = True
) -> dict[str, Pairs]:
  """Reads annotations.npz of the folder `data_dir`, and looks at the pictures.

  The file has `names` `[N]`, the paths of the pictures within `image_dir`, or
  else within the folder; `keypoints` `[N, J, 2]`, pixels of the picture;
  `poses` `[N, J, 3]`, metres, in the frame of the camera; and `splits` `[N]`:
  train, val or test. It may have `boxes` `[N, 4]`: left, top, width, height,
  pixels, which are made square about their middle; without it the square is
  that of the joints with a margin. It may have `actions` `[N]`, whose scores
  are listed.

  Args:
    config: Names the folder, and says which of its pairs to take.
    skeleton: The skeleton of the poses.
    train: Whether to read the training and validation pairs too.

  Returns:
    {split: its pairs}: `test`, and with `train` also `train`, and `val` if
    there are any. Pictures that cannot be used are left out of `train`.

  Raises:
    SettingError: A setting does not go with such a folder.
    UserError: The file is missing, damaged or wrong; or a picture to score
      cannot be used.
  """
  plain = DataConfig()
  for name in _NOT_FOR_FOLDERS:
    if getattr(config, name) != getattr(plain, name):
      raise SettingError(
        f'`{name}`: does not go with `dataset=images`; leave it out'
      )
  path = pathlib.Path(config.data_dir) / ANNOTATIONS
  arrays = _read_annotations(path, skeleton)
  folder = pathlib.Path(config.image_dir or config.data_dir)
  steps = {
    'test': config.test_downsample or config.downsample,
    'train': config.downsample,
    'val': config.test_downsample or config.downsample,
  }
  pairs = {}
  for split in ('test', 'train', 'val') if train else ('test',):
    chosen = arrays['splits'] == split
    if config.actions:
      chosen &= np.isin(arrays['actions'], config.actions)
    rows = np.flatnonzero(chosen)[:: steps[split]]
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
  """Makes the pairs of a split, without pictures that cannot be used."""
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
  problems = scan(paths, boxes)
  if not problems:
    return pairs
  keep = sound_rows(problems, paths, folder, train=split == 'train')
  return take(pairs, keep)


def _read_annotations(
  path: pathlib.Path, skeleton: Skeleton
) -> dict[str, np.ndarray]:
  """Reads annotations.npz and checks all that can be checked of it.

  Returns:
    The arrays that `read` lists, with square `boxes`, and with the action ''
    where the file has none.

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
  _check_names(arrays['names'], path)
  other = sorted(set(arrays['splits'].tolist()) - set(SPLITS))
  if other:
    raise UserError(
      f'{path}: splits has {shortened(repr(other[0]))}; it may have'
      f' {listed(SPLITS)}'
    )
  _check_poses(arrays, path)
  arrays['boxes'] = _make_boxes(arrays, path)
  arrays.setdefault('actions', np.full(count, ''))
  return arrays


def _read_file(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads the arrays of annotations.npz; a UserError says if it cannot."""
  try:
    return read_arrays(path)
  except FileNotFoundError as error:
    raise UserError(
      f'{path}: no such file; give its folder with `data_dir` (docs/data.md'
      ' says what is in it)'
    ) from error
  except OSError as error:
    raise UserError(f'{path}: {error.strerror or error}') from error
  except ValueError as error:
    raise UserError(
      f'{path}: cut off or not an npz file ({shortened(error, 100)}); write it'
      ' again'
    ) from error


def _check_array(
  name: str, array: np.ndarray, shape: tuple[int, ...], path: pathlib.Path
) -> np.ndarray:
  """Checks the type, the shape and the numbers of an array.

  Returns:
    The array; numbers as float64.

  Raises:
    UserError: It is of another type or shape, or a number is not finite.
  """
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
    raise UserError(f'{path}: {name}[{bad[0]}] is not a number; mend the file')
  return array.astype(np.float64)


def _make_boxes(
  arrays: dict[str, np.ndarray], path: pathlib.Path
) -> np.ndarray:
  """Makes the square of each pair, `[N, 4]`, pixels.

  Raises:
    UserError: A box is empty, much too large, or about somebody else.
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
      ' it is not about the person; give left, top, width and height in pixels'
    )
  return squares


def _check_names(names: np.ndarray, path: pathlib.Path) -> None:
  """Raises a UserError if a picture would lie outside of its folder."""
  for number, name in enumerate(names.tolist()):
    parts = name.replace('\\', '/').split('/')
    if '..' in parts or not parts[0] or ':' in parts[0] or '\0' in name:
      raise UserError(
        f'{path}: names[{number}] is {shortened(repr(name))}; give paths within'
        ' the folder'
      )


def _check_poses(arrays: dict[str, np.ndarray], path: pathlib.Path) -> None:
  """Raises a UserError if the 2D are not pixels, or the 3D not metres."""
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
      ' in the frame of the camera, not relative to the root'
    )


def write(folder: pathlib.Path, splits: Mapping[str, Pairs]) -> None:
  """Writes pairs with square pictures as a folder that `read` reads.

  The pictures are JPEG files of the folder pictures. The annotations come last,
  so that a folder that has them is complete.

  Args:
    folder: The folder; it is made if need be.
    splits: {split: its pairs}, whose splits are train, val or test. They must
      have images, `[N, S, S, 3]`, which are read in blocks.

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
      actions = np.array(pairs.action_names)[pairs.actions]
      for name, array in (
        ('names', names),
        ('keypoints', (pairs.inputs.astype(np.float64) + 1) * size / 2),
        ('poses', pairs.targets + pairs.roots[:, None]),
        ('boxes', np.tile(np.array([0, 0, size, size]), (len(pairs), 1))),
        ('splits', np.full(len(pairs), split)),
        ('actions', actions),
      ):
        columns.setdefault(name, []).append(array)
    arrays = {name: np.concatenate(parts) for name, parts in columns.items()}
    with (
      replacing(folder / ANNOTATIONS) as temporary,
      open(temporary, 'wb') as file,
    ):
      np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]
  except OSError as error:
    raise UserError(
      f'{folder}: cannot be written ({error.strerror}); give another folder'
    ) from error


def _write_pictures(
  folder: pathlib.Path, names: np.ndarray, pictures: np.ndarray
) -> None:
  """Writes pictures `[n, S, S, 3]` as JPEG files, several at once."""

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
