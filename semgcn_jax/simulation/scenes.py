"""Random scenes: a person, a camera, a light, a floor and a wall."""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

from semgcn_jax.geometry.cameras import UP, Camera, Lens, inverse, rotate
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.simulation import drawn_bodies, drawn_people
from semgcn_jax.simulation.draws import Draws

_STREAM = 2  # Keeps the streams of scenes apart from those of people.
_WAVES = 4  # The textures of floor and wall are sums of this many waves.
_Frame = tuple[np.ndarray, np.ndarray, np.ndarray]


@flax.struct.dataclass
class Scenes:
  """N scenes, float32, in metres, each in its camera frame.

  The fields from `starts` to `stripes` are those of `drawn_bodies.Bodies`.

  Attributes:
    zoom: The focal length over half the side of the image, `[N]`.
    light: The direction to the light, `[N, 3]`.
    lights: The strengths of directed, ambient and camera light, `[N, 3]`.
    planes: The normals of floor and wall, `[N, 2, 3]`.
    offsets: The distances of floor and wall from the camera along their
      normals, at most 0, `[N, 2]`.
    axes: The two axes of the textures of floor and wall, `[N, 2, 2, 3]`.
    tones: The two colors of floor and wall, `[N, 2, 2, 3]`.
    waves: For each wave of the textures, its frequencies along both axes in
      cycles per metre, its phase in cycles, and its weights in floor and wall,
      `[N, W, 5]`.
    sharp: The sharpness of the textures' edges, `[N, 2]`.
    tint: The factors of red, green and blue, `[N, 3]`.
    noise: The scale of the pixel noise, `[N]`.
    seed: The seed of the noise, `[N]` uint32.
  """

  starts: jax.Array
  ends: jax.Array
  radii: jax.Array
  across: jax.Array
  stretch: jax.Array
  colors: jax.Array
  cut: jax.Array
  stripes: jax.Array
  zoom: jax.Array
  light: jax.Array
  lights: jax.Array
  planes: jax.Array
  offsets: jax.Array
  axes: jax.Array
  tones: jax.Array
  waves: jax.Array
  sharp: jax.Array
  tint: jax.Array
  noise: jax.Array
  seed: jax.Array


@dataclasses.dataclass(frozen=True)
class Truth:
  """The ground truth of N images.

  Attributes:
    people: The number of each person, `[N]`.
    joints: The joints in the camera frame, `[N, 16, 3]`, metres.
    screen: Their image positions, `[N, 16, 2]`, from -1 to 1 between the edges,
      y down.
    orientation: The camera's quaternion in the world, `[N, 4]`.
    translation: The camera's position in the world, `[N, 3]`, metres.
    zoom: The focal length over half the side of the image, `[N]`.
  """

  people: np.ndarray
  joints: np.ndarray
  screen: np.ndarray
  orientation: np.ndarray
  translation: np.ndarray
  zoom: np.ndarray

  def cameras(self, size: int) -> list[Camera]:
    """Returns the camera of each image, given its side in pixels."""
    return [
      Camera(
        orientation=orientation,
        translation=translation,
        focal_length=(zoom * size / 2, zoom * size / 2),
        center=(size / 2, size / 2),
        width=size,
        height=size,
      )
      for orientation, translation, zoom in zip(
        map(tuple, self.orientation.tolist()),
        map(tuple, self.translation.tolist()),
        self.zoom.tolist(),
        strict=True,
      )
    ]


