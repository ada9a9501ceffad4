"""Runs what docs/using.md says, on results as the detectors give them."""

import csv
import json
import re
import types

import numpy as np
import pytest
from command_line import run
from conftest import ROOT
from filmed import film_level, moving

from semgcn_jax.geometry.joint_sets import JOINT_SETS

TEXT = (ROOT / 'docs' / 'using.md').read_text()
SIZE = WIDTH, HEIGHT = 1280, 720
# These need the extra pose; detections/mediapipe_test.py runs them.
DETECTED = ('--image=', '--video=', '--camera=')


def section(title):
  """The programs and the commands below a heading."""
  body = TEXT.split(f'\n## {title}\n')[1].split('\n## ')[0]
  programs = re.findall(r'```python\n(.*?)```', body, re.S)
  commands = re.findall(r'^    semgcn (.*)$', body, re.M)
  return programs, commands


def keypoints_of(name, frames=6):
  """Keypoints of a person who walks, `[T, J, 3]`."""
  pixels = film_level(moving(frames), SIZE).keypoints(name)
  return np.insert(pixels, 2, 0.9, axis=-1)


def execute(title, folder, monkeypatch, **given):
  """Runs a section, and returns the names of its programs."""
  monkeypatch.chdir(folder)
  programs, commands = section(title)
  (start,) = re.findall(r'```python\n(.*?)```', TEXT.split('\n## ')[0], re.S)
  names = {'np': np, 'width': WIDTH, 'height': HEIGHT, **given}
  if programs:
    exec(start, names)
  for program in programs:
    exec(program, names)
  for command in commands:
    program, *flags = command.split()
    code, _, err = run(program, *flags, '--overwrite', '--compilation_cache=')
    assert (code, err) == (0, ''), err
    assert (folder / 'people.html').stat().st_size > 500_000
    (folder / 'people.html').unlink()
  return names


def upright(pose):
  """Whether a pose is a person's, who stands: y is down."""
  head, hip, ankle = pose[9, 1], pose[0, 1], pose[[3, 6], 1].max()
  return head < hip - 0.3 and ankle > hip + 0.5


def landmarks(points):
  points = points / (WIDTH, HEIGHT, 1)
  return types.SimpleNamespace(
    landmark=[
      types.SimpleNamespace(x=x, y=y, z=0.1, visibility=v) for x, y, v in points
    ]
  )


class Tensor:
  """A tensor of PyTorch, as far as one sees it."""

  def __init__(self, array):
    self.array = array

  def cpu(self):
    return self

  def numpy(self):
    return self.array.copy()


@pytest.mark.slow
def test_mediapipe(tmp_path, monkeypatch):
  frames = keypoints_of('mediapipe')
  names = execute(
    'MediaPipe', tmp_path, monkeypatch,
    landmarks=landmarks(frames[0]), video=[landmarks(f) for f in frames],
  )  # fmt: skip
  assert upright(names['poses'])


@pytest.mark.parametrize('joints', ['body_25', 'openpose_18'])
def test_openpose(tmp_path, monkeypatch, joints):
  (tmp_path / 'openpose').mkdir()
  for number, frame in enumerate(keypoints_of(joints)):
    content = {'people': [{'pose_keypoints_2d': frame.ravel().tolist()}]}
    path = tmp_path / 'openpose' / f'walk_{number:012d}_keypoints.json'
    path.write_text(json.dumps(content))
  execute('OpenPose', tmp_path, monkeypatch)


@pytest.mark.parametrize('joints', ['coco', 'halpe_26'])
def test_alphapose(tmp_path, monkeypatch, joints):
  results = [
    {
      'image_id': f'{number}.jpg',
      'category_id': 1,
      'keypoints': frame.ravel().tolist(),
      'score': 2.9,
      'idx': 1,
    }
    for number, frame in enumerate(keypoints_of(joints))
  ]
  (tmp_path / 'alphapose-results.json').write_text(json.dumps(results))
  execute('AlphaPose', tmp_path, monkeypatch)


@pytest.mark.slow
def test_mmpose(tmp_path, monkeypatch):
  def instance(frame):
    return {
      'keypoints': frame[:, :2].tolist(),
      'keypoint_scores': frame[:, 2].tolist(),
    }

  frames = keypoints_of('coco')
  (tmp_path / 'predictions').mkdir()
  content = {
    'meta_info': {'dataset_name': 'coco'},
    'instance_info': [
      {'frame_id': number + 1, 'instances': [instance(frame)]}
      for number, frame in enumerate(frames)
    ],
  }
  (tmp_path / 'predictions/walk.json').write_text(json.dumps(content))
  results = [{'predictions': [[instance(f), instance(f)]]} for f in frames]
  names = execute('MMPose and RTMPose', tmp_path, monkeypatch, results=results)
  assert names['poses'].shape == (12, 16, 3) and upright(names['poses'][0])


def test_yolo(tmp_path, monkeypatch):
  people = keypoints_of('coco', 2).astype(np.float32)
  result = types.SimpleNamespace(
    orig_shape=(HEIGHT, WIDTH),
    keypoints=types.SimpleNamespace(data=Tensor(people)),
  )
  names = execute('YOLO', tmp_path, monkeypatch, result=result)
  assert upright(names['poses'][1])


def test_detectron2(tmp_path, monkeypatch):
  people = keypoints_of('coco', 2).astype(np.float32)
  people[..., 2] *= 3
  instances = types.SimpleNamespace(pred_keypoints=Tensor(people))
  names = execute(
    'Detectron2', tmp_path, monkeypatch, outputs={'instances': instances}
  )
  assert upright(names['poses'][1])


@pytest.mark.slow
@pytest.mark.parametrize('people', [('',), ('ann', 'bob')])
def test_deeplabcut(tmp_path, monkeypatch, people):
  frames, names = keypoints_of('coco'), list(JOINT_SETS['coco'].names)
  columns = [n for n, name in enumerate(names) if 'eye' not in name]
  own = {'left_ankle': 'ankle1', 'right_ankle': 'ankle2', 'nose': 'chin'}
  parts = [own.get(names[n], names[n]) for n in columns]
  with open(tmp_path / 'walkDLC.csv', 'w', newline='') as file:
    writer = csv.writer(file)
    several, count = len(people), 3 * len(parts)
    writer.writerow(['scorer'] + ['DLC_resnet50'] * count * several)
    if several > 1:
      named = [person for person in people for _ in range(count)]
      writer.writerow(['individuals', *named])
    heads = [part for part in parts for _ in range(3)]
    writer.writerow(['bodyparts'] + heads * several)
    writer.writerow(
      ['coords'] + ['x', 'y', 'likelihood'] * len(parts) * several
    )
    for number, frame in enumerate(frames):
      own = [frame[columns] + (300 * n, 0, 0) for n in range(several)]
      writer.writerow([number, *np.ravel(own)])
  found = execute('DeepLabCut', tmp_path, monkeypatch)
  expected = np.stack(
    [frames + (300 * n, 0, 0) for n in range(several)], axis=1
  )
  expected[:, :, [n for n in range(17) if n not in columns]] = 0
  np.testing.assert_allclose(found['keypoints'], expected)


def test_pictures_and_videos_are_told():
  _, commands = section('A picture or a video, without a detector of your own')
  flags = [flag for command in commands for flag in command.split()]
  assert all(any(f.startswith(d) for f in flags) for d in DETECTED)
