"""Writes files in Human3.6M's real layouts, and poses to put into them."""

import functools
import pathlib
import tarfile
import zipfile

import cdflib.cdfwrite
import h5py
import numpy as np
import scipy.io

from semgcn_jax.config import DataConfig
from semgcn_jax.data import synthetic

# Human3.6M's 16 joints among the 32, and MPII's 16 among those 16.
OF_32 = [0, 1, 2, 3, 6, 7, 8, 12, 13, 15, 17, 18, 19, 25, 26, 27]
MPII = [6, 2, 1, 0, 3, 4, 5, 7, 8, 9, 13, 14, 15, 12, 11, 10]


@functools.cache
def motion(subject='S1', action='Walking 1'):
  """Human motion, `[T, 16, 3]`, metres."""
  return synthetic.read(DataConfig()).poses_3d[subject][action]


def millimetres(poses):
  """`[T, 16, 3]` metres as the 96 float32 millimetres a frame of files."""
  full = np.zeros((len(poses), 32, 3), np.float32)
  full[:, OF_32] = poses * np.float32(1000)
  return full.reshape(-1, 96)


def write_cdf(path, values):
  path.parent.mkdir(parents=True, exist_ok=True)
  cdf = cdflib.cdfwrite.CDF(path, {'Majority': 'row_major'}, delete=True)
  spec = {
    'Variable': 'Pose',
    'Data_Type': cdf.CDF_REAL4,
    'Num_Elements': 1,
    'Rec_Vary': True,
    'Dim_Sizes': list(values.shape),
  }
  cdf.write_var(spec, var_data=values[None])
  cdf.close()


def write_mat(path, values):
  path.parent.mkdir(parents=True, exist_ok=True)
  cell = np.empty((1, 1), object)
  cell[0, 0] = values
  scipy.io.savemat(path, {'data': cell}, appendmat=False)


def write_h5(path, values, name='3D_positions'):
  path.parent.mkdir(parents=True, exist_ok=True)
  with h5py.File(path, 'w') as file:
    file[name] = values.T if name == '3D_positions' else values


def recording(folder, kind, subject, action):
  """Where a source keeps a recording."""
  place = 'MyPoses/3D_positions' if kind == 'h5' else 'MyPoseFeatures'
  place += '' if kind == 'h5' else '/D3_Positions'
  return pathlib.Path(folder) / subject / place / f'{action}.{kind}'


WRITERS = {'cdf': write_cdf, 'cdf.mat': write_mat, 'h5': write_h5}


def zip_of(folder, path):
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
    for file in sorted(folder.rglob('*')):
      archive.write(file, file.relative_to(folder))


def tar_of(folder, path, mode='w:gz'):
  with tarfile.open(path, mode) as archive:
    for file in sorted(folder.iterdir()):
      archive.add(file, file.name)
