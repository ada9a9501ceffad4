"""Makes people.json: two people from the synthetic motions, as COCO results.

One camera, 1280 x 720, sees them without noise. Their joints serve as detected
keypoints; the end of the head serves for the face.
"""

import json
import pathlib

import numpy as np

from semgcn_jax.data.synthetic import generate
from semgcn_jax.geometry.joint_sets import JOINT_SETS
from semgcn_jax.simulation.points import joint_of

WIDTH, HEIGHT, FOCAL = 1280, 720, 1100.0
FOLDER = pathlib.Path(__file__).parent


def main() -> None:
  """Writes the file."""
  joints = [joint_of(name) for name in JOINT_SETS['coco'].names]
  clips = [clip for clips in generate(0).values() for clip in clips.items()]
  results = []
  for number, (_, clip) in enumerate((clips[2], clips[40])):
    # The camera is level, 1 m high and 6 m away; the people stand apart.
    world = clip - clip[:1, :1] * (1, 1, 0)
    side = 1.2 * (2 * number - 1)
    x, y, z = np.moveaxis(world[:, joints], -1, 0)
    depth = y + 6.0
    u = FOCAL * (x + side) / depth + WIDTH / 2
    v = FOCAL * (1.0 - z) / depth + HEIGHT / 2
    for frame, (row_u, row_v) in enumerate(zip(u, v, strict=True)):
      keypoints = np.stack([row_u, row_v, np.full(len(row_u), 0.9)], axis=-1)
      results.append(
        {
          'image_id': frame,
          'category_id': 1,
          'keypoints': [round(float(x), 1) for x in keypoints.ravel()],
          'score': 0.9,
        }
      )
  results.sort(key=lambda result: result['image_id'])
  with open(FOLDER / 'people.json', 'w', encoding='utf-8') as file:
    json.dump(results, file)
    file.write('\n')


if __name__ == '__main__':
  main()
