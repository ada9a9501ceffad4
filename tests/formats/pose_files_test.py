import dataclasses
import json
import pathlib

import numpy as np
import pytest
from scenes import clip, person

from semgcn_jax.detections.clips import View
from semgcn_jax.errors import UserError
from semgcn_jax.formats.pose_files import read_poses, write_poses


def written(folder, ending, people, **more):
  path = pathlib.Path(folder) / f'poses{ending}'
  path.write_bytes(write_poses([clip(*people, **more)], path, {'smooth': 'no'}))
  return path


@pytest.mark.parametrize('ending', ['.json', '.npz'])
def test_what_is_written_is_read(tmp_path, ending):
  poses = person().poses.copy()
  poses[3] = np.nan
  places = np.arange(60.0).reshape(20, 3)
  people = [
    person(poses=poses, places=places),
    person(5, '2', frames=np.array([2, 3, 4, 9, 10]), errors=None),
  ]
  [read], header = read_poses(written(tmp_path, ending, people))
  assert header['fps'] == 25.0 and header['smooth'] == 'no'
  assert (read.name, read.fps, read.image_size) == ('walk', 25.0, (1280, 720))
  found = read.people
  assert [p.name for p in found] == ['1', '2']
  for before, after in zip(people, found, strict=True):
    np.testing.assert_array_equal(after.frames, before.frames)
    for name in ('poses', 'keypoints'):
      np.testing.assert_allclose(
        getattr(after, name), getattr(before, name), atol=1e-3
      )
  np.testing.assert_allclose(found[0].places, places)
  assert np.isnan(found[1].errors).all() and np.isnan(found[1].places).all()


def test_rates_of_older_versions_are_read(tmp_path):
  for fps, read in ((20_000.0, 10_000.0), (0.01, 0.1)):
    path = written(tmp_path, '.json', [person(3)])
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {'fps': fps}))
    [found], header = read_poses(path)
    assert found.fps == header['fps'] == read


def test_older_files_without_keypoints_are_read(tmp_path):
  path = written(tmp_path, '.json', [person()])
  content = json.loads(path.read_text())
  for part in content['people']:
    del part['keypoints'], part['places']
  path.write_text(json.dumps(content))
  [read], _ = read_poses(path)
  [found] = read.people
  assert found.keypoints is None and found.poses.shape == (20, 16, 3)


@pytest.mark.parametrize(
  'change',
  [
    {'format': 'other'},
    {'version': 2},
    {'joints': ['a']},
    {'people': 3},
    {'people': [{'clip': 'a'}]},
    {'people': None},
    {'fps': None},
    {'fps': 0},
    {'fps': float('inf')},
  ],
)
def test_other_files_are_refused(tmp_path, change):
  path = written(tmp_path, '.json', [person()])
  path.write_text(json.dumps(json.loads(path.read_text()) | change))
  with pytest.raises(UserError, match='not poses as predict.py writes'):
    read_poses(path)


def test_people_are_gathered_by_their_clips(tmp_path):
  clips = [
    clip(person(3), person(4, '2'), name='a'),
    clip(person(2), name='b', image_size=(640, 480)),
  ]
  path = tmp_path / 'poses.json'
  path.write_bytes(write_poses(clips, path, {}))
  content = json.loads(path.read_text())
  assert [(p['clip'], p['person']) for p in content['people']] == [
    *(('a', '1'), ('a', '2'), ('b', '1')),
  ]
  content['people'] = [content['people'][n] for n in (0, 2, 1)]
  path.write_text(json.dumps(content))
  read, _ = read_poses(path)
  assert [c.name for c in read] == ['a', 'b']
  assert [len(p.frames) for p in read[0].people] == [3, 4]
  assert [c.image_size for c in read] == [(1280, 720), (640, 480)]


def test_a_person_without_poses_is_refused(tmp_path):
  path = written(tmp_path, '.json', [person()])
  content = json.loads(path.read_text())
  del content['people'][0]['poses']
  path.write_text(json.dumps(content))
  with pytest.raises(UserError, match='not poses as predict.py writes'):
    read_poses(path)


def test_damaged_files_are_refused(tmp_path):
  path = written(tmp_path, '.npz', [person()])
  path.write_bytes(path.read_bytes()[:-30])
  with pytest.raises(UserError, match='poses.npz: '):
    read_poses(path)
  with pytest.raises(UserError, match='are read from .json, .npz'):
    read_poses(tmp_path / 'poses.csv')
  with pytest.raises(UserError, match='No such file'):
    read_poses(tmp_path / 'none.json')


def test_people_of_one_name_and_infinite_numbers(tmp_path):
  twice = written(tmp_path, '.json', [person(), person()])
  with pytest.raises(UserError, match='have the same name'):
    read_poses(twice)
  poses = person().poses.copy()
  poses[2, 3] = np.inf
  path = written(tmp_path, '.npz', [person(poses=poses)])
  [read], _ = read_poses(path)
  [found] = read.people
  assert np.isnan(found.poses[2, 3]).all() and not np.isinf(found.poses).any()


@pytest.mark.parametrize('name', ['=1+1', '+a', '-a', '@a'])
def test_names_are_no_formulas(name):
  one = dataclasses.replace(clip(person(1)), name=name)
  text = write_poses([one], pathlib.Path('a.csv'), {}).decode()
  assert all(line.startswith(f"'{name},") for line in text.splitlines()[2:])


@pytest.mark.parametrize('ending', ['.json', '.npz'])
def test_solved_clips_are_read_as_they_were(tmp_path, ending):
  view = View(1000.0, (640.0, 360.5), 10.0, -5.0, 1.7)
  feet = np.arange(240.0).reshape(20, 4, 3)
  feet[2] = np.nan
  contacts = np.arange(40).reshape(20, 2) % 3 == 0
  people = [person(feet=feet, contacts=contacts), person(name='2')]
  [read], _ = read_poses(written(tmp_path, ending, people, view=view))
  assert read.view == view
  np.testing.assert_allclose(read.people[0].feet, feet)
  np.testing.assert_array_equal(read.people[0].contacts, contacts)
  assert read.people[1].feet is None and read.people[1].contacts is None


def test_feet_follow_the_joints_in_csv(tmp_path):
  feet = np.arange(240.0).reshape(20, 4, 3)
  lines = written(tmp_path, '.csv', [person(feet=feet)]).read_text().split('\n')
  assert len(lines) == 2 + 20 * 20 + 1
  assert lines[2 + 16] == 'walk,1,0,right_heel,0.000000,1.000000,2.000000,'


def test_damaged_views_are_refused(tmp_path):
  view = View(1000.0, (640.0, 360.0), 10.0, -5.0, 1.7)
  path = written(tmp_path, '.json', [person()], view=view)
  content = json.loads(path.read_text())
  for view in (
    {},
    {'pitch': 'a'},
    content['people'][0]['view'] | {'roll': None},
  ):
    content['people'][0]['view'] = view
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match='not poses as'):
      read_poses(path)
