"""Writes VRM 1.0: a person as an avatar, or a motion for any avatar.

Both are binary glTF with an extension that says which nodes are the bones of a
human: VRMC_vrm for avatars, and VRMC_vrm_animation for motions.
"""

import numpy as np

from semgcn_jax.formats.glb_files import FIRST_JOINT, glb_bytes
from semgcn_jax.motion.body_mesh import rest_places
from semgcn_jax.motion.rig import NAMES, Motion

# VRM's bones are Unity's, with a small letter first.
BONES = tuple(name[0].lower() + name[1:] for name in NAMES['unity'])
_TO_GROUND = 1.07  # From the hips, as a multiple of that to the ankles.
_LICENSE = 'https://vrm.dev/licenses/1.0/'


def vrm_bytes(person: str, motion: Motion) -> bytes:
  """Writes a .vrm file: the body of a person, and an animation of it.

  Its licence stays VRM's default, by which only the author may use it.

  Args:
    person: The name of the person.
    motion: The motion, of a rig whose joints stand apart (see `rig.fit`).

  Raises:
    UserError: The motion has no frames.
  """
  meta = {'name': person, 'authors': ['SemGCN-JAX'], 'licenseUrl': _LICENSE}
  return _with_bones('VRMC_vrm', person, motion, meta=meta)


def vrma_bytes(person: str, motion: Motion) -> bytes:
  """Writes a .vrma file: a motion that players apply to any VRM avatar.

  Args and errors are those of `vrm_bytes`.
  """
  return _with_bones('VRMC_vrm_animation', person, motion)


def _with_bones(
  extension: str, person: str, motion: Motion, **fields: object
) -> bytes:
  bones = {name: {'node': FIRST_JOINT + k} for k, name in enumerate(BONES)}
  content = {'specVersion': '1.0', 'humanoid': {'humanBones': bones}} | fields
  # At rest they stand on the ground: players scale a motion by how high the
  # hips are, and do not play the animation of an avatar.
  ankles = min(rest_places(motion.offsets)[:, 1])
  rest = np.array([0, -_TO_GROUND * ankles, 0])
  return glb_bytes({person: motion}, 'unity', {extension: content}, rest)
