"""Motions of the rig for the tests, and its kinematics by loops."""

import numpy as np

from semgcn_jax.data.synthetic import generate
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.motion.rig import JOINTS, PARENTS

# From z up, as in the synthetic dataset, to y up: x stays, z becomes y.
Y_UP = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
# The joints of the rig that stand at those of Human3.6M.
AT = [JOINTS.index(joint) for joint in H36M.joints]


def clip(name, subject='S1'):
  """Takes a clip of the synthetic dataset, `[25, 16, 3]`, metres, y up."""
  return generate(0)[subject][name].astype(float) @ Y_UP.T


def matrix(quaternion):
  """Makes the rotation matrix of a unit quaternion x, y, z, w."""
  x, y, z, w = quaternion
  return np.array(
    [
      [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
      [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
      [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
  )


def places(motion):
  """Computes the positions of all joints of the rig, `[T, R, 3]`, by loops."""
  result = np.zeros((len(motion.root), len(JOINTS), 3))
  for t in range(len(motion.root)):
    turns = []
    for r, parent in enumerate(PARENTS):
      turn = matrix(motion.rotations[t, r])
      if parent < 0:
        result[t, r] = motion.root[t]
        turns.append(turn)
      else:
        result[t, r] = result[t, parent] + turns[parent] @ motion.offsets[r]
        turns.append(turns[parent] @ turn)
  return result
