"""Films recorded motion with unknown cameras, as a detector's keypoints.

The file is a test for lifters; see `evaluation.wild`. `simulation.test_films`
describes the cameras and the detector.
"""

import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from semgcn_jax.data.npz import read_poses_3d, write_arrays
from semgcn_jax.data.pairs import action_name
from semgcn_jax.errors import SettingError, UserError, counted, listed
from semgcn_jax.geometry.skeletons import H36M, bone_vectors
from semgcn_jax.runs.folder import check_output
from semgcn_jax.simulation import test_films


def film(
  path: pathlib.Path,
  output: pathlib.Path,
  *,
  subjects: Sequence[str] = (),
  seed: int = 0,
) -> None:
  """Films the poses of a data_3d_*.npz.

  Clips are cut into sequences, each filmed by its own static camera, half of
  them mirrored. The detector finds COCO's keypoints.

  Args:
    path: The file of poses `[T, 16, 3]`, metres, z up, of the skeleton `H36M`.
    output: The npz to write; see `evaluation.wild`.
    subjects: The subjects to film; if empty, all.
    seed: The seed of cameras and detector.

  Raises:
    SettingError: There is no such subject, or the output cannot be written.
    UserError: The poses are missing, damaged, or have another skeleton.
  """
  check_output(output, 'output')
  if output.suffix != '.npz':
    raise SettingError(f'`output={output}`: must end with .npz')
  poses = read_poses_3d(path)
  for subject in subjects:
    if subject not in poses:
      raise SettingError(
        f'`subjects`: no {subject} in {path}; it has {listed(poses)}'
      )
  chosen = {s: poses[s] for s in dict.fromkeys(subjects) or poses}
  sequences = list(_film_sequences(chosen, path, seed))
  if not sequences:
    raise UserError(
      f'{path}: no clip has {test_films.FRAMES[0]} frames; film others'
    )
  arrays = {
    name: np.concatenate([sequence[name] for sequence in sequences])
    for name in sequences[0]
  }

  try:
    write_arrays(output, arrays)
  except OSError as error:
    raise SettingError(f'`output={output}`: {error.strerror}') from error
  frames = counted(len(arrays['frame']), 'frame')
  print(f'{output}: {counted(len(sequences), "sequence")}, {frames}')


def _film_sequences(
  poses: Mapping[str, Mapping[str, np.ndarray]], path: pathlib.Path, seed: int
) -> Iterator[dict[str, np.ndarray]]:
  """Films the sequences of `{subject: {clip: poses}}`."""
  number = 0
  for subject, clips in poses.items():
    for action, clip in clips.items():
      _check(clip, f'{path}: {subject} {action!r}')
      cuts = np.random.default_rng([seed, number])
      for sequence in test_films.cut(cuts, np.asarray(clip, float)):
        rng = np.random.default_rng([seed, number, 1])
        frames = len(sequence)
        yield test_films.film(rng, sequence) | {
          'sequence': np.full(frames, number, np.int32),
          'frame': np.arange(frames, dtype=np.int32),
          'subject': np.full(frames, subject),
          'action': np.full(frames, action_name(action)),
        }
        number += 1


def _check(clip: np.ndarray, where: str) -> None:
  """Raises a UserError if a clip does not hold poses of `H36M` in metres."""
  if clip.shape[1:] != (H36M.num_joints, 3) or not np.isfinite(clip).all():
    raise UserError(
      f'{where} does not hold 16 joints in 3D, all finite; fix the file'
    )
  moved = clip - clip[:, :1]
  lengths = np.linalg.norm(bone_vectors(clip, H36M), axis=-1)
  if lengths.min(initial=1) < 1e-3 or np.abs(moved).max(initial=0) > 10:
    raise UserError(
      f'{where} has bones of no length, or joints 10 m apart; convert the file'
      ' to metres'
    )
