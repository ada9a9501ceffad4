"""Markers and angles, read by their formats' rules and by other libraries."""

import csv
import sys

import numpy as np
import pytest
from command_line import fails, run
from scenes import clip, person

from semgcn_jax.errors import SettingError
from semgcn_jax.formats.angle_files import csv_text, mot_text
from semgcn_jax.formats.marker_files import MARKERS, c3d_bytes, trc_text
from semgcn_jax.formats.pose_files import write_poses
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.motion.angles import joint_angles
from semgcn_jax.motion.upright import make_scenes


@pytest.fixture
def positions():
  [scene] = make_scenes([clip(person(12))])
  positions = scene.upright[0].positions.copy()
  positions[4] = np.nan
  return positions


def test_trc(positions):
  text = trc_text(positions, 29.97, 7, 'walk.trc')
  lines = [line.split('\t') for line in text.splitlines()]
  assert lines[0] == ['PathFileType', '4', '(X/Y/Z)', 'walk.trc']
  values = dict(zip(lines[1], lines[2], strict=True))
  assert values['DataRate'] == '29.97' and values['Units'] == 'mm'
  assert values['NumFrames'] == '12' and values['NumMarkers'] == '16'
  assert values['OrigDataStartFrame'] == '7'
  assert lines[3][2::3] == list(MARKERS) and lines[4][2:5] == ['X1', 'Y1', 'Z1']
  assert MARKERS[H36M.joints.index('Thorax')] == 'Neck'
  for t, row in enumerate(lines[6:]):
    assert int(row[0]) == 7 + t
    assert float(row[1]) == pytest.approx((7 + t) / 29.97, abs=1e-6)
    for joint in range(16):
      cell = row[2 + 3 * joint : 5 + 3 * joint]
      x, y, z = positions[t, joint]
      if t == 4:
        assert cell == ['nan'] * 3
      else:  # Forwards, up, and to the right of who faces the camera.
        expected = 1000 * np.array([z, y, -x])
        np.testing.assert_allclose(
          [float(v) for v in cell], expected, atol=1e-3
        )


def test_c3d_by_ezc3d(positions, tmp_path):
  ezc3d = pytest.importorskip('ezc3d', reason='needs the extra c3d')
  path = tmp_path / 'walk.c3d'
  path.write_bytes(c3d_bytes(positions, 25.0, 3))
  file = ezc3d.c3d(str(path))
  point = file['parameters']['POINT']
  assert point['LABELS']['value'] == list(MARKERS)
  assert point['UNITS']['value'] == ['mm'] and point['RATE']['value'] == [25]
  assert point['Y_SCREEN']['value'] == ['+Y']
  assert file['header']['points']['first_frame'] == 3
  points = file['data']['points'][:3].transpose(2, 1, 0)
  expected = 1000 * positions[..., [2, 1, 0]] * (1, 1, -1)
  np.testing.assert_allclose(points, expected, atol=1e-2)
  residuals = file['data']['meta_points']['residuals'][0].T
  assert (residuals[4] < 0).all() and (np.delete(residuals, 4, 0) == 0).all()


def test_mot_and_csv(positions):
  angles = joint_angles(positions)
  lines = mot_text(angles, 25.0, 2, 'walk').splitlines()
  assert lines[:6] == [
    *('walk', 'version=1', 'nRows=12', f'nColumns={1 + len(angles)}'),
    *('inDegrees=yes', 'endheader'),
  ]
  assert lines[6].split('\t') == ['time', *angles]
  table = np.array([line.split('\t') for line in lines[7:]], float)
  np.testing.assert_allclose(table[:, 0], (2 + np.arange(12)) / 25, atol=1e-6)
  expected = np.stack([*angles.values()], axis=1)
  np.testing.assert_allclose(table[:, 1:], expected, atol=1e-6)
  rows = list(csv.DictReader(csv_text(angles, 25.0, 2).splitlines()))
  assert float(rows[0]['knee_angle_r [deg]']) == pytest.approx(
    angles['knee_angle_r'][0], abs=1e-6
  )
  assert float(rows[0]['pelvis_ty [m]']) == pytest.approx(
    angles['pelvis_ty'][0], abs=1e-6
  )
  assert rows[4]['knee_angle_r [deg]'] == ''


def test_opensim_reads_them(positions, tmp_path):
  opensim = pytest.importorskip('opensim', reason='needs opensim')
  angles = joint_angles(positions)
  (tmp_path / 'walk.mot').write_text(mot_text(angles, 25.0))
  (tmp_path / 'walk.trc').write_text(trc_text(positions, 25.0))
  table = opensim.TimeSeriesTable(str(tmp_path / 'walk.mot'))
  assert list(table.getColumnLabels()) == list(angles)
  np.testing.assert_allclose(
    table.getMatrix().to_numpy(),
    np.stack([*angles.values()], axis=1),
    atol=1e-6,
  )
  markers = opensim.TimeSeriesTableVec3(str(tmp_path / 'walk.trc'))
  assert list(markers.getColumnLabels()) == list(MARKERS)
  number = MARKERS.index('RKnee')
  knee = [
    markers.getRowAtIndex(t).getElt(0, number).to_numpy() for t in range(12)
  ]
  joint = positions[:, H36M.joints.index('RKnee')]
  expected = 1000 * joint[:, [2, 1, 0]] * (1, 1, -1)
  np.testing.assert_allclose(knee, expected, atol=1e-3)


def test_the_commands_write_them(tmp_path):
  shown = clip(person(12), person(12, name='2'), fps=25.0)
  poses = tmp_path / 'poses.json'
  poses.write_bytes(write_poses([shown], poses, {}))
  outputs = [tmp_path / f'walk.{e}' for e in ('trc', 'mot', 'angles.csv')]
  names = ','.join(map(str, outputs))
  code, out, err = run(
    'view', f'--poses={poses}', '--person=2', f'--output={names}'
  )
  assert (code, err) == (0, ''), err
  assert 'walk.mot: some poses do not determine' in out
  trc, mot, angles = (path.read_text() for path in outputs)
  assert len(trc.splitlines()) == 6 + 12 and len(mot.splitlines()) == 7 + 12
  assert angles.startswith('time [s],pelvis_tilt [deg]')
  fails(
    'view', f'--poses={poses}', f'--output={tmp_path / "both.trc"}',
    status=2, message='holds one person; choose one with --person: 1, 2',
  )  # fmt: skip


def test_c3d_needs_ezc3d(positions, monkeypatch):
  monkeypatch.setitem(sys.modules, 'ezc3d', None)
  with pytest.raises(SettingError, match=r'need ezc3d; .*"semgcn-jax\[c3d\]"'):
    c3d_bytes(positions, 25.0)


def test_feet_are_markers_too(positions):
  feet = positions[:, :4] + 1
  both = np.concatenate([positions, feet], axis=1)
  lines = [line.split('\t') for line in trc_text(both, 30).splitlines()]
  assert lines[2][3] == '20'
  assert lines[3][2::3][16:20] == ['RHeel', 'RBigToe', 'LHeel', 'LBigToe']
  x, y, z = feet[0, 1]
  cells = [float(v) for v in lines[6][2 + 3 * 17 : 5 + 3 * 17]]
  np.testing.assert_allclose(cells, 1000 * np.array([z, y, -x]), atol=1e-3)