def make(
  poses: np.ndarray,
  numbers: np.ndarray,
  *,
  seed: int,
  train: bool,
  azimuth: float = 180.0,
) -> tuple[Scenes, Truth]:
  """Draws scenes; each depends on its pose, number, seed and split only.

  Args:
    poses: The pose in each image, `[N, 16, 3]`, metres, world frame, z up.
    numbers: The number of each image, `[N]`.
    seed: The seed of all scenes.
    train: Whether the split is training, which shares no people or scenes with
      testing.
    azimuth: The largest angle between the camera and the direction that the
      person faces, degrees; 180 allows any.
  """
  draws = Draws((seed, _STREAM, int(train)), numbers)
  someone = drawn_people.make(seed, drawn_people.numbers(draws, train=train))
  poses = drawn_people.reshape(poses, someone)
  body = drawn_bodies.make(poses, someone, draws.uniform(-0.5, 0.5))
  heights = np.stack([body.starts[..., 2], body.ends[..., 2]], -1)
  floor = (heights - body.radii).min(axis=(1, 2))
  facing = None if azimuth == 180 else _facing(poses)
  orientation, translation, zoom = _aim(draws, body, floor, facing, azimuth)
  back = inverse(orientation)

  def move(points):
    return rotate(back[:, None], points - translation[:, None])

  frame = _room_frame(rotate(back, UP))
  joints = move(poses)
  fields = dataclasses.asdict(body) | {
    'starts': move(body.starts),
    'ends': move(body.ends),
    'across': rotate(back[:, None, None], body.across),
    'zoom': zoom,
    **_light(draws, frame),
    **_room(draws, frame, floor - translation[:, 2], joints[:, 0]),
    'tint': draws.uniform(0.95, 1.2, 1) * draws.uniform(0.94, 1.06, 3),
    'noise': draws.uniform(0.005, 0.03),
  }
  scenes = Scenes(
    **{name: jnp.asarray(x, jnp.float32) for name, x in fields.items()},
    seed=jnp.asarray(draws.uniform(0, 2**32).astype(np.uint32)),
  )
  truth = Truth(
    people=someone.numbers,
    joints=joints,
    screen=Lens(zoom[:, None, None], 0.0).project(joints),
    orientation=orientation,
    translation=translation,
    zoom=zoom,
  )
  return scenes, truth


def _room_frame(up: np.ndarray) -> _Frame:
  """Returns up, ahead and right in camera frames, given up, `[N, 3]`."""
  ahead = np.array((0.0, 0.0, 1.0)) - up[:, 2:] * up
  ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
  return up, ahead, np.cross(ahead, up)


def _facing(poses: np.ndarray) -> np.ndarray:
  """Returns the azimuth that people `[N, 16, 3]` face, `[N]`, radians."""
  hips = [H36M.joints.index(name) for name in ('LHip', 'RHip')]
  left = poses[:, hips[0]] - poses[:, hips[1]]
  return np.arctan2(left[:, 1], left[:, 0])


