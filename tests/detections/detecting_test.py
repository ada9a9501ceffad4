"""People in pictures and videos, from the detector to the clip."""

import logging

import numpy as np
import packages
import painted
import pytest
from command_line import fails
from PIL import Image

from semgcn_jax.config.choices import DETECTORS
from semgcn_jax.detections import following
from semgcn_jax.detections.detecting import (
  Detector,
  detect_image,
  detect_video,
)
from semgcn_jax.detections.finding import box_of
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.pictures.videos import Video


def whose(clip, frames):
  """Who each person of a clip is in their first and last image."""
  return [
    {
      painted.whose(person.keypoints[row], painted.picture(frames[number]))
      for row, number in ((0, person.frames[0]), (-1, person.frames[-1]))
    }
    for person in clip.people
  ]


@pytest.mark.parametrize('name', DETECTORS)
def test_everybody_from_coming_to_going(name, seen):
  frames = [
    {1: (20 + t, 30)} | ({2: (200, 20)} if 10 <= t < 40 else {})
    for t in range(60)
  ]
  clip = detect_video(painted.Painted(frames), 'painted', Detector(name))
  assert [p.name for p in clip.people] == ['1', '2']
  assert whose(clip, frames) == [{1}, {2}]
  assert [p.frames.tolist() for p in clip.people] == [
    [*range(60)],
    [*range(10, 40)],
  ]
  assert clip.joint_set == {'rtmlib': 'coco'}.get(name, name)
  assert clip.image_size == painted.SIZE


@pytest.mark.parametrize('name', DETECTORS)
def test_the_most_prominent_and_the_one_in_the_box(name, seen):
  frames = [
    {1: (20, 30)} | ({2: (200, 20)} if t >= 20 else {}) for t in range(60)
  ]
  clip = detect_video(
    painted.Painted(frames), 'painted', Detector(name), most=1
  )
  assert whose(clip, frames) == [{1}]
  box = (200, 20, painted.WIDTH, painted.HEIGHT)
  clip = detect_video(
    painted.Painted(frames), 'painted', Detector(name), box=box, box_at=30
  )
  assert whose(clip, frames) == [{2}]
  with pytest.raises(UserError, match='nobody was found in it'):
    detect_video(
      painted.Painted(frames), 'painted', Detector(name), box=box, box_at=3
    )
  message = '`box`: is in image 99 of painted, the last of which is 59'
  with pytest.raises(SettingError, match=message):
    detect_video(
      painted.Painted(frames), 'painted', Detector(name), box=box, box_at=99
    )


@pytest.mark.parametrize('name', DETECTORS)
def test_absences_are_bridged_but_not_cuts(name, seen):
  frames = [{1: (100, 30)} if not 20 <= t < 50 else {} for t in range(80)]
  clip = detect_video(painted.Painted(frames), 'painted', Detector(name))
  assert [len(person.frames) for person in clip.people] == [50]
  frames = [{1: (100, 30)}] * 60
  clip = detect_video(
    painted.Painted(frames, cut=30), 'painted', Detector(name)
  )
  assert [len(person.frames) for person in clip.people] == [30, 30]


def test_the_box_of_somebody_hard_to_see(seen, monkeypatch):
  # Nobody is followed by itself, as nobody is plausible.
  monkeypatch.setattr(following, 'is_plausible', lambda keypoints: False)
  frames = [{1: (20, 30), 2: (200, 20)}] * 20
  box = (200, 20, painted.WIDTH, painted.HEIGHT)
  clip = detect_video(
    painted.Painted(frames), 'painted', Detector(), box=box, box_at=5
  )
  assert whose(clip, frames) == [{2}]
  assert clip.people[0].frames.tolist() == [*range(20)]


@pytest.mark.parametrize('name', DETECTORS)
def test_who_is_seen_for_a_moment_is_left_out(name, seen, caplog):
  frames = [
    {1: (20, 30)} | ({2: (200, 20)} if 20 <= t < 25 else {}) for t in range(60)
  ]
  with caplog.at_level(logging.WARNING, 'semgcn_jax'):
    clip = detect_video(painted.Painted(frames), 'painted', Detector(name))
  assert whose(clip, frames) == [{1}]
  assert 'left out 1 person seen for less than 0.3 s' in caplog.text
  with pytest.raises(UserError, match='painted: nobody was found in it'):
    detect_video(painted.Painted([{}] * 9), 'painted', Detector(name))


@pytest.mark.parametrize('name', DETECTORS)
def test_pictures(name, seen, tmp_path):
  path = tmp_path / 'two.png'
  Image.fromarray(painted.picture({1: (20, 30), 2: (200, 20)})).save(path)
  clip = detect_image(path, Detector(name))
  assert {
    min(owners) for owners in whose(clip, [{1: (20, 30), 2: (200, 20)}])
  } == {1, 2}
  assert len(detect_image(path, Detector(name), most=1).people) == 1
  box = (200, 20, painted.WIDTH, painted.HEIGHT)
  clip = detect_image(path, Detector(name), box=box)
  assert whose(clip, [{1: (20, 30), 2: (200, 20)}]) == [{2}]


@pytest.fixture(scope='module')
def videos(mediapipe_weights, tmp_path_factory):
  """The videos that packages ship: the folder of the packages."""
  del mediapipe_weights
  return packages.install(tmp_path_factory, 'pose2sim', 'sports2d')


def detect(path):
  return detect_video(Video(path), path.stem, Detector())


@pytest.mark.slow
@pytest.mark.parametrize(
  'camera, fewest', [(1, 100), (2, 100), (3, 65), (4, 100)]
)
def test_two_people_of_a_video(videos, camera, fewest):
  path = videos / 'Pose2Sim/Demo_MultiPerson/videos' / f'cam0{camera}.mp4'
  people = detect(path).people
  assert len(people) == 2
  # In camera 3, one hides the other.
  assert sorted(len(p.frames) for p in people) >= [fewest, 100]
  for person in people:
    boxes = np.array([box_of(k) for k in person.keypoints], float)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    sizes = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    # Nobody jumps to where the other is.
    steps = np.linalg.norm(np.diff(middles, axis=0), axis=1)
    assert (steps < 0.5 * sizes[1:] * np.diff(person.frames)).all()


@pytest.mark.slow
def test_everybody_who_walks_in(videos):
  first, second = detect(videos / 'Sports2D/Demo/demo.mp4').people
  assert first.frames[0] == 0 and len(first.frames) > 200
  assert 45 <= second.frames[0] <= 55 and len(second.frames) > 140


@pytest.mark.parametrize(
  'flags, message',
  [
    (('--box=1,2,3,4', '--people=1'), '--box and --people: give one'),
    (('--box=1,2,3,4@5',), '--box=1,2,3,4@5: only a video has images after @'),
    (('--people=0',), '--people=0: must be above 0'),
  ],
)
def test_flags_that_mean_nothing_are_refused(tmp_path, flags, message):
  output = f'--output={tmp_path / "a.json"}'
  fails(
    *('predict', '--image=a.png', output, *flags), status=2, message=message
  )
