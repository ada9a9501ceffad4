"""Joint angles: by turning a body, joint by joint, and by what one sees."""

import numpy as np
import packages
import pytest
from scenes import clip, person

from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.motion.angles import (
  GROUND,
  TRANSLATIONS,
  joint_angles,
  unknown,
)
from semgcn_jax.motion.upright import make_scenes

JOINT = {name: number for number, name in enumerate(H36M.joints)}


def about(axis, degrees):
  """A turn about x, y or z of OpenSim's frames, by its definition."""
  cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
  return {
    'x': np.array([(1, 0, 0), (0, cos, -sin), (0, sin, cos)]),
    'y': np.array([(cos, 0, sin), (0, 1, 0), (-sin, 0, cos)]),
    'z': np.array([(cos, -sin, 0), (sin, cos, 0), (0, 0, 1)]),
  }[axis]


def turned(first, second, third):
  return about('z', first) @ about('x', second) @ about('y', third)


def body(pelvis=(0, 0, 0), lumbar=(0, 0, 0), **limbs):
  """Builds positions `[1, 16, 3]` in the room from OpenSim's coordinates.

  Args:
    pelvis: Tilt, list and rotation.
    lumbar: Extension, bending and rotation.
    **limbs: hip_r, hip_l, arm_r, arm_l: flexion, adduction, rotation, and the
      bend of the next joint.
  """
  place = {'Pelvis': np.array([0.2, 0.9, -0.1])}
  hips = turned(*pelvis)
  chest = hips @ turned(*lumbar)
  place['Spine'] = place['Pelvis'] + hips @ (0, 0.22, 0)
  place['Thorax'] = place['Spine'] + chest @ (0, 0.24, 0)
  place['Head'] = place['Thorax'] + chest @ (0, 0.28, 0)
  for side, sign in (('r', 1), ('l', -1)):
    name = side.upper()
    signs = np.array([1, sign, sign])
    *turns, bend = limbs.get(f'hip_{side}', (0, 0, 0, 0))
    thigh = hips @ turned(*signs * turns)
    shank = thigh @ about('z', -bend)
    place[f'{name}Hip'] = place['Pelvis'] + hips @ (0, 0, 0.1 * sign)
    place[f'{name}Knee'] = place[f'{name}Hip'] + thigh @ (0, -0.4, 0)
    place[f'{name}Ankle'] = place[f'{name}Knee'] + shank @ (0, -0.4, 0)
    *turns, bend = limbs.get(f'arm_{side}', (0, 0, 0, 0))
    upper = chest @ turned(*signs * turns)
    lower = upper @ about('z', bend)
    place[f'{name}Shoulder'] = place['Thorax'] + chest @ (0, 0, 0.17 * sign)
    place[f'{name}Elbow'] = place[f'{name}Shoulder'] + upper @ (0, -0.3, 0)
    place[f'{name}Wrist'] = place[f'{name}Elbow'] + lower @ (0, -0.25, 0)
  ground = np.stack([place[name] for name in H36M.joints])
  return (ground @ np.linalg.inv(GROUND).T)[None]


def one(positions):
  return {name: float(v[0]) for name, v in joint_angles(positions).items()}


def test_a_body_that_is_turned_joint_by_joint():
  rng = np.random.default_rng(0)
  for _ in range(50):
    most = {'pelvis': 60, 'lumbar': 40}
    trunk = {n: rng.uniform(-m, m, 3) for n, m in most.items()}
    limbs = {
      name: (*rng.uniform(-70, 70, 3), rng.uniform(25, 140))
      for name in ('hip_r', 'hip_l', 'arm_r', 'arm_l')
    }
    found = one(body(**trunk, **limbs))
    expected = dict(
      zip(
        ('pelvis_tilt', 'pelvis_list', 'pelvis_rotation'),
        trunk['pelvis'],
        strict=True,
      )
    )
    expected |= dict(zip(TRANSLATIONS, (0.2, 0.9, -0.1), strict=True))
    for name, value in zip(
      ('extension', 'bending', 'rotation'), trunk['lumbar'], strict=True
    ):
      expected[f'lumbar_{name}'] = value
    for side in 'rl':
      *turns, bend = limbs[f'hip_{side}']
      for name, value in zip(
        ('flexion', 'adduction', 'rotation'), turns, strict=True
      ):
        expected[f'hip_{name}_{side}'] = value
      expected[f'knee_angle_{side}'] = bend
      *turns, bend = limbs[f'arm_{side}']
      for name, value in zip(('flex', 'add', 'rot'), turns, strict=True):
        expected[f'arm_{name}_{side}'] = value
      expected[f'elbow_flex_{side}'] = bend
    assert found == pytest.approx(expected, abs=1e-6)


def test_what_one_sees():
  """A person who faces the camera, in the room's own axes."""
  standing = body()[0]
  assert standing[JOINT['RHip'], 0] < standing[JOINT['LHip'], 0]
  assert all(
    abs(v) < 1e-6 for n, v in one(body()).items() if n in 'knee_angle_r'
  )
  forward = standing.copy()  # The right thigh is lifted towards the camera.
  forward[JOINT['RKnee']] = forward[JOINT['RHip']] + (0, 0, 0.4)
  forward[JOINT['RAnkle']] = forward[JOINT['RKnee']] - (0, 0.4, 0)
  found = one(forward[None])
  assert found['hip_flexion_r'] == pytest.approx(90)
  assert found['knee_angle_r'] == pytest.approx(90)
  aside = standing.copy()  # The left arm is lifted sideways by 45 degrees.
  away = np.array([1, -1, 0]) / np.sqrt(2)
  aside[JOINT['LElbow']] = aside[JOINT['LShoulder']] + 0.3 * away
  aside[JOINT['LWrist']] = aside[JOINT['LElbow']] + 0.25 * away
  assert one(aside[None])['arm_add_l'] == pytest.approx(-45)
  bowed = body(lumbar=(-30, 0, 0))[0]
  assert bowed[JOINT['Head'], 2] > standing[JOINT['Head'], 2] + 0.1


