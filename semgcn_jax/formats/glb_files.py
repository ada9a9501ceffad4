"""Writes binary glTF 2.0 (.glb): animated people with bodies and skeletons."""

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

import semgcn_jax
from semgcn_jax.errors import UserError, choose
from semgcn_jax.figures.palette import SOLID
from semgcn_jax.motion.body_mesh import Surface, body_surfaces
from semgcn_jax.motion.rig import NAMES, PARENTS, Motion

# glTF's codes of component types and buffer targets.
_COMPONENTS = {'float32': 5126, 'uint8': 5121, 'uint16': 5123, 'uint32': 5125}
_TYPES = {(): 'SCALAR', (3,): 'VEC3', (4,): 'VEC4', (16,): 'MAT4'}
_VERTICES, _INDICES = 34962, 34963
# The node of the first person's root; those of other joints follow. Before are
# the body and the skeleton.
FIRST_JOINT = 2


class _Buffer:
  """Collects arrays, with their buffer views and accessors."""

  def __init__(self):
    self.views: list[dict[str, Any]] = []
    self.accessors: list[dict[str, Any]] = []
    self.data = bytearray()

  def add(self, array: np.ndarray, target: int | None = None) -> int:
    """Adds an array `[N, ...]`; returns the index of its accessor."""
    data = np.ascontiguousarray(array).tobytes()
    view = {'buffer': 0, 'byteOffset': len(self.data), 'byteLength': len(data)}
    self.views.append(view | ({'target': target} if target else {}))
    self.accessors.append(
      {
        'bufferView': len(self.views) - 1,
        'componentType': _COMPONENTS[array.dtype.name],
        'count': len(array),
        'type': _TYPES[array.shape[1:]],
        'min': np.atleast_1d(array.min(axis=0)).tolist(),
        'max': np.atleast_1d(array.max(axis=0)).tolist(),
      }
    )
    # Arrays are aligned to four bytes.
    self.data += data + bytes(-len(data) % 4)
    return len(self.accessors) - 1


def glb_bytes(
  motions: Mapping[str, Motion],
  names: str = 'h36m',
  extensions: Mapping[str, Any] | None = None,
  rest: np.ndarray | None = None,
) -> bytes:
  """Writes a .glb file of animated people: metres, y up.

  Each person is a skeleton and a skinned body. One animation moves everybody:
  frame t of a motion is at `(first + t) / fps` seconds, and people stand still
  before and after their motions.

  Args:
    motions: {name of a person: motion}.
    names: The names of the joints, a key of `NAMES`.
    extensions: The content of extensions of glTF, by their names.
    rest: The position of the pelvis in the rest pose, `[3]`, metres; by
      default, where the motion begins, so that people do not overlap when the
      animation is not played.

  Raises:
    UserError: There are no people, or one has no frames.
    SettingError: There are no such names.
  """
  labels = choose('names', names, NAMES)
  if not motions:
    raise UserError('there is nobody to write; give at least one motion')
  for person, motion in motions.items():
    if not len(motion.root):
      raise UserError(f'the motion of {person} has no frames; leave it out')
  buffer = _Buffer()
  nodes: list[dict[str, Any]] = []
  scene: list[int] = []
  meshes, skins, samplers, channels = [], [], [], []
  for person, motion in motions.items():
    first = len(nodes) + FIRST_JOINT
    place = motion.root[0] if rest is None else rest
    scene += [first - 2, first - 1]
    # The skin places the body; glTF wants no other node above it.
    nodes.append({'name': f'{person} body', 'mesh': len(meshes)})
    nodes[-1]['skin'] = len(skins)
    nodes.append({'name': person, 'children': [first]})
    nodes += _joints(motion, place, labels, first)
    meshes.append(_mesh(person, motion, place, buffer))
    skins.append(_skin(person, motion, place, first, buffer))
    _animate(motion, first, buffer, samplers, channels)
  content = {
    'asset': {
      'version': '2.0',
      'generator': f'SemGCN-JAX {semgcn_jax.__version__}',
    },
    'scene': 0,
    'scenes': [{'nodes': scene}],
    'nodes': nodes,
    'materials': [_material(part, color) for part, color in SOLID.items()],
    'meshes': meshes,
    'skins': skins,
    'animations': [
      {'name': 'motion', 'samplers': samplers, 'channels': channels}
    ],
    'accessors': buffer.accessors,
    'bufferViews': buffer.views,
    'buffers': [{'byteLength': len(buffer.data)}],
  }
  if extensions:
    content['extensionsUsed'] = list(extensions)
    content['extensions'] = dict(extensions)
  text = json.dumps(content, separators=(',', ':')).encode()
  return _chunks(text + b' ' * (-len(text) % 4), bytes(buffer.data))


