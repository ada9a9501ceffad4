"""Makes scenes: a person, a camera, a light, a floor and a wall."""

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
_WAVES = 4  # The waves that the texture of floor and wall is the sum of.
_Frame = tuple[np.ndarray, np.ndarray, np.ndarray]


@flax.struct.dataclass
class Scenes:
  """The numbers of N pictures, float32, in metres, in their camera frames.

  The fields from `starts` to `stripes` are those of `drawn_bodies.Bodies`.

  Attributes:
    zoom: The focal length over half the side of the picture, `[N]`.
    light: The direction to the light, `[N, 3]`.
    lights: The strengths of the directed light, of the light from all sides,
      and of that from the camera, `[N, 3]`.
    planes: The normals of floor and wall, `[N, 2, 3]`.
    offsets: The distances of floor and wall from the camera along their
      normals, at most 0, `[N, 2]`.
    axes: The two directions along floor and wall that their textures have,
      `[N, 2, 2, 3]`.
    tones: The two colours of floor and of wall, `[N, 2, 2, 3]`.
    waves: The frequencies in two directions in cycles per metre, the phase in
      cycles, and the weights in floor and wall of the waves, `[N, W, 5]`.
    sharp: How sharp the edges of the textures are, `[N, 2]`.
    tint: The factors of red, green and blue, `[N, 3]`.
    noise: The size of the noise of pixels, `[N]`.
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
  """What is known of the people in N pictures.

  Attributes:
    people: The number of each person, `[N]`.
    joints: The joints in the camera frame, `[N, 16, 3]`, metres.
    screen: Their places in the picture, `[N, 16, 2]`, where -1 and 1 are its
      edges, y down.
    orientation: The camera's quaternion in the world, `[N, 4]`.
    translation: The camera's place in the world, `[N, 3]`, metres.
    zoom: The focal length over half the side of the picture, `[N]`.
  """

  people: np.ndarray
  joints: np.ndarray
  screen: np.ndarray
  orientation: np.ndarray
  translation: np.ndarray
  zoom: np.ndarray

  def cameras(self, size: int) -> list[Camera]:
    """Makes the camera of each picture of so many pixels a side."""
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
  """Makes scenes, each of which depends on its pose, number and seed alone.

  Args:
    poses: The pose of each picture, `[N, 16, 3]`, metres, world frame, z up.
    numbers: The number of each picture, `[N]`.
    seed: The seed of all scenes.
    train: Whether the pictures are for training or for testing, which have
      other people and scenes.
    azimuth: How far to the left or right of where the person faces the camera
      is at most, degrees; at 180 it is anywhere.
  """
  draws = Draws((seed, _STREAM, int(train)), numbers)
  someone = drawn_people.make(seed, drawn_people.numbers(draws, train=train))
  poses = drawn_people.reshape(poses, someone)
  body = drawn_bodies.make(poses, someone, draws.uniform(-0.5, 0.5))
  floor = (
    np.stack([body.starts[..., 2], body.ends[..., 2]], -1) - body.radii
  ).min(axis=(1, 2))
  facing = None if azimuth == 180 else _facing(poses)
  orientation, translation, zoom = _aim(draws, body, floor, facing, azimuth)
  back = inverse(orientation)

  def move(points):
    return rotate(back[:, None], points - translation[:, None])

  frame = _room_frame(rotate(back, UP))
  joints = move(poses)
  fields = dataclasses.asdict(body)
  fields |= {
    'starts': move(body.starts),
    'ends': move(body.ends),
    'across': rotate(back[:, None, None], body.across),
    'zoom': zoom,
  }
  fields |= _light(draws, frame)
  fields |= _room(draws, frame, floor - translation[:, 2], joints[:, 0])
  fields |= {
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
  """Finds up, ahead and to the right in camera frames, given up, `[N, 3]`."""
  ahead = np.array((0.0, 0.0, 1.0)) - up[:, 2:] * up
  ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
  return up, ahead, np.cross(ahead, up)


def _facing(poses: np.ndarray) -> np.ndarray:
  """Finds the azimuth of the cameras that people `[N, 16, 3]` face."""
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
  """Draws cameras that have 60 to 90 percent of the picture filled.

  Args:
    draws: The random numbers.
    body: The bodies that are seen.
    floor: The height of the floor, `[N]`, metres.
    facing: The azimuth of the cameras that the people face, `[N]`, radians, or
      None for cameras at any azimuth.
    most: The most degrees that the azimuth is away from there.

  Returns:
    Their quaternions `[N, 4]` and places `[N, 3]` in the world, and the focal
    length over half the side of the picture, `[N]`.
  """
  ends = np.concatenate([body.starts, body.ends], axis=1)
  reach = np.concatenate([body.reach[..., 0], body.reach[..., 1]], axis=1)
  middle = (ends.min(axis=1) + ends.max(axis=1)) / 2
  distance = 2.3 * (7 / 2.3) ** draws.uniform(0, 1)
  azimuth = draws.uniform(-np.pi, np.pi)
  if facing is not None:
    azimuth = facing + azimuth * (most / 180)
  pitch = np.deg2rad(draws.uniform(-10, 40))
  # No camera is below the floor.
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
  # The box around the person gets its size and its place; since these depend
  # on each other a little, this is repeated.
  for _ in range(5):
    xyz = seen + shift[:, None]
    xy, margin = xyz[..., :2] / xyz[..., 2:], (reach / xyz[..., 2])[..., None]
    low, high = (xy - margin).min(axis=1), (xy + margin).max(axis=1)
    zoom = 2 * fill / (high - low).max(axis=1)
    away = place / zoom[:, None] - (low + high) / 2
    shift[:, :2] += away * distance[:, None]
  return orientation, middle - rotate(orientation, shift), zoom


def _light(draws: Draws, frame: _Frame) -> dict[str, np.ndarray]:
  """Draws the light, mostly from the side of the camera.

  Args:
    draws: The random numbers.
    frame: Up, ahead and to the right, in the camera frame.
  """
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
    frame: Up, ahead and to the right, in the camera frame.
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
  weight = (
    draws.uniform(-1, 1, 2, _WAVES)
    / np.sqrt(6 * frequency.max(axis=1))[:, None]
  )
  # The first wave makes tiles or boards where edges are sharp.
  phase = draws.uniform(0, 1, 1, _WAVES)
  waves = np.concatenate([frequency * flat, phase, weight], axis=1)
  tones = np.stack(
    [
      np.stack([base, np.clip(base + change, 0, 1)], axis=1)
      for base, change in (
        (drawn_people.color(draws, 0.25), draws.uniform(-0.2, 0.2, 3)),
        (drawn_people.color(draws, 0.25), draws.uniform(-0.3, 0.3, 3)),
      )
    ],
    axis=1,
  )
  # Most rooms are greyer than clothes.
  grey = tones.mean(axis=-1, keepdims=True)
  tones = grey + (tones - grey) * draws.uniform(0.2, 0.9, 1, 1, 1)
  return {
    'planes': np.stack([up, normal], axis=1),
    'offsets': np.stack([floor, offset], axis=-1),
    'axes': np.stack(
      [np.stack([first, second], 1), np.stack([along, up], 1)], axis=1
    ),
    'tones': tones,
    'waves': np.moveaxis(waves, 1, 2),
    'sharp': draws.choice((0.7, 0.7, 1.0, 3.0, 8.0))[:, None]
    * draws.uniform(0.5, 1.0, 2),
  }
