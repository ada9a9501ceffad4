import json
import os
import pathlib
import shutil
import struct
import subprocess

import numpy as np
import pytest
from rigged import clip, matrix, places

from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.formats.glb_files import glb_bytes
from semgcn_jax.formats.vrm_files import vrm_bytes, vrma_bytes
from semgcn_jax.motion.rig import JOINTS, NAMES, PARENTS, Motion, fit

DTYPES = {5126: '<f4', 5121: 'u1', 5123: '<u2'}
WIDTHS = {'SCALAR': 1, 'VEC3': 3, 'VEC4': 4, 'MAT4': 16}


@pytest.fixture(scope='module')
def motions():
  return {
    'person 1': fit(clip('Walking 1'), 10),
    'person 2': fit(clip('Sitting 1', 'S9')[:20] + (2, 0, 1), 10, first=15),
  }


def read(data):
  """Parses a file into its description, and a function that reads arrays."""
  magic, version, size = struct.unpack_from('<4sII', data)
  assert (magic, version, size) == (b'glTF', 2, len(data))
  length, kind = struct.unpack_from('<I4s', data, 12)
  assert kind == b'JSON' and length % 4 == 0
  content = json.loads(data[20 : 20 + length])
  binary, kind = struct.unpack_from('<I4s', data, 20 + length)
  assert kind == b'BIN\0' and binary == content['buffers'][0]['byteLength']
  start = 28 + length
  assert start + binary == size

  def array(number):
    accessor = content['accessors'][number]
    view = content['bufferViews'][accessor['bufferView']]
    width = WIDTHS[accessor['type']]
    dtype = DTYPES[accessor['componentType']]
    count = accessor['count'] * width
    values = np.frombuffer(data, dtype, count, start + view['byteOffset'])
    values = values.reshape(-1, width)
    np.testing.assert_array_equal(values.min(axis=0), accessor['min'])
    np.testing.assert_array_equal(values.max(axis=0), accessor['max'])
    return values

  return content, array


def worlds(content, array, keyframe):
  """Computes the matrix of each node in a frame, given {first node: frame}."""
  animation = content['animations'][0]
  locals_ = []
  for node in content['nodes']:
    local = np.eye(4)
    local[:3, 3] = node.get('translation', (0, 0, 0))
    locals_.append(local)
  for channel in animation['channels']:
    target, sampler = (
      channel['target'],
      animation['samplers'][channel['sampler']],
    )
    value = array(sampler['output'])[keyframe].astype(float)
    if target['path'] == 'rotation':
      locals_[target['node']][:3, :3] = matrix(value)
    else:
      locals_[target['node']][:3, 3] = value
  result = {}

  def go_down(number, above):
    result[number] = above @ locals_[number]
    for child in content['nodes'][number].get('children', ()):
      go_down(child, result[number])

  for number in content['scenes'][0]['nodes']:
    go_down(number, np.eye(4))
  return result


@pytest.mark.parametrize('names', NAMES)
def test_the_joints_move_as_in_the_motion(motions, names):
  content, array = read(glb_bytes(motions, names))
  assert len(content['animations']) == 1
  expected = [places(motion) for motion in motions.values()]
  for t in (0, 7, 19):
    found = worlds(content, array, t)
    for skin, positions in zip(content['skins'], expected, strict=True):
      labels = [content['nodes'][joint]['name'] for joint in skin['joints']]
      assert tuple(labels) == NAMES[names]
      at = np.array([found[joint][:3, 3] for joint in skin['joints']])
      np.testing.assert_allclose(at, positions[t], atol=1e-5)


def test_times_are_those_of_the_clip(motions):
  content, array = read(glb_bytes(motions))
  animation = content['animations'][0]
  of_node = {
    channel['target']['node']: animation['samplers'][channel['sampler']]
    for channel in animation['channels']
  }
  starts = []
  for skin, motion in zip(content['skins'], motions.values(), strict=True):
    for joint in skin['joints']:
      times = array(of_node[joint]['input'])[:, 0]
      np.testing.assert_allclose(
        times, (motion.first + np.arange(len(motion.root))) / 10, rtol=1e-6
      )
    starts.append(times[0])
  assert starts == [0, 1.5]


def test_the_body_is_closed_and_follows_its_bones(motions):
  content, array = read(glb_bytes(motions))
  expected = [places(motion) for motion in motions.values()]
  frame = worlds(content, array, 12)
  for node in content['nodes']:
    if 'mesh' not in node:
      continue
    skin = content['skins'][node['skin']]
    bind = array(skin['inverseBindMatrices']).reshape(-1, 4, 4)
    moves = [
      frame[joint] @ undo.T
      for joint, undo in zip(skin['joints'], bind, strict=True)
    ]
    joints_at = expected[node['skin']][12]
    sides = []
    for primitive in content['meshes'][node['mesh']]['primitives']:
      of = {k: array(n) for k, n in primitive['attributes'].items()}
      np.testing.assert_allclose(
        np.linalg.norm(of['NORMAL'], axis=1), 1, atol=1e-5
      )
      np.testing.assert_array_equal(
        of['WEIGHTS_0'], [(1, 0, 0, 0)] * len(of['NORMAL'])
      )
      assert not of['JOINTS_0'][:, 1:].any()
      triangles = array(primitive['indices']).reshape(-1, 3).astype(int)
      edges = np.concatenate([triangles[:, [k, (k + 1) % 3]] for k in range(3)])
      # Every edge is passed once in each direction: closed, the same side out.
      back = set(map(tuple, edges[:, ::-1]))
      assert len(back) == len(edges) and back == set(map(tuple, edges))
      a, b, c = (
        of['POSITION'][triangles[:, k]].astype(float) for k in range(3)
      )
      across = np.cross(b - a, c - a)
      assert np.einsum('ij,ij->', a, across) > 0  # Six times the volume.
      outward = of['NORMAL'][triangles[:, 0]]
      assert (np.einsum('ij,ij->i', outward, across) > 0).mean() > 0.99
      joint = of['JOINTS_0'][:, 0]
      points = np.concatenate(
        [of['POSITION'], np.ones((len(joint), 1))], axis=1
      )
      moved = np.einsum('nij,nj->ni', np.array(moves)[joint], points)[:, :3]
      # No part is farther from its joint than a bone is long.
      distance = np.linalg.norm(moved - joints_at[joint], axis=1)
      assert distance.max() < 0.6
      sides.append({JOINTS[j][0] for j in set(joint)})
      material = content['materials'][primitive['material']]['name']
      if material != 'trunk':
        assert sides[-1] == {material[0].upper()}
    assert len(sides) == 3