def _chunks(text: bytes, data: bytes) -> bytes:
  """Wraps the JSON and the data in the container of the format."""
  size = 12 + 8 + len(text) + 8 + len(data)
  return b''.join(
    [
      struct.pack('<4sII', b'glTF', 2, size),
      struct.pack('<I4s', len(text), b'JSON') + text,
      struct.pack('<I4s', len(data), b'BIN\0') + data,
    ]
  )


def _joints(
  motion: Motion, place: np.ndarray, labels: tuple[str, ...], first: int
) -> list[dict[str, Any]]:
  """Builds the nodes of the joints; `first` is the index of the root's."""
  nodes = []
  for index, label in enumerate(labels):
    offset = place if PARENTS[index] < 0 else motion.offsets[index]
    node: dict[str, Any] = {
      'name': label,
      'translation': np.asarray(offset, np.float32).tolist(),
    }
    children = [first + c for c, p in enumerate(PARENTS) if p == index]
    nodes.append(node | ({'children': children} if children else {}))
  return nodes


def _mesh(
  person: str, motion: Motion, place: np.ndarray, buffer: _Buffer
) -> dict[str, Any]:
  """Builds the body of a person, and adds its arrays to the buffer."""
  surfaces = body_surfaces(motion.offsets)
  return {
    'name': f'{person} body',
    'primitives': [
      _primitive(surfaces[part], place, material, buffer)
      for material, part in enumerate(SOLID)
    ],
  }


def _primitive(
  surface: Surface, place: np.ndarray, material: int, buffer: _Buffer
) -> dict[str, Any]:
  """Builds a surface whose vertices each move with a single joint."""
  count = len(surface.points)
  joints = np.zeros((count, 4), np.uint8)
  joints[:, 0] = surface.joints
  weights = np.zeros((count, 4), np.float32)
  weights[:, 0] = 1
  arrays = {
    'POSITION': (surface.points + place).astype(np.float32),
    'NORMAL': surface.normals.astype(np.float32),
    'JOINTS_0': joints,
    'WEIGHTS_0': weights,
  }
  return {
    'attributes': {
      name: buffer.add(array, _VERTICES) for name, array in arrays.items()
    },
    'indices': buffer.add(
      surface.triangles.reshape(-1).astype(np.uint16), _INDICES
    ),
    'material': material,
  }


def _skin(
  person: str, motion: Motion, place: np.ndarray, first: int, buffer: _Buffer
) -> dict[str, Any]:
  """Builds the skin, whose matrices undo the rest pose of the joints."""
  places = [place]
  for offset, parent in zip(motion.offsets[1:], PARENTS[1:], strict=True):
    places.append(places[parent] + offset)
  matrices = np.tile(np.eye(4, dtype=np.float32), (len(places), 1, 1))
  matrices[:, 3, :3] = -np.array(places)  # In column-major order.
  return {
    'name': person,
    'inverseBindMatrices': buffer.add(matrices.reshape(-1, 16)),
    'joints': list(range(first, first + len(places))),
    'skeleton': first,
  }


def _animate(
  motion: Motion,
  first: int,
  buffer: _Buffer,
  samplers: list[dict[str, Any]],
  channels: list[dict[str, Any]],
) -> None:
  """Adds the motion of a person to the animation."""
  times = (motion.first + np.arange(len(motion.root))) / motion.fps
  seconds = buffer.add(times.astype(np.float32))

  def move(node: int, path: str, values: np.ndarray) -> None:
    channels.append(
      {'sampler': len(samplers), 'target': {'node': node, 'path': path}}
    )
    samplers.append(
      {'input': seconds, 'output': buffer.add(values.astype(np.float32))}
    )

  move(first, 'translation', motion.root)
  for index, turns in enumerate(motion.rotations.swapaxes(0, 1)):
    move(first + index, 'rotation', turns)


def _material(part: str, color: str) -> dict[str, Any]:
  """Builds a matte material of an sRGB color '#rrggbb'."""
  encoded = np.frombuffer(bytes.fromhex(color[1:]), np.uint8) / 255
  # glTF wants linear RGB.
  linear = np.where(
    encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4
  )
  return {
    'name': part,
    'pbrMetallicRoughness': {
      'baseColorFactor': [*np.round(linear, 6).tolist(), 1.0],
      'metallicFactor': 0.0,
      'roughnessFactor': 0.8,
    },
  }
