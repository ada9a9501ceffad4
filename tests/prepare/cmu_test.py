import numpy as np
import pytest
import scipy.spatial.transform
from h36m_files import tar_of, zip_of

from semgcn_jax.data.npz import read_poses_3d
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.prepare import cmu, convert
from semgcn_jax.prepare.asf import bone_ends, read_amc, read_asf
from semgcn_jax.prepare.convert import Options


def prepare(source, output_dir, **options):
  [file] = convert.prepare(source, output_dir, Options(**options))
  return file


@pytest.mark.parametrize(
  'kind',
  [
    'tree',
    'subjects',
    *(pytest.param(k, marks=pytest.mark.slow) for k in ('zip', 'tar')),
  ],
)
def test_cmu_files_give_the_benchmarks_poses(shared, tmp_path, kind, capsys):
  source = shared / 'cmu' / 'raw'
  if kind == 'subjects':
    source = source / 'subjects'
  if kind == 'zip':
    zip_of(source, tmp_path / 'cmu.zip')
    source = tmp_path / 'cmu.zip'
  if kind == 'tar':
    tar_of(source, tmp_path / 'cmu.tar.bz2', 'w:bz2')
    source = tmp_path / 'cmu.tar.bz2'
  poses = read_poses_3d(prepare(source, tmp_path / 'data'))
  reference = read_poses_3d(shared / 'cmu' / 'data_3d_cmu.npz')
  actions = [(s, a) for s, clips in poses.items() for a in clips]
  assert actions == [
    *(('S3', 'Climb 03_02'), ('S5', 'Walk 05_01'), ('S5', 'Dance 05_03')),
    *(('S16', 'Jump 16_01'), ('S16', 'Run 16_08')),
  ]
  for subject, action in actions:
    np.testing.assert_allclose(
      poses[subject][action], reference[subject][action], rtol=0, atol=1e-4
    )
  assert 'S16 2 47 -' in ' '.join(capsys.readouterr().out.split())
  assert [p.name for p in (tmp_path / 'data').iterdir()] == ['data_3d_cmu.npz']


@pytest.mark.slow
def test_rates(shared, tmp_path):
  rates = tmp_path / 'rates.csv'
  rates.write_text('clip,fps\n16_01,60\n')
  source = shared / 'cmu' / 'raw'
  poses = read_poses_3d(prepare(source, tmp_path, rates=str(rates), fps=30))
  lengths = {a: len(p) for clips in poses.values() for a, p in clips.items()}
  usual = read_poses_3d(
    prepare(source, tmp_path, rates=None, fps=30, overwrite=True)
  )
  assert lengths['Walk 05_01'] == len(usual['S5']['Walk 05_01'])
  ratio = lengths['Jump 16_01'] / len(usual['S16']['Jump 16_01'])
  assert 1.9 < ratio <= 2
  rates.write_text('\ufeff16_01,60\n')
  again = prepare(source, tmp_path, rates=str(rates), fps=30, overwrite=True)
  again = {a: p for c in read_poses_3d(again).values() for a, p in c.items()}
  assert {a: len(p) for a, p in again.items()} == lengths
  for text in (b'\xff\xfe1', b'16_01,nan', b'16_01'):
    rates.write_bytes(text)
    with pytest.raises(UserError, match='rates.csv:1: not a|not a CSV file'):
      prepare(source, tmp_path / 'new', rates=str(rates))
  with pytest.raises(SettingError, match='`fps=nan`'):
    prepare(source, tmp_path / 'new', fps=float('nan'))
  rates.write_text('16_01,fast\n')
  with pytest.raises(UserError, match='rates.csv:1: not a clip'):
    prepare(source, tmp_path / 'new', rates=str(rates))
  with pytest.raises(SettingError, match='`fps=50`: .* not a multiple'):
    prepare(source, tmp_path / 'new', fps=50)
  with pytest.raises(SettingError, match='`fps=0`'):
    prepare(source, tmp_path / 'new', fps=0)


