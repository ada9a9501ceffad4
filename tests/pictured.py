"""Makes small pictures and folders of pictures, sound and damaged."""

import io
import pathlib

import numpy as np
from h36m_files import motion
from PIL import Image

from semgcn_jax.data.h36m_images import frame_prefix
from semgcn_jax.data.npz import write_poses_3d
from semgcn_jax.data.pairs import View
from semgcn_jax.geometry.cameras import H36M_SUBJECTS, h36m_cameras


def gradient(height, width, seed=0):
  """A picture `[H, W, 3]` whose red grows with x and whose green with y."""
  y, x = np.mgrid[:height, :width]
  blue = np.full((height, width), 40 + seed % 160)
  red, green = 255 * (x + 0.5) / width, 255 * (y + 0.5) / height
  return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def encoded(array, kind='JPEG', mode='RGB', **options):
  """The bytes of a picture file."""
  file = io.BytesIO()
  picture = Image.fromarray(array).convert(mode)
  quality = {'quality': 95, 'subsampling': 0} if kind == 'JPEG' else {}
  picture.save(file, kind, **quality, **options)
  return file.getvalue()


def cut_off(content):
  """A file without its last third."""
  return content[: len(content) * 2 // 3]


def broken_inside(content):
  """A JPEG whose end is there, with a part of its middle missing."""
  start = content.index(b'\xff\xda') + 20
  length = (len(content) - start) // 2
  return content[:start] + content[start + length :]


# What each kind of damage makes of a picture; None removes the file.
DAMAGE = {
  'missing': lambda array: None,
  'cut off': lambda array: cut_off(encoded(array)),
  'gray': lambda array: encoded(array, mode='L'),
  'CMYK': lambda array: encoded(array, mode='CMYK'),
  'neither JPEG nor PNG': lambda array: b'text',
}


def people(count, size=64):
  """Poses `[N, 16, 3]` before a camera, and their 2D in squares of pixels."""
  x, y, z = np.moveaxis(motion()[:count], -1, 0)
  poses = np.stack([x, -z, y], axis=-1)
  poses = poses - poses[:, :1] + np.array([0, 0, 5.0])
  pixels = poses[..., :2] / poses[..., 2:] * size * 1.5 + size / 2
  return poses.astype(np.float32), pixels.astype(np.float32)


def write_h36m(folder, clip='Walking 1'):
  """A folder with Human3.6M's poses, of one frame a subject, and the frames."""
  poses = {subject: {clip: motion()[:1]} for subject in H36M_SUBJECTS}
  write_poses_3d(poses, folder / 'data_3d_h36m.npz')
  for subject in poses:
    for number, camera in enumerate(h36m_cameras()[subject]):
      prefix = frame_prefix(folder, View(subject, clip, number))
      path = pathlib.Path(f'{prefix}000001.jpg')
      path.parent.mkdir(parents=True)
      path.write_bytes(encoded(gradient(camera.height, camera.width)))


def write_folder(folder, count=6, size=64, **changes):
  """A folder for `dataset=images`; changes replace arrays, None removes one."""
  poses, pixels = people(count, size)
  (folder / 'p').mkdir(parents=True, exist_ok=True)
  names = [f'p/{number}.jpg' for number in range(count)]
  for number, name in enumerate(names):
    (folder / name).write_bytes(encoded(gradient(size, size, number)))
  arrays = {
    'names': np.array(names),
    'keypoints': pixels,
    'poses': poses,
    'splits': np.array([('train', 'test')[n % 2] for n in range(count)]),
  } | changes
  arrays = {name: a for name, a in arrays.items() if a is not None}
  np.savez(folder / 'annotations.npz', **arrays)