def test_the_body_is_that_of_a_person():
  motion = fit(clip('Walking 1'), 10)
  content, array = read(glb_bytes({'a': motion}))
  points = np.concatenate(
    [
      array(primitive['attributes']['POSITION'])
      for primitive in content['meshes'][0]['primitives']
    ]
  )
  # In the rest pose, about as wide as tall, and not deep.
  width, height, depth = np.ptp(points, axis=0)
  rest = np.zeros((len(JOINTS), 3))
  for r, parent in enumerate(PARENTS[1:], start=1):
    rest[r] = rest[parent] + motion.offsets[r]
  tall = np.ptp(rest[:, 1])
  assert tall < height < tall + 0.2
  assert 0.8 < width / height < 1.2
  assert 0.2 < depth < 0.5


def test_colors_are_linear():
  content, _ = read(glb_bytes({'a': fit(clip('Walking 1'), 10)}))
  colors = {
    m['name']: m['pbrMetallicRoughness']['baseColorFactor']
    for m in content['materials']
  }
  # sRGB of 0x72 and 0xb2, and of 0xd5 and 0x5e, by the standard's formula.
  np.testing.assert_allclose(
    colors['left'], (0, 0.168269, 0.445201, 1), atol=1e-5
  )
  np.testing.assert_allclose(
    colors['right'], (0.665387, 0.111932, 0, 1), atol=1e-5
  )
  assert colors['trunk'][0] == colors['trunk'][1] == colors['trunk'][2]


def test_what_cannot_be_written_is_refused(motions):
  motion = motions['person 1']
  none = Motion(motion.offsets, motion.rotations[:0], motion.root[:0], 10.0)
  with pytest.raises(UserError, match='the motion of b has no frame'):
    glb_bytes({'a': motion, 'b': none})
  with pytest.raises(UserError, match='nobody'):
    glb_bytes({})
  with pytest.raises(SettingError, match='`names=maya`: choose from h36m'):
    glb_bytes(motions, 'maya')


VALIDATE = """
const fs = require('fs');
require('gltf-validator')
  .validateBytes(new Uint8Array(fs.readFileSync(process.argv[1])))
  .then(report => console.log(JSON.stringify(report.issues)));
"""


def validator(folder):
  """Finds a folder of packages of Node.js with the validator, or fills one."""
  if not shutil.which('node'):
    pytest.skip('needs Node.js, for the validator of glTF')
  folders = [
    *os.environ.get('NODE_PATH', '').split(os.pathsep),
    *(parent / 'node_modules' for parent in pathlib.Path(__file__).parents),
  ]
  for candidate in map(pathlib.Path, filter(None, folders)):
    if (candidate / 'gltf-validator').is_dir():
      return candidate
  if shutil.which('npm'):
    command = ['npm', 'install', '--prefix', str(folder), 'gltf-validator']
    subprocess.run(command, capture_output=True, timeout=120)
  if not (folder / 'node_modules' / 'gltf-validator').is_dir():
    pytest.skip('needs the package gltf-validator of npm; set NODE_PATH to it')
  return folder / 'node_modules'


@pytest.mark.slow
def test_the_validator_finds_nothing(motions, tmp_path):
  packages = validator(tmp_path)
  walk = clip('Walking 1')
  files = {name: glb_bytes(motions, name) for name in NAMES}
  files['one frame'] = glb_bytes({'a': fit(walk[:1], 30, first=3)})
  files['no size'] = glb_bytes({'a': fit(np.zeros((2, 16, 3)), 30)})
  files['avatar'] = vrm_bytes('a', fit(walk, 30, apart=True))
  files['motion of avatars'] = vrma_bytes('a', fit(walk, 30, apart=True))
  for name, data in files.items():
    path = tmp_path / f'{name}.glb'
    path.write_bytes(data)
    result = subprocess.run(
      ['node', '-e', VALIDATE, str(path)],
      env=os.environ | {'NODE_PATH': str(packages)},
      capture_output=True,
      text=True,
      check=True,
    )
    issues = json.loads(result.stdout)
    assert (issues['numErrors'], issues['numWarnings']) == (0, 0), issues
    # It does not know VRM's extensions.
    infos = {message['code'] for message in issues['messages']}
    assert infos <= {'UNSUPPORTED_EXTENSION'}, issues
    assert bool(infos) == ('avatar' in name), issues