def test_nothing_is_overwritten_or_half_written(tmp_path):
  output = tmp_path / 'data_3d_cmu.npz'
  output.write_text('mine')
  folder = tmp_path / 'subjects' / '03'
  folder.mkdir(parents=True)
  (folder / '03_02.amc').write_text('1')
  with pytest.raises(UserError, match='03_02.amc: has no skeleton 03.asf'):
    prepare(tmp_path, tmp_path)
  (folder / '03.asf').write_text(':version 1')
  with pytest.raises(SettingError, match='exists; replace it with `overwrite`'):
    prepare(tmp_path, tmp_path)
  assert output.read_text() == 'mine'
  output.unlink()
  (folder / '03_02.amc').rename(folder / '03_99.amc')
  with pytest.raises(UserError, match='no motion of the benchmark'):
    prepare(tmp_path, tmp_path)
  (folder / '03_99.amc').rename(folder / '03_02.amc')
  with pytest.raises(UserError, match='03.asf: cut off'):
    prepare(tmp_path, tmp_path)
  assert {p.name for p in tmp_path.iterdir()} == {'subjects'}


def test_the_benchmarks_clips():
  categories = cmu.read_categories()
  assert len(categories) == 264
  assert categories['07_05'] == 'Walk'
  assert tuple(cmu.JOINTS)[:2] == ('Pelvis', 'RHip')


# The conversion's joint at the start of each bone.
BVH_NAMES = {
  'lowerback': 'LowerBack',
  'upperback': 'Spine',
  'thorax': 'Spine1',
  'lowerneck': 'Neck',
  'upperneck': 'Neck1',
  'head': 'Head',
} | {
  f'{short}{bone}': name.replace('Left', side).replace('L', side[0], 1)
  if name[0] == 'L' and name[1].isupper()
  else name.replace('Left', side)
  for short, side in (('l', 'Left'), ('r', 'Right'))
  for bone, name in {
    'hipjoint': 'LHipJoint',
    'femur': 'LeftUpLeg',
    'tibia': 'LeftLeg',
    'foot': 'LeftFoot',
    'toes': 'LeftToeBase',
    'clavicle': 'LeftShoulder',
    'humerus': 'LeftArm',
    'radius': 'LeftForeArm',
    'wrist': 'LeftHand',
    'hand': 'LeftFingerBase',
    'fingers': 'LeftHandIndex1',
    'thumb': 'LThumb',
  }.items()
}


def bvh_of(asf, motion, *, dropped=(), t_pose=False):
  """The text of a .bvh of the same motion, as its conversion lays it out."""
  children = {name: [] for name in ('root', *asf.bones)}
  for name, bone in asf.bones.items():
    children[bone.parent].append(name)
  columns, lines = [motion['root'][:, :3]], ['HIERARCHY']

  def add(name, depth):
    pad = '  ' * depth
    bone = asf.bones.get(name)
    parent = asf.bones.get(bone.parent) if bone else None
    offset = parent.offset if parent else np.zeros(3)
    if name in dropped:
      offset = np.zeros(3)
    lines.append(
      f'{pad}{"JOINT" if bone else "ROOT"} {BVH_NAMES.get(name, "Hips")}'
    )
    lines.append(f'{pad}{{\n{pad} OFFSET {" ".join(map(str, offset))}')
    position = '' if bone else 'Xposition Yposition Zposition '
    count = 3 if bone else 6
    lines.append(
      f'{pad} CHANNELS {count} {position}Zrotation Yrotation Xrotation'
    )
    angles = np.zeros((len(motion['root']), 3))
    if not bone:
      angles = motion['root'][:, 3:]
    elif bone.channels:
      for i, channel in enumerate(bone.channels):
        angles[:, 'xyz'.index(channel[1])] = motion[name][:, i]
    rotation = scipy.spatial.transform.Rotation
    turn = rotation.from_euler('xyz', angles, degrees=True)
    axis = rotation.from_matrix(bone.axis if bone else np.eye(3))
    turn = axis * turn * axis.inv()
    columns.append(turn.as_euler('ZYX', degrees=True))
    for child in children[name]:
      add(child, depth + 1)
    if not children[name]:
      end = ' '.join(map(str, bone.offset))
      lines.append(f'{pad} End Site\n{pad} {{\n  OFFSET {end}\n{pad} }}')
    lines.append(f'{pad}}}')

  add('root', 0)
  frames = np.concatenate(columns, axis=1)
  if t_pose:
    frames = np.concatenate([0 * frames[:1], frames])
    frames[0, :3] = frames[1, :3]
  lines += ['MOTION', f'Frames: {len(frames)}', 'Frame Time: .0083333']
  lines += [' '.join(f'{x:.6f}' for x in frame) for frame in frames]
  return '\n'.join(lines) + '\n'


