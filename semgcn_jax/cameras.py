"""Cameras: world -> camera -> pixels -> normalised screen, in NumPy.

Data is prepared in float64. Everything is elementwise: no matrix library, whose
last bits differ between machines, so that prepared data does not either.
"""

import dataclasses
import functools
import importlib.resources
import json
import math
from typing import Any

import numpy as np

from semgcn_jax.errors import FlagError, UserError

H36M_SUBJECTS = ('S1', 'S5', 'S6', 'S7', 'S8', 'S9', 'S11')


@dataclasses.dataclass(frozen=True)
class Camera:
  """Extrinsics and intrinsics of a calibrated camera.

  Attributes:
    orientation: quaternion w, x, y, z of the camera in the world.
    translation: position in the world, metres.
    focal_length: x and y, pixels.
    center: principal point x and y, pixels.
    radial_distortion: k1, k2, k3.
    tangential_distortion: p1, p2.
    width: of the image, pixels.
    height: of the image, pixels.
  """

  orientation: tuple[float, float, float, float]
  translation: tuple[float, float, float]
  focal_length: tuple[float, float]
  center: tuple[float, float]
  radial_distortion: tuple[float, float, float]
  tangential_distortion: tuple[float, float]
  width: int
  height: int


@functools.cache
def h36m_cameras() -> dict[str, tuple[Camera, ...]]:
  """The four calibrated cameras of each Human3.6M subject."""
  path = importlib.resources.files('semgcn_jax.data') / 'h36m_cameras.json'
  calibration = json.loads(path.read_text())
  return {
    subject: tuple(
      Camera(
        orientation=_unit(pose['orientation']),
        translation=tuple(x / 1000 for x in pose['translation']),
        focal_length=tuple(lens['focal_length']),
        center=tuple(lens['center']),
        radial_distortion=tuple(lens['radial_distortion']),
        tangential_distortion=tuple(lens['tangential_distortion']),
        width=lens['res_w'],
        height=lens['res_h'],
      )
      for pose, lens in zip(poses, calibration['intrinsics'], strict=True)
    )
    for subject, poses in calibration['extrinsics'].items()
  }


def load_cameras(path: str) -> dict[str, tuple[Camera, ...]]:
  """The cameras of each subject.

  Args:
    path: a JSON object {subject: [camera, ...]}, a subject '*' standing for all
      others; a camera is an object with the fields of `Camera` (metres,
      pixels, quaternion with w first); the distortion may be left out.

  Raises:
    FlagError: no such file.
    UserError: not such a file.
  """
  try:
    with open(path, encoding='utf-8') as file:
      subjects = json.load(file)
    cameras = {
      subject: tuple(_camera(fields) for fields in described)
      for subject, described in subjects.items()
    }
    if not cameras or not all(cameras.values()):
      raise ValueError('a subject without cameras')
    return cameras
  except OSError as error:
    raise FlagError(f'--cameras={path}: {error.strerror}') from error
  except (
    *(ValueError, TypeError, AttributeError, KeyError, RecursionError),
    OverflowError,
  ) as error:
    raise UserError(
      f'--cameras={path}: not cameras ({error}); give a JSON object'
      ' {subject: [{orientation, translation, focal_length, center, width,'
      ' height}, ...]}'
    ) from error


def _camera(fields: dict[str, Any]) -> Camera:
  sizes = {
    'orientation': 4,
    'translation': 3,
    'focal_length': 2,
    'center': 2,
    'radial_distortion': 3,
    'tangential_distortion': 2,
  }
  known = {field.name for field in dataclasses.fields(Camera)}
  if set(fields) - known:
    raise ValueError(f'unknown field {sorted(set(fields) - known)[0]}')
  values = {
    name: tuple(float(x) for x in fields.get(name, (0,) * size))
    for name, size in sizes.items()
    if name in fields or 'distortion' in name
  }
  if min(values['focal_length']) <= 0:
    raise ValueError('focal_length must be above 0')
  for name, value in values.items():
    if len(value) != sizes[name] or not all(map(math.isfinite, value)):
      raise ValueError(f'{name} must be {sizes[name]} numbers')
  for name in ('width', 'height'):
    values[name] = int(fields[name])
    if values[name] < 1:
      raise ValueError(f'{name} must be above 0')
  norm = math.hypot(*values['orientation'])
  if abs(norm - 1) > 1e-3:
    raise ValueError('orientation must be a unit quaternion')
  return Camera(**values | {'orientation': _unit(values['orientation'])})


def _unit(quaternion: list[float]) -> tuple[float, ...]:
  """The calibration is rounded to float32."""
  norm = math.sqrt(sum(q * q for q in quaternion))
  return tuple(q / norm for q in quaternion)


def rotate(quaternion: np.ndarray, vectors: np.ndarray) -> np.ndarray:
  """Rotates vectors.

  Args:
    quaternion: `[..., 4]`, unit, w first; broadcast against `vectors`.
    vectors: `[..., 3]`.

  Returns:
    `[..., 3]`.
  """
  quaternion = np.asarray(quaternion, np.float64)
  w, u = quaternion[..., :1], quaternion[..., 1:]
  uv = np.cross(u, vectors)
  return vectors + 2 * (w * uv + np.cross(u, uv))


def world_to_camera(points: np.ndarray, camera: Camera) -> np.ndarray:
  """World frame `[..., 3]` -> camera frame `[..., 3]`, metres."""
  w, x, y, z = camera.orientation
  return rotate((w, -x, -y, -z), points - np.array(camera.translation))


def camera_to_world(points: np.ndarray, camera: Camera) -> np.ndarray:
  """Camera frame `[..., 3]` -> world frame `[..., 3]`, metres."""
  return rotate(camera.orientation, points) + np.array(camera.translation)


def project(points: np.ndarray, camera: Camera) -> np.ndarray:
  """Projects with radial and tangential distortion, as Human3.6M does.

  Args:
    points: `[..., 3]`, camera frame, metres, in front of the camera (Z > 0).
    camera: its intrinsics are used.

  Returns:
    `[..., 2]`, pixels.
  """
  k1, k2, k3 = camera.radial_distortion
  p1, p2 = camera.tangential_distortion
  xy = np.clip(points[..., :2] / points[..., 2:], -1, 1)
  x, y = xy[..., :1], xy[..., 1:]
  r2 = x * x + y * y
  radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
  tangential = p1 * x + p2 * y
  xy = xy * (radial + tangential) + np.array((p1, p2)) * r2
  return xy * np.array(camera.focal_length) + np.array(camera.center)


def normalize_screen(pixels: np.ndarray, camera: Camera) -> np.ndarray:
  """Pixels -> x in [-1, 1], y by the same scale, `[..., 2]` both."""
  return pixels / camera.width * 2 - _screen_center(camera)


def unnormalize_screen(screen: np.ndarray, camera: Camera) -> np.ndarray:
  """The inverse of `normalize_screen`."""
  return (screen + _screen_center(camera)) * camera.width / 2


def _screen_center(camera: Camera) -> np.ndarray:
  return np.array((1, camera.height / camera.width))