def _aim(
  draws: Draws,
  body: drawn_bodies.Bodies,
  floor: np.ndarray,
  facing: np.ndarray | None,
  most: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Draws cameras in which the person fills 60 to 90 percent of the image.

  Args:
    draws: The random numbers.
    body: The bodies.
    floor: The height of the floor, `[N]`, metres.
    facing: The azimuth that the people face, `[N]`, radians; None for cameras
      at any azimuth.
    most: The largest difference from that azimuth, degrees.

  Returns:
    The orientation, translation and zoom of `Truth`.
  """
  ends = np.concatenate([body.starts, body.ends], axis=1)
  reach = np.concatenate([body.reach[..., 0], body.reach[..., 1]], axis=1)
  middle = (ends.min(axis=1) + ends.max(axis=1)) / 2
  distance = 2.3 * (7 / 2.3) ** draws.uniform(0, 1)
  azimuth = draws.uniform(-np.pi, np.pi)
  if facing is not None:
    azimuth = facing + azimuth * (most / 180)
  pitch = np.deg2rad(draws.uniform(-10, 40))
  # Keep the camera above the floor.
  lowest = -np.arcsin(np.minimum(0.6 * (middle[:, 2] - floor) / distance, 0.5))
  pitch = np.maximum(pitch, lowest)
  roll = np.deg2rad(draws.uniform(-6, 6))
  angles = np.stack([azimuth, -np.pi / 2 - pitch, roll], axis=-1)
  # scipy's quaternions have w last.
  orientation = np.roll(Rotation.from_euler('ZXZ', angles).as_quat(), 1, -1)
  seen = rotate(inverse(orientation)[:, None], ends - middle[:, None])
  fill = draws.uniform(0.6, 0.9)
  place = draws.uniform(-1, 1, 2) * 0.9 * (1 - fill)[:, None]
  shift = np.stack([np.zeros_like(distance)] * 2 + [distance], axis=-1)
  zoom = np.ones_like(distance)
  # Size and position of the bounding box depend on each other a little, so
  # they are adjusted in turns.
  for _ in range(5):
    xyz = seen + shift[:, None]
    xy, margin = xyz[..., :2] / xyz[..., 2:], (reach / xyz[..., 2])[..., None]
    low, high = (xy - margin).min(axis=1), (xy + margin).max(axis=1)
    zoom = 2 * fill / (high - low).max(axis=1)
    away = place / zoom[:, None] - (low + high) / 2
    shift[:, :2] += away * distance[:, None]
  return orientation, middle - rotate(orientation, shift), zoom


def _light(draws: Draws, frame: _Frame) -> dict[str, np.ndarray]:
  """Draws the light, mostly from the camera's side; see `_room_frame`."""
  up, ahead, side = frame
  azimuth = draws.uniform(-1.9, 1.9)[:, None]
  height = np.deg2rad(draws.uniform(25, 72))[:, None]
  level = np.sin(azimuth) * side - np.cos(azimuth) * ahead
  ambient = draws.uniform(0.3, 0.5)
  fill = draws.uniform(0.1, 0.25)
  directed = draws.uniform(0.95, 1.15) - ambient - 0.4 * fill
  return {
    'light': np.cos(height) * level + np.sin(height) * up,
    'lights': np.stack([directed, ambient, fill], axis=-1),
  }


def _room(
  draws: Draws, frame: _Frame, floor: np.ndarray, root: np.ndarray
) -> dict[str, np.ndarray]:
  """Draws a floor and a wall behind the person.

  Args:
    draws: The random numbers.
    frame: See `_room_frame`.
    floor: The height of the floor relative to the camera, `[N]`, metres.
    root: The pelvis in the camera frame, `[N, 3]`.
  """
  up, ahead, side = frame
  angle = draws.uniform(-0.7, 0.7)[:, None]
  normal = np.sin(angle) * side - np.cos(angle) * ahead
  along = np.cross(up, normal)
  distance = 1.1 + 5 * draws.uniform(0, 1) ** 2
  offset = (root * normal).sum(axis=-1) - distance
  spin = draws.uniform(0, np.pi)[:, None]
  first = np.cos(spin) * side + np.sin(spin) * ahead
  second = np.cross(up, first)
  frequency = np.exp(draws.uniform(np.log(0.12), np.log(2.2), 2, _WAVES))
  flat = draws.choice(((1, 1), (1, 0), (0, 1)))[:, :, None]
  weight = draws.uniform(-1, 1, 2, _WAVES)
  weight /= np.sqrt(6 * frequency.max(axis=1))[:, None]
  phase = draws.uniform(0, 1, 1, _WAVES)
  waves = np.concatenate([frequency * flat, phase, weight], axis=1)
  pairs = []
  for most in (0.2, 0.3):  # Of the floor, and of the wall.
    base = drawn_people.color(draws, 0.25)
    other = np.clip(base + draws.uniform(-most, most, 3), 0, 1)
    pairs.append(np.stack([base, other], axis=1))
  tones = np.stack(pairs, axis=1)
  # Most rooms are less colorful than clothes.
  gray = tones.mean(axis=-1, keepdims=True)
  tones = gray + (tones - gray) * draws.uniform(0.2, 0.9, 1, 1, 1)
  sharp = draws.choice((0.7, 0.7, 1.0, 3.0, 8.0))[:, None]
  axes = np.stack([first, second, along, up], axis=1)
  return {
    'planes': np.stack([up, normal], axis=1),
    'offsets': np.stack([floor, offset], axis=-1),
    'axes': axes.reshape(-1, 2, 2, 3),
    'tones': tones,
    'waves': np.moveaxis(waves, 1, 2),
    'sharp': sharp * draws.uniform(0.5, 1.0, 2),
  }
