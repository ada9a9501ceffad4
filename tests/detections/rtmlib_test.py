"""rtmlib's networks, by tiny ones with the same inputs and outputs."""

import sys

import numpy as np
import pytest
from command_line import fails, run

from semgcn_jax.detections import rtmlib
from semgcn_jax.errors import SettingError, UserError

pytest.importorskip('rtmlib', reason='needs the extra rtm')
onnx = pytest.importorskip('onnx')

# What the detector finds: left, top, right, bottom and the score, in its own
# 64 x 64 pixels.
BOXES = [[8, 4, 24, 60, 0.9], [40, 4, 56, 60, 0.8], [0, 0, 9, 9, 0.1]]


def network(path, size, outputs):
  """Writes an ONNX network that returns these arrays for each image."""
  helper, floats = onnx.helper, onnx.TensorProto.FLOAT
  nodes, values = [], []
  for name, array in outputs.items():
    # The image is used, since networks without an input are refused.
    constant = onnx.numpy_helper.from_array(
      array.astype(np.float32), f'{name}_'
    )
    values.append(constant)
    nodes += [
      helper.make_node('ReduceMean', ['image'], [f'{name}_mean'], keepdims=0),
      helper.make_node('Mul', [f'{name}_mean', 'zero'], [f'{name}_zero']),
      helper.make_node('Add', [f'{name}_', f'{name}_zero'], [name]),
    ]
  values.append(onnx.numpy_helper.from_array(np.float32(0), 'zero'))
  graph = helper.make_graph(
    nodes,
    'tiny',
    [helper.make_tensor_value_info('image', floats, [1, 3, *size])],
    [
      helper.make_tensor_value_info(name, floats, array.shape)
      for name, array in outputs.items()
    ],
    values,
  )
  opset = [helper.make_opsetid('', 13)]
  onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
  return str(path)


@pytest.fixture(scope='module')
def models(tmp_path_factory):
  """YOLOX with two people, RTMPose with 26 joints, and RTMO with 17."""
  folder = tmp_path_factory.mktemp('models')
  boxes = np.array([BOXES])
  # A joint is in the bin of its number, of two a pixel; the first is unsure.
  across, along = np.zeros((1, 26, 96)), np.zeros((1, 26, 128))
  for joint in range(26):
    across[0, joint, 2 * joint] = along[0, joint, 4 * joint] = (
      0.8 if joint else 0.1
    )
  poses = np.zeros((1, 3, 17, 3))
  poses[0, :, :, 0] = np.array([10, 45, 0])[:, None] + np.arange(17) / 2
  poses[0, :, :, 1] = 5 + 3 * np.arange(17)
  poses[0, :, :, 2] = 0.7
  return {
    'yolox': network(folder / 'yolox.onnx', (64, 64), {'dets': boxes}),
    'rtmpose': network(
      folder / 'rtmpose.onnx', (64, 48), {'x': across, 'y': along}
    ),
    'rtmo': network(
      folder / 'rtmo.onnx', (64, 64), {'dets': boxes, 'keypoints': poses}
    ),
    'nobody': network(folder / 'nobody.onnx', (64, 64), {'dets': 0 * boxes}),
  }


def test_joints_are_where_their_bins_are(models):
  find = rtmlib.detector(f'{models["yolox"]}, {models["rtmpose"]}')
  people = find(np.zeros((128, 128, 3), np.uint8))
  assert len(people) == 2
  for person, (left, top, right, bottom, _) in zip(
    people, BOXES[:2], strict=True
  ):
    # In pixels of the picture, twice as large; a quarter is added around the
    # box, which is then as wide as the network's input.
    middle = np.array([left + right, top + bottom])
    height = 1.25 * 2 * (bottom - top)
    size = np.array([48 / 64 * height, height])
    joints = np.arange(26)
    places = np.stack([joints / 48, 2 * joints / 64], axis=1)
    expected = middle - size / 2 + places * size
    np.testing.assert_allclose(person.keypoints[1:, :2], expected[1:], atol=0.1)
    np.testing.assert_allclose(person.keypoints[1:, 2], 0.8, rtol=1e-6)
    assert (person.keypoints[0] == 0).all()  # Too unsure.


def test_one_network_finds_both(models):
  people = rtmlib.detector(models['rtmo'])(np.zeros((128, 128, 3), np.uint8))
  assert [person.keypoints.shape for person in people] == [(17, 3)] * 2
  np.testing.assert_allclose(people[0].keypoints[0], [20, 10, 0.7], rtol=1e-5)
  np.testing.assert_allclose(
    people[1].keypoints[16], [106, 106, 0.7], rtol=1e-5
  )


def test_nobody_is_not_the_whole_picture(models):
  find = rtmlib.detector(f'{models["nobody"]},{models["rtmpose"]}')
  assert find(np.zeros((64, 64, 3), np.uint8)) == []


def test_wrong_files(models, tmp_path):
  with pytest.raises(SettingError, match='there is no file none.onnx; give'):
    rtmlib.detector(f'{models["yolox"]},none.onnx')
  with pytest.raises(SettingError, match='the .onnx of YOLOX and of RTMPose'):
    rtmlib.detector(','.join([models['yolox']] * 3))
  (tmp_path / 'text.onnx').write_text('hello')
  with pytest.raises(UserError, match=r'cannot use .*text.onnx'):
    rtmlib.detector(str(tmp_path / 'text.onnx'))


def test_files_in_another_order_are_refused(models):
  for names in (('rtmpose', 'yolox'), ('yolox',)):
    with pytest.raises(UserError, match='cannot use .*, in this order'):
      rtmlib.detector(','.join(models[name] for name in names))


def test_without_network_it_says_what_to_download(monkeypatch):
  from urllib.error import URLError

  import rtmlib as package

  def unreachable(*args, **options):
    raise URLError('no route to host')

  monkeypatch.setattr(package, 'YOLOX', unreachable)
  with pytest.raises(
    Exception, match=r'cannot download http\S+yolox\S+ .*unpack'
  ):
    rtmlib.detector()


def test_without_rtmlib_it_says_what_to_install(monkeypatch):
  monkeypatch.setitem(sys.modules, 'rtmlib', None)
  with pytest.raises(SettingError, match=r'"semgcn-jax\[rtm\]"'):
    rtmlib.detector()


def test_by_command(models, tmp_path):
  from PIL import Image

  Image.fromarray(np.zeros((128, 128, 3), np.uint8)).save(tmp_path / 'a.png')
  image, output = f'--image={tmp_path / "a.png"}', tmp_path / 'a.json'
  code, out, err = run(
    *('predict', image, f'--output={output}', '--detector=rtmlib'),
    *(f'--detector_model={models["rtmo"]}', '--check=false'),
  )
  assert (code, err) == (0, ''), err
  assert '2 people; choose one with --box=20,' in out
  fails(
    *('predict', image, f'--output={tmp_path / "b.json"}', '--detector=rtmlib'),
    '--detector_model=none.onnx',
    status=2,
    message='--detector_model=none.onnx: there is no file none.onnx',
  )