@pytest.mark.parametrize(
  't_pose', [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_bvh_of_the_same_motion(shared, tmp_path, t_pose):
  folder = shared / 'cmu' / 'raw' / 'subjects' / '05'
  asf = read_asf(folder / '05.asf')
  motion = read_amc(folder / '05_01.amc', asf)
  path = tmp_path / '05' / '05_01.bvh'
  path.parent.mkdir()
  reference = read_poses_3d(shared / 'cmu' / 'data_3d_cmu.npz')
  expected = reference['S5']['Walk 05_01']
  path.write_text(bvh_of(asf, motion, t_pose=t_pose))
  poses = read_poses_3d(prepare(tmp_path, tmp_path / 'whole'))
  np.testing.assert_allclose(poses['S5']['Walk 05_01'], expected, atol=2e-4)
  # As the conversion is: what stands above the thorax bone sinks by it.
  dropped = ('lowerneck', 'lclavicle', 'rclavicle', 'lhand', 'rhand')
  path.write_text(bvh_of(asf, motion, t_pose=t_pose, dropped=dropped))
  poses = read_poses_3d(prepare(tmp_path, tmp_path / 'data'))
  moved = poses['S5']['Walk 05_01'] - expected
  ends = bone_ends(asf, {name: v[::12] for name, v in motion.items()})
  x, y, z = np.moveaxis(ends['upperback'] - ends['thorax'], -1, 0)
  sunk = np.stack([x, -z, y], axis=-1)
  assert 0.1 < np.linalg.norm(sunk, axis=-1).mean() < 0.14
  for joint, name in enumerate(H36M.joints):
    if name in ('Thorax', 'Head', 'LShoulder', 'RElbow'):
      np.testing.assert_allclose(moved[:, joint], sunk, atol=2e-4)
    elif 'Wrist' not in name and name[1:] not in ('Shoulder', 'Elbow'):
      np.testing.assert_allclose(moved[:, joint], 0, atol=2e-4)
  wrist, elbow = H36M.joints.index('LWrist'), H36M.joints.index('LElbow')
  lengths = [
    np.linalg.norm(p[:, wrist] - p[:, elbow], axis=-1).mean()
    for p in (poses['S5']['Walk 05_01'], expected)
  ]
  np.testing.assert_allclose(lengths[0] / lengths[1], 2 / 3, atol=0.01)


def test_the_original_is_taken_where_both_are(shared, tmp_path):
  for suffix in ('asf', 'amc'):
    name = '05_01.amc' if suffix == 'amc' else '05.asf'
    path = tmp_path / '05' / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(
      (shared / 'cmu' / 'raw' / 'subjects' / '05' / name).read_bytes()
    )
  (tmp_path / '05' / '05_01.bvh').write_text('damaged')
  assert prepare(tmp_path, tmp_path / 'data')
  (tmp_path / '05' / '05_03.bvh').write_text('damaged')
  with pytest.raises(UserError, match='05_03.bvh: cut off, or not a .bvh'):
    prepare(tmp_path, tmp_path / 'new')
