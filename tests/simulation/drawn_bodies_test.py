import numpy as np

from semgcn_jax.data.synthetic import OFFSETS
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.simulation import drawn_bodies, drawn_people


def neutral():
  """A person with hanging arms: x right, y forward, z up; `[1, 16, 3]`."""
  pose = np.zeros((16, 3))
  for parent, child in H36M.bones:
    pose[child] = pose[parent] + OFFSETS[child]
  return pose[None]


def body(pose, yaw=0.0):
  return drawn_bodies.make(
    pose, drawn_people.make(0, np.array([5])), np.array([yaw])
  )


def test_the_joints_are_in_the_body():
  pose = neutral()
  made = body(pose)
  s = np.linspace(0, 1, 50)[:, None, None]
  centres = made.starts[0] + s * (made.ends[0] - made.starts[0])
  radii = made.radii[0, :, 0] + s[..., 0] * np.diff(made.radii[0])[:, 0]
  for joint, place in zip(H36M.joints, pose[0], strict=True):
    inside = np.linalg.norm(place - centres, axis=-1) < radii
    assert inside.any(), joint


def test_the_body_faces_forwards():
  made = body(neutral())
  points = np.concatenate([made.starts[0], made.ends[0]])
  reach = made.reach[0].T.reshape(-1)
  # Feet and nose are what is farthest in front, not behind.
  front = (points[:, 1] + reach).max()
  assert front > 0.15 and front > -(points[:, 1] - reach).min()
  assert made.radii.min() > 0
  np.testing.assert_allclose(np.linalg.norm(made.across, axis=-1), 1)
  np.testing.assert_allclose(
    (made.across[..., 0, :] * made.across[..., 1, :]).sum(-1), 0, atol=1e-9
  )


def test_a_mirrored_pose_has_a_mirrored_body():
  pose = neutral() + np.random.default_rng(0).normal(0, 0.05, (1, 16, 3))
  mirrored = (pose * (-1, 1, 1))[:, H36M.mirror_order]
  sets = [
    np.concatenate([b.starts[0], b.ends[0]])
    for b in (body(pose, 0.3), body(mirrored, -0.3))
  ]
  sets[1] = sets[1] * (-1, 1, 1)
  apart = np.linalg.norm(sets[0][:, None] - sets[1][None], axis=-1)
  assert apart.min(axis=0).max() < 1e-3 and apart.min(axis=1).max() < 1e-3


def test_a_head_turns_to_the_left():
  ahead, left = (body(neutral(), yaw) for yaw in (0.0, 0.5))
  moved = (left.ends - ahead.ends)[0]
  assert moved[:, 0].min() < -0.02  # The nose, as x points right.
  assert np.abs(moved[:, 2]).max() < 0.005
