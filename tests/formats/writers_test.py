"""Clips, from the file of a detector to files of poses and back."""

import numpy as np
import pytest
from scenes import clip, person
from timed import SIZE, make_lifter, of_frames

from semgcn_jax.detections.clip_files import read_clips
from semgcn_jax.errors import SettingError
from semgcn_jax.formats.pose_files import read_poses
from semgcn_jax.formats.writers import (
  WRITERS,
  Output,
  choose_people,
  is_written,
  write_clips,
)
from semgcn_jax.inference.people import lift_clip
from semgcn_jax.motion.smoothing import smooth


@pytest.mark.parametrize('ending', ['.json', '.npz'])
def test_a_clip_is_read_lifted_written_and_read(tmp_path, ending):
  keypoints = of_frames(12)
  np.save(tmp_path / 'walk.npy', np.stack([keypoints, keypoints], axis=1))
  file = tmp_path / 'walk.npy'
  (before,) = read_clips('walk', [file], image_size=SIZE, fps=25.0)
  lifter = make_lifter(causal=True)
  lifted = lift_clip(lifter, before, field_of_view=60.0, height=1.7)
  assert (before.joint_set, lifted.joint_set) == ('coco', '')
  assert [p.is_whole.all() for p in lifted.people] == [True] * len(
    lifted.people
  )
  smoothed = smooth(lifted, 'one_euro', cutoff=2.0)
  path = tmp_path / f'walk{ending}'
  write_clips([smoothed], Output((path,), details={'checkpoint': 'mine'}))
  [after], header = read_poses(path)
  assert header['checkpoint'] == 'mine'
  assert (after.name, after.fps, after.image_size) == ('walk', 25.0, SIZE)
  for found, wanted in zip(after.people, smoothed.people, strict=True):
    assert found.name == wanted.name
    for name in ('frames', 'poses', 'errors', 'places', 'keypoints'):
      np.testing.assert_allclose(
        getattr(found, name), getattr(wanted, name), atol=1e-3
      )


def test_people_are_chosen_by_name():
  walk = clip(person(3), person(3, '2'))
  run, empty = clip(person(3, '2'), name='run'), clip(name='empty')
  every = [walk, run, empty]
  assert choose_people(every) == [walk, run]
  assert choose_people(every, 'run') == [run]
  for names, left in ((('', '2'), ['walk', 'run']), (('walk', '1'), ['walk'])):
    chosen = choose_people(every, *names)
    assert [one.name for one in chosen] == left
    assert [p.name for one in chosen for p in one.people] == [names[1]] * len(
      left
    )
  with pytest.raises(SettingError, match='`person=1`: choose from 2'):
    choose_people(every, 'run', '1')
  with pytest.raises(SettingError, match='`clip=empty`: choose from walk, run'):
    choose_people(every, 'empty')


def test_every_ending_writes(tmp_path):
  walk = clip(person(3, places=np.tile([0.0, 0, 5], (3, 1))))
  # These need extras, and have tests of their own.
  for ending in set(WRITERS) - {'.mp4', '.c3d'}:
    path = tmp_path / f'walk{ending}'
    write_clips([walk], Output((path,), title='walk', pitch=0.0))
    assert path.stat().st_size > 500
  two = [walk, clip(person(3), name='run')]
  for ending in ('.gif', '.bvh', '.glb', '.vrm'):
    output = Output((tmp_path / f'two{ending}',))
    with pytest.raises(SettingError, match='choose one with `clip`: walk, run'):
      write_clips(two, output)
    assert not output.paths[0].exists()


def read_all(folder):
  return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_people_get_files_of_their_own(tmp_path, capsys):
  names = ('a/b', '2')
  people = [person(3, name=name) for name in names]
  nobody = person(3, name='3', poses=np.full((3, 16, 3), np.nan))
  walk = clip(*people, nobody)
  paths = tuple(tmp_path / f'walk{e}' for e in ('.trc', '.bvh', '.angles.csv'))
  write_clips([walk], Output(paths, pitch=0.0))
  found = read_all(tmp_path)
  assert sorted(found) == sorted(
    f'walk.person-{name}{ending}'
    for name in ('a_b', '2')
    for ending in ('.trc', '.bvh', '.angles.csv')
  )
  out = capsys.readouterr().out
  assert out.count('person 3: left out, as no pose is whole') == 1
  assert all(map(is_written, paths))
  assert not is_written(tmp_path / 'walk.html')
  assert not is_written(tmp_path / 'wal.trc')
  # Alone, only the place of a person differs.
  alone = tmp_path / 'alone.bvh'
  write_clips(choose_people([walk], person='2'), Output((alone,), pitch=0.0))
  rows = [
    np.loadtxt(data.decode().split('Frame Time:')[1].splitlines()[1:])
    for data in (alone.read_bytes(), found['walk.person-2.bvh'])
  ]
  np.testing.assert_allclose(rows[0][:, 3:], rows[1][:, 3:], atol=1e-3)
  moved = rows[0][:, :3] - rows[1][:, :3]
  np.testing.assert_allclose(moved, moved[[0, 0, 0]], atol=1e-3)


def test_files_of_people_are_written_together(tmp_path):
  walk = clip(person(3), person(3, name='2'))
  (tmp_path / 'walk.person-2.trc').write_text('mine')
  output = Output((tmp_path / 'walk.trc',), pitch=0.0, new=True)
  with pytest.raises(SettingError, match=r'walk.person-2.trc`: exists by now'):
    write_clips([walk], output)
  assert read_all(tmp_path) == {'walk.person-2.trc': b'mine'}


def test_names_that_are_alike_need_a_choice(tmp_path):
  walk = clip(person(3, name='a/b'), person(3, name='a_b'))
  with pytest.raises(SettingError, match='choose one with `person`: a/b, a_b'):
    write_clips([walk], Output((tmp_path / 'walk.trc',), pitch=0.0))
  assert not read_all(tmp_path)
