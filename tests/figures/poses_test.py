import matplotlib.image
import numpy as np
from skeletons import HAND

from semgcn_jax.figures.poses import plot_poses
from semgcn_jax.skeleton import H36M


def test_poses_are_drawn(tmp_path):
  rng = np.random.default_rng(0)
  for skeleton in (H36M, HAND):
    joints = skeleton.num_joints
    path = tmp_path / f'{joints}.png'
    plot_poses(
      rng.normal(size=(2, joints, 2)),
      rng.normal(size=(2, joints, 3)),
      rng.normal(size=(2, joints, 3)),
      path,
      titles=['first', 'second'],
      skeleton=skeleton,
    )
    image = matplotlib.image.imread(path)
    assert min(image.shape[:2]) > 500 and np.ptp(image) > 0.5
