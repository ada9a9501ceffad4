"""Blender itself imports motions; it is a package for one version of Python."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
from rigged import clip, places

from semgcn_jax.config.choices import BVH_UNITS
from semgcn_jax.formats.bvh_files import bvh_text
from semgcn_jax.formats.glb_files import glb_bytes
from semgcn_jax.motion.rig import NAMES, fit

# Prints the bones at rest and in the third frame, in Blender's world, z up.
_SCRIPT = """
import bpy, json, sys
path, scale = sys.argv[1:]
bpy.ops.wm.read_factory_settings(use_empty=True)
if path.endswith('.bvh'):
  bpy.ops.import_anim.bvh(
    filepath=path, global_scale=float(scale), update_scene_fps=True
  )
else:
  bpy.ops.import_scene.gltf(filepath=path)
render = bpy.context.scene.render
[rig] = [o for o in bpy.data.objects if o.type == 'ARMATURE']
bpy.context.scene.frame_set(int(rig.animation_data.action.frame_range[0]) + 2)
def at(bones, end):
  return {b.name: list(rig.matrix_world @ getattr(b, end)) for b in bones}
found = {
  'fps': render.fps / render.fps_base,
  'rest': at(rig.data.bones, 'head_local'),
  'pose': at(rig.pose.bones, 'head'),
}
print('FOUND' + json.dumps(found))
"""


def imported(path, scale=1.0):
  done = subprocess.run(
    [sys.executable, '-c', _SCRIPT, path, str(scale)],
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert done.returncode == 0, done.stderr
  lines = done.stdout.splitlines()
  assert not [line for line in lines if line.startswith('Warning')]
  [line] = [line for line in lines if line.startswith('FOUND')]
  return json.loads(line.removeprefix('FOUND'))


def check(found, motion, names, frame):
  """Checks Blender's joints, x right, y away, z up, against ours."""
  joints = [name for name in names if name in found['pose']]
  assert len(joints) == len(names)
  pose = np.array([found['pose'][name] for name in names])
  expected = places(motion)[frame] @ np.array(
    [(1, 0, 0), (0, 0, 1), (0, -1, 0)]
  )
  np.testing.assert_allclose(pose, expected, atol=2e-3)
  rest = {name: np.array(place) for name, place in found['rest'].items()}
  arm = (
    rest[names[13]] - rest[names[11]]
  )  # From the right shoulder to the wrist.
  assert np.abs(arm[1:]).max() < 1e-3 and arm[0] < -0.3  # A T pose.


@pytest.mark.slow
@pytest.mark.skipif(
  importlib.util.find_spec('bpy') is None, reason='needs Blender (bpy)'
)
@pytest.mark.parametrize('unit', BVH_UNITS)
def test_blender_reads_bvh(tmp_path, unit):
  motion = fit(clip('Walking 1'), 30, apart=True)
  path = tmp_path / 'walk.bvh'
  path.write_text(bvh_text(motion, 'lafan1', unit))
  found = imported(path, 1 / BVH_UNITS[unit])
  assert found['fps'] == pytest.approx(30, abs=1e-3)
  # Blender counts the frames of BVH from 1.
  check(found, motion, NAMES['lafan1'], 2)


@pytest.mark.slow
@pytest.mark.skipif(
  importlib.util.find_spec('bpy') is None, reason='needs Blender (bpy)'
)
def test_blender_reads_glb(tmp_path):
  # A GLB holds seconds; at Blender's 24 frames a second, its frames are ours.
  motion = fit(clip('Walking 1'), 24)
  path = tmp_path / 'walk.glb'
  path.write_bytes(glb_bytes({'walk': motion}, 'blender'))
  check(imported(path), motion, NAMES['blender'], 2)
