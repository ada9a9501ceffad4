"""A skeleton of one's own: an animal, with the joint set of a detector."""

import json

import numpy as np

from semgcn_jax.geometry.skeletons import load_skeleton

JOINTS = (
  *('hip', 'back', 'neck', 'head', 'tail'),
  *(f'{side}_{joint}' for side in ('left', 'right')
    for joint in ('shoulder', 'elbow', 'paw', 'knee', 'foot')),
)  # fmt: skip
PARENTS = (-1, 0, 1, 2, 0, 1, 5, 6, 0, 8, 1, 10, 11, 0, 13)
# The detector marks two ears, and neither the head nor the tail.
MARKED = (
  'left_ear',
  'right_ear',
  *(j for j in JOINTS if j not in ('head', 'tail')),
)
FILE = {
  'joints': JOINTS,
  'parents': PARENTS,
  'left': (5, 6, 7, 8, 9),
  'right': (10, 11, 12, 13, 14),
  'stands': True,
  'joint_sets': {
    'detector': {
      'names': MARKED,
      'sources': {'head': ['left_ear', 'right_ear']},
    }
  },
}
# x to the right, y down, z away; it looks to the left.
_SIDE = (-2, 4, 5), (1, 10, 0), (-1, 10, 0), (0, 10, 5), (0, 12, 0)
_OFFSETS = np.array(
  [
    *((0, 0, 0), (-30, -2, 0), (-8, -6, 0), (-8, -2, 0), (12, -4, 0)),
    *_SIDE,
    *((x, y, -z) for x, y, z in _SIDE),
  ]
) / 100  # fmt: skip


def skeleton(folder):
  """Writes its file into a folder, and reads it."""
  path = folder / 'quadruped.json'
  path.write_text(json.dumps(FILE))
  return load_skeleton(str(path))


def poses(rng, count):
  """Poses `[N, 15, 3]`, metres, whose bones turn by 15 degrees or so."""
  result = np.zeros((count, len(JOINTS), 3))
  for joint in range(1, len(JOINTS)):
    bone = _OFFSETS[joint] + 0.02 * rng.normal(size=(count, 3))
    result[:, joint] = result[:, PARENTS[joint]] + bone
  return result


def write_data(folder, scale=1.0):
  """Writes poses of two animals, and a camera, into a folder."""
  rng = np.random.default_rng(0)
  subjects = {}
  for name, count in (('Rex', 600), ('Ida', 60)):
    seen = scale * poses(rng, count)
    world = seen[..., [2, 0, 1]] * [1, -1, -1] + [0, 0, scale]
    subjects[name] = {'Walk': world}
  np.savez(
    folder / 'data_3d_animal.npz', positions_3d=np.array(subjects, object)
  )
  camera = {
    'orientation': [0.5, -0.5, 0.5, -0.5],
    'translation': [-2 * scale, 0, scale],
    'focal_length': [1100, 1100],
    'center': [500, 500],
    'width': 1000,
    'height': 1000,
  }
  (folder / 'cameras.json').write_text(json.dumps({'*': [camera]}))


def keypoints(count, names=JOINTS):
  """Pixels `[N, K, 2]` of poses in front of a camera, 1280 x 720."""
  seen = poses(np.random.default_rng(1), count) + (0.1, 0, 2)
  at = {name: seen[:, n] for n, name in enumerate(JOINTS)}
  at |= {f'{side}_ear': at['head'] for side in ('left', 'right')}
  points = np.stack([at[name] for name in names], axis=1)
  return points[..., :2] / points[..., 2:] * 900 + (640, 360)
