"""examples/inverse_kinematics.py, with OpenSim where it can be installed."""

import os
import subprocess
import sys

import numpy as np
import packages
import pytest
from conftest import ROOT
from scenes import clip, person

from semgcn_jax.formats.angle_files import mot_text
from semgcn_jax.formats.marker_files import trc_text
from semgcn_jax.motion.angles import joint_angles
from semgcn_jax.motion.upright import make_scenes

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def solve(tmp_path_factory):
  """Runs the example on a file, and returns what it printed."""
  folder = packages.install(tmp_path_factory, 'opensim', 'pose2sim')

  def solve(trc, *flags):
    path = ROOT / 'examples' / 'inverse_kinematics.py'
    return subprocess.run(
      [sys.executable, path, trc.name, *flags],
      cwd=trc.parent,
      env=os.environ | {'PYTHONPATH': str(folder)},
      text=True,
      capture_output=True,
    )

  return solve


def read_motion(path):
  lines = path.read_text().splitlines()
  names, *rows = lines[lines.index('endheader') + 1 :]
  values = np.array([row.split() for row in rows], float)
  return dict(zip(names.split(), values.T, strict=True))


def test_finds_the_angles_of_the_poses(solve, tmp_path):
  [scene] = make_scenes([clip(person(25))])
  positions = scene.upright[0].positions
  angles = joint_angles(positions)
  trc = tmp_path / 'walk.trc'
  trc.write_text(trc_text(positions, 25.0))
  trc.with_suffix('.mot').write_text(mot_text(angles, 25.0))
  solved = solve(trc, '--mass=60')
  assert solved.returncode == 0, solved.stderr
  *_, model, motion, error = solved.stdout.splitlines()
  assert model.startswith('the model of 60 kg: ')
  assert motion.endswith('walk.ik.mot')
  assert int(error.split()[2]) < 40  # Markers are X mm from those of ...
  assert sorted(path.name for path in tmp_path.iterdir()) == [
    'walk.ik.mot',
    'walk.mot',
    'walk.osim',
    'walk.trc',
  ]
  found = read_motion(tmp_path / 'walk.ik.mot')
  np.testing.assert_allclose(found['time'], np.arange(25) / 25, atol=1e-6)
  for name in ('knee_angle', 'hip_flexion', 'elbow_flex'):
    for side in 'rl':
      # Their zeros differ, as segments are not straight from joint to joint.
      off = found[f'{name}_{side}'] - angles[f'{name}_{side}']
      assert np.std(off) < 5, (name, side)


def test_says_what_is_wrong(solve, tmp_path):
  trc = tmp_path / 'walk.trc'
  assert refusal(solve(trc)) == 'walk.trc: no such file'
  trc.write_text('no markers')
  assert refusal(solve(trc)).startswith('walk.trc: ')
  assert '--mass=0: must be positive' in solve(trc, '--mass=0').stderr
  model = tmp_path / 'walk.osim'
  model.write_text('mine')
  assert f'{model}: exists; give --overwrite' in refusal(solve(trc))
  assert model.read_text() == 'mine'
  assert len([*tmp_path.iterdir()]) == 2


def refusal(solved):
  """Returns the last line of standard error, and asserts that it is all."""
  assert solved.returncode == 1
  assert 'Traceback' not in solved.stderr
  return solved.stderr.strip().splitlines()[-1]
