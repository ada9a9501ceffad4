"""The example of a service, as its clients call it."""

import concurrent.futures
import io
import runpy

import numpy as np
import pytest
from conftest import ROOT
from filmed import keypoints_of
from PIL import Image

from semgcn_jax import Lifter

testclient = pytest.importorskip(
  'fastapi.testclient', reason='needs the extra serve'
)
pytest.importorskip('uvicorn', reason='needs the extra serve')
SIZE = 1280, 720


@pytest.fixture(scope='module')
def example():
  return runpy.run_path(str(ROOT / 'examples/serve.py'))


@pytest.fixture(scope='module')
def client(example):
  with testclient.TestClient(example['make_app']()) as client:
    yield client


def body(keypoints, **fields):
  return {'keypoints': keypoints.tolist(), 'image_size': SIZE} | fields


def test_it_is_healthy(client):
  answer = client.get('/health').json()
  assert answer == {'status': 'ok', 'weights': 'cmu', 'waiting': 0}
  assert '/lift' in client.get('/openapi.json').json()['paths']


def test_poses_are_the_lifters(client):
  keypoints = keypoints_of(12)
  lifter = Lifter.load('cmu')
  for fields in ({}, {'field_of_view': 60.0}):
    answer = client.post('/lift', json=body(keypoints, **fields)).json()
    lifted = lifter.lift(keypoints, SIZE, **fields)
    np.testing.assert_allclose(answer['poses'], lifted.poses, atol=1e-5)
    np.testing.assert_allclose(answer['errors'], lifted.errors, atol=1e-5)
  assert answer['joints'][0] == 'Pelvis'
  mpii = keypoints_of(3, 'mpii')
  answer = client.post('/lift', json=body(mpii, joints='mpii')).json()
  expected = lifter(mpii, SIZE, 'mpii')
  np.testing.assert_allclose(answer['poses'], expected, atol=1e-5)


def test_what_is_not_found_is_null(client):
  keypoints = keypoints_of(2)
  keypoints[1] = 0
  content = body(keypoints)
  content['keypoints'][0][3] = [None, None, 0]
  answer = client.post('/lift', json=content).json()
  assert answer['poses'][1] is None and answer['errors'][1] is None
  assert len(answer['poses'][0]) == 16


def test_requests_at_once_do_not_mix(client):
  """Of 20 clients some are wrong; all others get their own poses."""
  keypoints = keypoints_of(20)
  expected = Lifter.load('cmu')(keypoints, SIZE)

  def post(number):
    content = body(keypoints[number : number + 1])
    if number % 7 == 3:
      content['keypoints'][0][0][2] = 5  # No confidence.
    return client.post('/lift', json=content)

  with concurrent.futures.ThreadPoolExecutor(16) as pool:
    answers = list(pool.map(post, range(20)))
  for number, answer in enumerate(answers):
    if number % 7 == 3:
      assert answer.status_code == 422
      assert 'confidence 5' in answer.json()['detail']
    else:
      pose = answer.json()['poses'][0]
      np.testing.assert_allclose(pose, expected[number], atol=2e-5)


@pytest.mark.parametrize(
  'change, message',
  [
    ({'joints': 'dog'}, 'joints: choose from'),
    ({'image_size': [0, 720]}, 'greater than 0'),
    ({'keypoints': [[[1, 2], [3]]]}, 'have no common shape'),
    ({'keypoints': []}, 'give [N, J, 2]'),
    ({'keypoints': [[[1, 2]] * 5]}, '5 joints a person'),
    ({'field_of_view': 900}, 'less than or equal to 179'),
    ({'more': 1}, 'Extra inputs are not permitted'),
    ({'keypoints': [[[1, 2]]] * 1001}, 'at most 1000 items'),
  ],
)
def test_wrong_requests_are_told(client, change, message):
  answer = client.post('/lift', json=body(keypoints_of(1)) | change)
  assert answer.status_code == 422
  assert message in answer.text


def test_large_requests_are_turned_away(client, example):
  content = b' ' * (example['MOST_BYTES'] + 1)
  assert client.post('/lift', content=content).status_code == 413
  parts = client.post('/lift', content=iter([b'{', b'}']))
  assert parts.status_code == 411


def test_pictures(client, seen):
  import painted

  del seen
  file = io.BytesIO()
  Image.fromarray(painted.picture({1: (20, 30), 2: (200, 20)})).save(
    file, 'PNG'
  )
  answer = client.post('/picture', content=file.getvalue())
  assert answer.status_code == 200 and len(answer.json()['poses']) == 2
  wrong = client.post('/picture', content=b'GIF89a')
  assert wrong.status_code == 422
  assert wrong.json()['detail'] == 'picture: is not a complete JPEG or PNG'
