import dataclasses
import json
import shutil
import subprocess

import numpy as np
import packages
import pytest
from rigged import clip, places

from semgcn_jax.errors import UserError
from semgcn_jax.formats.vrm_files import BONES, vrm_bytes, vrma_bytes
from semgcn_jax.motion.rig import JOINTS, PARENTS, fit

# The bones that VRM 1.0 requires.
REQUIRED = {'hips', 'spine', 'head'} | {
  f'{side}{bone}'
  for side in ('left', 'right')
  for bone in (
    *('UpperLeg', 'LowerLeg', 'Foot'),
    *('UpperArm', 'LowerArm', 'Hand'),
  )
}
# Plays the animation of an avatar, and another file's motion on it.
PLAY = """
import fs from 'node:fs';
globalThis.self = globalThis;
const { AnimationMixer, Vector3 } = await import('three');
const { GLTFLoader } = await import('three/addons/loaders/GLTFLoader.js');
const { VRMLoaderPlugin } = await import('@pixiv/three-vrm');
const { VRMAnimationLoaderPlugin, createVRMAnimationClip } = await import(
  '@pixiv/three-vrm-animation');
const loader = new GLTFLoader();
loader.register((parser) => new VRMLoaderPlugin(parser));
loader.register((parser) => new VRMAnimationLoaderPlugin(parser));
const read = (path) =>
  loader.parseAsync(new Uint8Array(fs.readFileSync(path)).buffer, '');
const [avatar, motion] = [await read('walk.vrm'), await read('walk.vrma')];
const { vrm } = avatar.userData;
const play = (clip) => {
  const mixer = new AnimationMixer(vrm.scene);
  mixer.clipAction(clip).play();
  mixer.setTime(0.7);
  vrm.update(0);
  vrm.scene.updateMatrixWorld(true);
  const at = {};
  for (const bone of Object.keys(vrm.humanoid.rawHumanBones))
    at[bone] = vrm.humanoid.getRawBoneNode(bone)
      .getWorldPosition(new Vector3()).toArray();
  return at;
};
const [animation] = motion.userData.vrmAnimations;
const transferred = play(createVRMAnimationClip(animation, vrm));
vrm.humanoid.autoUpdateHumanBones = false;
const own = play(avatar.animations[0]);
console.log(JSON.stringify({ name: vrm.meta.name, own, transferred }));
"""


@pytest.fixture(scope='module')
def motion():
  return fit(clip('Walking 1') + (0, 1, 0), 10, apart=True)


def read(data):
  length = int.from_bytes(data[12:16], 'little')
  return json.loads(data[20 : 20 + length])


@pytest.mark.parametrize(
  ('write', 'extension'),
  [(vrm_bytes, 'VRMC_vrm'), (vrma_bytes, 'VRMC_vrm_animation')],
)
def test_bones_are_the_joints(motion, write, extension):
  content = read(write('person 1', motion))
  assert content['extensionsUsed'] == [extension]
  vrm = content['extensions'][extension]
  assert vrm['specVersion'] == '1.0'
  bones = {k: v['node'] for k, v in vrm['humanoid']['humanBones'].items()}
  assert REQUIRED <= bones.keys()
  assert [*bones.values()] == content['skins'][0]['joints']
  for bone, joint, parent in zip(BONES, JOINTS, PARENTS, strict=True):
    name = content['nodes'][bones[bone]]['name']
    assert name.lower() == bone.lower()
    assert bone.startswith('left') == (joint[0] == 'L' and joint[1].isupper())
    if parent >= 0:
      above = content['nodes'][bones[BONES[parent]]]
      assert bones[bone] in above['children']


def test_avatars_have_what_their_licence_needs(motion):
  meta = read(vrm_bytes('Ann', motion))['extensions']['VRMC_vrm']['meta']
  assert meta['name'] == 'Ann' and meta['authors']
  assert meta['licenseUrl'] == 'https://vrm.dev/licenses/1.0/'


def test_a_motion_needs_frames(motion):
  empty = dataclasses.replace(
    motion, rotations=motion.rotations[:0], root=motion.root[:0]
  )
  with pytest.raises(UserError, match='the motion of Ann has no frames'):
    vrm_bytes('Ann', empty)


def test_at_rest_the_person_stands_on_the_ground(motion):
  """Wherever the motion begins, and however low the person is there."""
  seated = dataclasses.replace(motion, root=motion.root - (2, 0.9, 3))
  files = [read(vrm_bytes('Ann', moved)) for moved in (motion, seated)]
  hips, feet = [], []
  for content in files:
    bones = content['extensions']['VRMC_vrm']['humanoid']['humanBones']
    nodes = [content['nodes'][bones[bone]['node']] for bone in BONES]
    places = np.zeros((len(BONES), 3))
    for k, node in enumerate(nodes):
      above = places[PARENTS[k]] if PARENTS[k] >= 0 else 0
      places[k] = np.add(above, node['translation'])
    hips.append(places[0])
    feet.append(places[BONES.index('leftFoot'), 1])
  np.testing.assert_array_equal(hips[0], hips[1])
  assert (hips[0][[0, 2]] == 0).all() and 0.04 < feet[0] < 0.09


@pytest.mark.slow
def test_three_vrm_plays_them(motion, tmp_path):
  if not shutil.which('node'):
    pytest.skip('needs Node.js, to play them')
  for name, version in (
    ('three', '0.180.0'),
    ('@pixiv/three-vrm', '3.5.5'),
    ('@pixiv/three-vrm-animation', '3.5.5'),
  ):
    packages.install_npm(tmp_path, name, version)
  (tmp_path / 'walk.vrm').write_bytes(vrm_bytes('Ann', motion))
  # Of someone who is taller by a fifth.
  tall = dataclasses.replace(
    motion, offsets=1.2 * motion.offsets, root=1.2 * motion.root
  )
  (tmp_path / 'walk.vrma').write_bytes(vrma_bytes('Bob', tall))
  (tmp_path / 'play.mjs').write_text(PLAY)
  played = subprocess.run(
    ['node', 'play.mjs'], cwd=tmp_path, capture_output=True, text=True
  )
  assert played.returncode == 0, played.stderr
  result = json.loads(played.stdout)
  assert result['name'] == 'Ann'
  expected = places(motion)[7]
  for found in (result['own'], result['transferred']):
    assert found.keys() == set(BONES)
    at = [found[bone] for bone in BONES]
    np.testing.assert_allclose(at, expected, atol=1e-5)
