"""Cameras: from the world to the camera, to pixels, to the normalized screen.

Everything is elementwise float64: the last bits of matrix products (scipy's
Rotation uses them) differ between machines, and prepared data must not.
"""

import dataclasses
import functools
import importlib.resources
import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from semgcn_jax.errors import SettingError, UserError, shortened
from semgcn_jax.files import read_text

H36M_SUBJECTS = ('S1', 'S5', 'S6', 'S7', 'S8', 'S9', 'S11')
UP = np.array((0.0, 0.0, 1.0))  # The vertical of the world.
# What malformed JSON can raise.
_INVALID = (
  *(AttributeError, KeyError, OverflowError, RecursionError, TypeError),
  ValueError,
)


class Lens(NamedTuple):
  """A pinhole or a lens with Brown's distortion, of NumPy or JAX arrays.

  Attributes:
    focal: The focal length in x and y, `[..., 2]`, or `[..., 1]` for both.
    center: The principal point, `[..., 2]`, in the unit of the focal length.
    radial: The coefficients k1, k2, k3, `[..., 3]`; None for a pinhole.
    tangential: The coefficients p1, p2, `[..., 2]`; None for a pinhole.
  """

  focal: Any
  center: Any
  radial: Any = None
  tangential: Any = None

  def project(self, points: Any) -> Any:
    """Projects points to `[..., 2]`, in the unit of the focal length.

    Args:
      points: Points `[..., 3]` in the camera frame, metres, with Z > 0. The
        lens's arrays broadcast against them.
    """
    xy = points[..., :2] / points[..., 2:]
    if self.radial is not None:
      xy = xy.clip(-1, 1)  # The polynomials are invalid farther out.
      k1, k2, k3 = (self.radial[..., i : i + 1] for i in range(3))
      r2 = (xy * xy).sum(-1, keepdims=True)
      radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
      bend = (self.tangential * xy).sum(-1, keepdims=True)
      xy = xy * (radial + bend) + self.tangential * r2
    return xy * self.focal + self.center


@dataclasses.dataclass(frozen=True)
class Camera:
  """The extrinsics and intrinsics of a calibrated camera.

  Attributes:
    orientation: The quaternion w, x, y, z of the camera in the world.
    translation: The position in the world, metres.
    focal_length: The focal length in x and y, pixels.
    center: The principal point, pixels.
    width: The width of the image, pixels.
    height: The height of the image, pixels.
    radial_distortion: The coefficients k1, k2, k3.
    tangential_distortion: The coefficients p1, p2.
  """

  orientation: tuple[float, float, float, float]
  translation: tuple[float, float, float]
  focal_length: tuple[float, float]
  center: tuple[float, float]
  width: int
  height: int
  radial_distortion: tuple[float, float, float] = (0.0, 0.0, 0.0)
  tangential_distortion: tuple[float, float] = (0.0, 0.0)

  @property
  def lens(self) -> Lens:
    """The lens, in pixels."""
    return Lens(
      focal=np.array(self.focal_length),
      center=np.array(self.center),
      radial=np.array(self.radial_distortion),
      tangential=np.array(self.tangential_distortion),
    )

  @property
  def up(self) -> np.ndarray:
    """The world's vertical in the camera frame, `[3]`, of length 1."""
    return rotate(inverse(self.orientation), UP)

  @property
  def pitch(self) -> float:
    """The angle by which the camera looks down, degrees."""
    _, y, z = self.up
    return float(np.rad2deg(np.arctan2(-z, -y)))


@functools.cache
def h36m_cameras() -> dict[str, tuple[Camera, ...]]:
  """Returns {subject: four cameras} of Human3.6M, in the order of its views."""
  path = importlib.resources.files('semgcn_jax.geometry') / 'h36m_cameras.json'
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
  """Reads the cameras of each subject, {subject: its cameras}.

  Args:
    path: A JSON object {subject: [camera, ...]}; the subject '*' stands for all
      others. A camera has the fields of `Camera`; the distortion is optional.

  Raises:
    SettingError: The file cannot be read.
    UserError: The file does not contain valid cameras.
  """
  try:
    subjects = json.loads(read_text(path))
    cameras = {
      subject: tuple(_camera(fields) for fields in described)
      for subject, described in subjects.items()
    }
    if not cameras or not all(cameras.values()):
      raise ValueError('a subject without cameras')
    return cameras
  except OSError as error:
    raise SettingError(f'`cameras={path}`: {error.strerror}') from error
  except _INVALID as error:
    reason = shortened(error, 200)
    raise UserError(
      f'`cameras={path}`: not cameras ({reason}); give a JSON object {{subject:'
      ' [{orientation, translation, focal_length, center, width, height}, ...]}'
    ) from error


def _camera(fields: dict[str, Any]) -> Camera:
  """Builds a camera from the fields of a JSON object; a bad field raises."""
  sizes = {'orientation': 4, 'translation': 3, 'focal_length': 2, 'center': 2}
  sizes |= {'radial_distortion': 3, 'tangential_distortion': 2}
  unknown = set(fields) - {field.name for field in dataclasses.fields(Camera)}
  if unknown:
    raise ValueError(f'unknown field {min(unknown)}')
  values: dict[str, Any] = {
    name: tuple(float(x) for x in fields[name])
    for name in sizes
    if name in fields
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
  values['orientation'] = _unit(values['orientation'])
  return Camera(**values)


def _unit(quaternion: Sequence[float]) -> tuple[float, float, float, float]:
  """Normalizes a quaternion; calibrations are in float32."""
  norm = math.sqrt(sum(q * q for q in quaternion))
  w, x, y, z = (q / norm for q in quaternion)
  return w, x, y, z


def rotate(quaternion: ArrayLike, vectors: np.ndarray) -> np.ndarray:
  """Rotates vectors `[..., 3]` by unit quaternions `[..., 4]`, w first.

  Vectors and quaternions broadcast.
  """
  quaternion = np.asarray(quaternion, np.float64)
  w, u = quaternion[..., :1], quaternion[..., 1:]
  uv = np.cross(u, vectors)
  return vectors + 2 * (w * uv + np.cross(u, uv))


def inverse(quaternion: ArrayLike) -> np.ndarray:
  """Inverts unit quaternions `[..., 4]`."""
  return np.asarray(quaternion) * (1, -1, -1, -1)


def world_to_camera(points: np.ndarray, camera: Camera) -> np.ndarray:
  """Transforms points `[..., 3]`, metres, from world to camera frame."""
  points = points - np.array(camera.translation)
  return rotate(inverse(camera.orientation), points)


def camera_to_world(points: np.ndarray, camera: Camera) -> np.ndarray:
  """Transforms points `[..., 3]`, metres, from camera to world frame."""
  return rotate(camera.orientation, points) + np.array(camera.translation)


def project(points: np.ndarray, camera: Camera) -> np.ndarray:
  """Projects points `[..., 3]`, metres, to pixels `[..., 2]`; see `Lens`."""
  return camera.lens.project(points)


def normalize_screen(pixels: np.ndarray, camera: Camera) -> np.ndarray:
  """Scales pixels `[..., 2]` to the normalized screen, with x in [-1, 1]."""
  return pixels / camera.width * 2 - _screen_center(camera)


def unnormalize_screen(screen: np.ndarray, camera: Camera) -> np.ndarray:
  """Scales normalized screen coordinates `[..., 2]` to pixels."""
  return (screen + _screen_center(camera)) * camera.width / 2


def _screen_center(camera: Camera) -> np.ndarray:
  return np.array((1, camera.height / camera.width))
