"""Cameras: world -> camera -> pixels -> normalised screen, in NumPy.

Data is prepared in float64. Everything is elementwise: no matrix library, whose
last bits differ between machines, so that prepared data does not either.
"""

import dataclasses
import functools
import importlib.resources
import json
import math

import numpy as np

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
