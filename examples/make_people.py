"""Makes people.json: two people from the synthetic motions, as COCO results.

One camera, 1280 x 720, sees them without noise, 30 times a second. Their joints
serve as detected keypoints; the end of the head serves for the face.
"""

import json
import pathlib

import numpy as np
from scipy.interpolate import CubicSpline

from semgcn_jax.data.synthetic import generate
from semgcn_jax.geometry.joint_sets import JOINT_SETS
from semgcn_jax.simulation.points import joint_of

WIDTH, HEIGHT, FOCAL = 1280, 720, 1100.0
FPS, MOTION_FPS = 30, 10
APART = 1.1  # Metres.
FOLDER = pathlib.Path(__file__).parent


def main() -> None:
  """Writes the file."""
  joints = [joint_of(name) for name in JOINT_SETS['coco'].names]
  clips = generate(0)['S1']
  results = []
  for number, name in enumerate(('Dancing 3', 'Boxing 1')):
    # The camera is level, 1 m high and 5 m away; the people stand apart.
    clip = clips[name]
    times = np.arange(0, len(clip) - 1, MOTION_FPS / FPS)
    world = CubicSpline(np.arange(len(clip)), clip)(times)
    world = world - world[:1, :1] * (1, 1, 0)
    side = APART * (number - 0.5)
    x, y, z = np.moveaxis(world[:, joints], -1, 0)
    depth = y + 5.0
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
