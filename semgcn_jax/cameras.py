"""Cameras: world -> camera -> pixels -> normalised screen, in NumPy.

Data is prepared in float64, and elementwise: the last bits of a matrix library
(scipy's Rotation uses one) differ between machines, and those of prepared data
must not.
"""

import dataclasses
import functools
import importlib.resources
import json
import math
from typing import Any

import numpy as np

from semgcn_jax.errors import SettingError, UserError

H36M_SUBJECTS = ('S1', 'S5', 'S6', 'S7', 'S8', 'S9', 'S11')


@dataclasses.dataclass(frozen=True)
class Camera:
  """Extrinsics and intrinsics of a calibrated camera.

  Attributes:
    orientation: The camera's quaternion w, x, y, z in the world.
    translation: Its position in the world, metres.
    focal_length: Its focal length in x and y, pixels.
    center: Its principal point x and y, pixels.
    radial_distortion: The coefficients k1, k2, k3.
    tangential_distortion: The coefficients p1, p2.
    width: The width of its image, pixels.
    height: The height of its image, pixels.
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
  """Reads the four calibrated cameras of each Human3.6M subject."""
  path = importlib.resources.files('semgcn_jax') / 'h36m_cameras.json'
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
  """Reads the cameras of each subject.

  Args:
    path: A JSON object {subject: [camera, ...]}; the subject '*' stands for all
      others. A camera is an object with the fields of `Camera` (metres,
      pixels, quaternion with w first); the distortion may be left out.

  Raises:
    SettingError: The file cannot be read.
    UserError: It does not hold cameras.
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
    raise SettingError(f'`cameras={path}`: {error.strerror}') from error
  except (
    *(ValueError, TypeError, AttributeError, KeyError, RecursionError),
    OverflowError,
  ) as error:
    raise UserError(
      f'`cameras={path}`: not cameras ({error}); give a JSON object'
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
  """Normalises a quaternion of the calibration, which is in float32."""
  norm = math.sqrt(sum(q * q for q in quaternion))
  return tuple(q / norm for q in quaternion)


def rotate(quaternion: np.ndarray, vectors: np.ndarray) -> np.ndarray:
  """Rotates vectors by unit quaternions.

  Args:
    quaternion: `[..., 4]`, w first; broadcast against `vectors`.
    vectors: `[..., 3]`.

  Returns:
    `[..., 3]`.
  """
  quaternion = np.asarray(quaternion, np.float64)
  w, u = quaternion[..., :1], quaternion[..., 1:]
  uv = np.cross(u, vectors)
  return vectors + 2 * (w * uv + np.cross(u, uv))


def world_to_camera(points: np.ndarray, camera: Camera) -> np.ndarray:
  """Moves points from the world frame to the camera's, `[..., 3]`, metres."""
  w, x, y, z = camera.orientation
  return rotate((w, -x, -y, -z), points - np.array(camera.translation))


def camera_to_world(points: np.ndarray, camera: Camera) -> np.ndarray:
  """Moves points from the camera frame to the world's, `[..., 3]`, metres."""
  return rotate(camera.orientation, points) + np.array(camera.translation)


def project(points: np.ndarray, camera: Camera) -> np.ndarray:
  """Projects points with Human3.6M's radial and tangential distortion.

  Args:
    points: `[..., 3]`, camera frame, metres, in front of the camera (Z > 0).
    camera: The camera, of which only the intrinsics are used.

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
  """Scales pixels `[..., 2]` to the normalised screen, x in [-1, 1]."""
  return pixels / camera.width * 2 - _screen_center(camera)


def unnormalize_screen(screen: np.ndarray, camera: Camera) -> np.ndarray:
  """Scales the normalised screen `[..., 2]` to pixels."""
  return (screen + _screen_center(camera)) * camera.width / 2


def _screen_center(camera: Camera) -> np.ndarray:
  return np.array((1, camera.height / camera.width))
