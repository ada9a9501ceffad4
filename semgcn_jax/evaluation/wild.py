"""Scores a lifter on keypoints that unknown cameras and a detector have made.

The file is an npz of N frames, as `prepare_data.py --film` makes it:

  clean, noisy: keypoints, `[N, J, 3]`, pixels and confidence, 0 if not found
  size: the width and height of each image, `[N, 2]`, pixels
  targets: the poses, `[N, 16, 3]`, metres, camera frame, pelvis at the origin
  focal, root: the focal length, `[N]`, pixels, and the pelvis, `[N, 3]`, metres
  sequence, frame, subject: where a frame is from, `[N]`
"""

import pathlib
from typing import Any

import numpy as np

from semgcn_jax.errors import UserError
from semgcn_jax.evaluation import metrics
from semgcn_jax.lifting.lifter import MIN_KEYPOINTS, Lifter
from semgcn_jax.text_tables import plain_table

SCORES = ('mpjpe', 'n_mpjpe', 'p_mpjpe')
_BATCH = 4096  # How many poses are compared in a call.


def read_wild(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads such a file.

  Raises:
    UserError: The file is missing or damaged, or lacks an array.
  """
  shapes = {
    'clean': (None, None, 3),
    'noisy': (None, None, 3),
    'size': (None, 2),
    'targets': (None, 16, 3),
    'root': (None, 3),
    'focal': (None,),
  }
  try:
    with np.load(path, allow_pickle=False) as file:
      arrays = {name: file[name] for name in shapes}
  except OSError as error:
    raise UserError(
      f'{path}: {error.strerror or "not an npz file"}; make it by `film`'
    ) from error
  except Exception as error:
    raise UserError(
      f'{path}: not keypoints to score ({type(error).__name__}: {error}); make'
      ' it by `film`'
    ) from error
  count = len(arrays['targets'])
  for name, shape in shapes.items():
    array = arrays[name]
    fits = array.ndim == len(shape) and all(
      wanted in (None, there)
      for wanted, there in zip(shape[1:], array.shape[1:], strict=True)
    )
    if not fits or len(array) != count or array.dtype.kind not in 'fiu':
      raise UserError(
        f'{path}: {name} is {array.dtype} of shape {array.shape}; make the file'
        ' again by `film`'
      )
  return arrays


def score_wild(
  lifter: Lifter,
  arrays: dict[str, np.ndarray],
  *,
  joints: str = 'coco',
  use_focal: bool = False,
) -> dict[str, Any]:
  """Scores a lifter, each frame by itself.

  Args:
    lifter: The lifter.
    arrays: The arrays of a file, see `read_wild`.
    joints: The joint set of the keypoints.
    use_focal: Whether to tell the lifter the focal lengths.

  Returns:
    For 'clean' and 'noisy' a dict of the means in mm, 'mpjpe', 'n_mpjpe' and
    'p_mpjpe', of 'expected' (the mean of the expected errors), 'num_poses', and
    'left_out', the frames with fewer than four keypoints.
  """
  result = {}
  for kind in ('clean', 'noisy'):
    errors, lifted, kept = frame_errors(
      lifter, arrays, kind, joints=joints, use_focal=use_focal
    )
    result[kind] = {
      name: float(values.mean()) for name, values in errors.items()
    } | {
      'expected': float(1000 * lifted.errors[kept].mean()),
      'num_poses': int(kept.sum()),
      'left_out': int((~kept).sum()),
    }
  return result


def frame_errors(
  lifter: Lifter,
  arrays: dict[str, np.ndarray],
  kind: str,
  *,
  joints: str = 'coco',
  use_focal: bool = False,
) -> tuple[dict[str, np.ndarray], Any, np.ndarray]:
  """Measures the errors of every frame that has four keypoints.

  Returns:
    {score: the errors of the K frames in mm, `[K]`}, what the lifter returned,
    and which of the frames are scored, `[N]`.
  """
  keypoints = arrays[kind]
  kept = (keypoints[..., 2] > 0).sum(axis=-1) >= MIN_KEYPOINTS
  lifted = lifter.lift(
    keypoints,
    arrays['size'],
    joints,
    focal_length=arrays['focal'] if use_focal else None,
    check=False,
  )
  parts = {name: [] for name in SCORES}
  poses, targets = lifted.poses[kept], arrays['targets'][kept]
  for start in range(0, len(poses), _BATCH):
    rows = np.arange(start, start + _BATCH) % len(poses)
    for name in SCORES:
      errors = getattr(metrics, name)(poses[rows], targets[rows])
      parts[name].append(1000 * np.asarray(errors)[: len(poses) - start])
  return {n: np.concatenate(p) for n, p in parts.items()}, lifted, kept


def format_wild(result: dict[str, Any]) -> str:
  """Formats what `score_wild` returns as the text of a table."""
  rows = [
    [
      kind,
      *(f'{scores[name]:.1f}' for name in (*SCORES, 'expected')),
      str(scores['num_poses']),
      str(scores['left_out']),
    ]
    for kind, scores in result.items()
  ]
  headings = [
    '',
    'MPJPE',
    'N-MPJPE',
    'P-MPJPE',
    'expected',
    'poses',
    'left out',
  ]
  return plain_table(headings, rows)
