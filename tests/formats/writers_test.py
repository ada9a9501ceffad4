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