def test_a_mirrored_person_has_mirrored_angles():
  [scene] = make_scenes([clip(person(40))])
  positions = scene.upright[0].positions
  mirrored = positions[:, H36M.mirror_order] * (-1, 1, 1)
  first, second = joint_angles(positions), joint_angles(mirrored)
  flipped = {
    *('pelvis_list', 'pelvis_rotation', 'pelvis_tz'),
    *('lumbar_bending', 'lumbar_rotation'),
  }
  for name, values in first.items():
    other = name[:-1] + {'r': 'l', 'l': 'r'}.get(name[-1], name[-1])
    if name[-2:] not in ('_r', '_l'):
      other = name
    sign = -1 if name in flipped else 1
    np.testing.assert_allclose(second[other], sign * values, atol=1e-3)


def test_what_is_not_determined():
  straight = joint_angles(
    np.concatenate([body(), body(hip_r=(0, 0, 10, 30)), body() * np.nan])
  )
  np.testing.assert_allclose(
    straight['hip_rotation_r'], [np.nan, 10, np.nan], atol=1e-6
  )
  assert np.isnan(straight['knee_angle_r'][2])
  shares = unknown(straight)
  assert shares['hip_rotation_r'] == 0.5 and shares['arm_rot_l'] == 1
  assert 'hip_flexion_r' not in shares and 'pelvis_tilt' not in shares
  assert not any('ankle' in name for name in straight)


# Segments of OpenSim's models, of which a joint is the origin.
ORIGINS = {
  **{f'{s.upper()}Hip': f'femur_{s}' for s in 'rl'},
  **{f'{s.upper()}Knee': f'tibia_{s}' for s in 'rl'},
  **{f'{s.upper()}Ankle': f'talus_{s}' for s in 'rl'},
  **{f'{s.upper()}Shoulder': f'humerus_{s}' for s in 'rl'},
  **{f'{s.upper()}Elbow': f'ulna_{s}' for s in 'rl'},
  **{f'{s.upper()}Wrist': f'hand_{s}' for s in 'rl'},
}


@pytest.mark.slow
def test_opensims_own_kinematics(tmp_path_factory):
  """A model of OpenSim is posed, and the angles are those it was given."""
  opensim = pytest.importorskip('opensim', reason='needs opensim')
  folder = packages.install(tmp_path_factory, 'pose2sim')
  model = opensim.Model(
    str(folder / 'Pose2Sim/OpenSim_Setup/Model_Pose2Sim_simple.osim')
  )
  state = model.initSystem()
  ranges = {
    **dict.fromkeys(
      ('pelvis_tilt', 'pelvis_list', 'pelvis_rotation'), (-30, 30)
    ),
    **{f'hip_flexion_{s}': (-10, 60) for s in 'rl'},
    **{
      f'hip_{n}_{s}': (-20, 20) for s in 'rl' for n in ('adduction', 'rotation')
    },
    **{
      f'{n}_{s}': (30, 90) for s in 'rl' for n in ('knee_angle', 'elbow_flex')
    },
    **{f'arm_{n}_{s}': (-40, 40) for s in 'rl' for n in ('flex', 'add', 'rot')},
  }

  def frame(name):
    transform = model.getBodySet().get(name).getTransformInGround(state)
    turn, place = transform.R(), transform.p()
    axes = [[turn.get(i, j) for j in range(3)] for i in range(3)]
    return np.array(axes), np.array([place.get(i) for i in range(3)])

  rng = np.random.default_rng(0)
  errors = {name: [] for name in ranges}
  for _ in range(20):
    given = {name: rng.uniform(*between) for name, between in ranges.items()}
    for name, value in given.items():
      coordinate = model.getCoordinateSet().get(name)
      coordinate.setValue(state, np.deg2rad(value), False)
    model.assemble(state)
    model.realizePosition(state)
    place = {joint: frame(body)[1] for joint, body in ORIGINS.items()}
    place['Pelvis'] = (place['RHip'] + place['LHip']) / 2
    up, chest = frame('pelvis')[0][:, 1], frame('torso')[0][:, 1]
    place['Spine'] = place['Pelvis'] + 0.2 * up
    place['Thorax'] = place['Spine'] + 0.25 * chest
    place['Head'] = place['Thorax'] + 0.3 * chest
    ground = np.stack([place[joint] for joint in H36M.joints])
    found = one((ground @ np.linalg.inv(GROUND).T)[None])
    for name, value in given.items():
      errors[name].append(found[name] - value)
  for name, off in errors.items():
    # Its segments are not straight from joint to joint, above all the forearm.
    most = 9 if name.startswith(('elbow', 'arm_rot')) else 4
    assert abs(np.mean(off)) < most, name
    assert np.std(off) < 5, name


@pytest.mark.parametrize('raised', [-20, 0, 35])
def test_ankles_are_known_where_feet_are(raised):
  """The shank is vertical; the toes are raised by so many degrees."""
  joints = body()
  angle = np.deg2rad(raised)
  ahead = np.array((0, np.sin(angle), np.cos(angle)))  # The room's z is ahead.
  ankles = joints[:, [H36M.joints.index(f'{s}Ankle') for s in 'RL']]
  feet = np.stack(
    [p for k in range(2) for p in (ankles[:, k], ankles[:, k] + 0.2 * ahead)],
    axis=1,
  )
  angles = joint_angles(joints, feet)
  for side in 'rl':
    np.testing.assert_allclose(angles[f'ankle_angle_{side}'], raised, atol=1e-6)
