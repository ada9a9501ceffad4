"""Runs the commands on a network that sees pictures, as users call them."""

import json

import jax
import numpy as np
import pytest
from command_line import fails, run
from conftest import ROOT
from pictured import write_h36m
from PIL import Image

from semgcn_jax.config import load
from semgcn_jax.config.presets import preset
from semgcn_jax.errors import UserError
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.inference.image_lifter import ImageLifter
from semgcn_jax.models.build import abstract_variables
from semgcn_jax.runs.checkpoints import restore_state
from semgcn_jax.runs.networks import restore_network
from semgcn_jax.runs.weights import save_weights
from semgcn_jax.training.state import create_train_state

TINY = (
  *('--preset=rendered_small', '--crop_size=32', '--rendered_train=16'),
  *('--rendered_test=8', '--hid_dim=8', '--num_layers=1', '--batch_size=8'),
  *('--epochs=2', '--chunk_steps=1', '--checkpoint_epochs=1'),
  *('--backbone_lr=2e-3', '--lr=3e-3'),
  # The rate of an epoch must not depend on how many there will be.
  *('--lr_schedule=staircase', '--warmup_epochs=0'),
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def found(tmp_path_factory):
  """The folder of a tiny run, whose 2D joints alone are trained."""
  path = tmp_path_factory.mktemp('runs') / 'found'
  status, out, err = run(
    'train', *TINY, '--stage=keypoints', f'--workdir={path}'
  )
  assert status == 0, err
  assert 'MPJPE' not in out.split('epoch 2/2')[1].splitlines()[0]
  assert 'pixels' in out
  assert 'learning rate 0.002\n' in out
  return path


@pytest.fixture(scope='module')
def workdir(found, tmp_path_factory):
  """The folder of a run that has trained a graph network on those."""
  path = tmp_path_factory.mktemp('runs') / 'graph'
  status, out, err = run(
    *('train', *TINY, '--stage=graph', f'--init_from={found}'),
    f'--workdir={path}',
  )
  assert status == 0, err
  assert 'learning rate 0.003\n' in out
  return path


@pytest.fixture(scope='module')
def picture(tmp_path_factory):
  """A picture of 60 x 40 pixels."""
  path = tmp_path_factory.mktemp('pictures') / 'street.png'
  rng = np.random.default_rng(0)
  Image.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8)).save(path)
  return path


def test_evaluate_scores_the_2d_too(workdir, tmp_path):
  output = tmp_path / 'scores.json'
  status, out, err = run(
    'evaluate', f'--checkpoint={workdir}', f'--output={output}'
  )
  assert status == 0, err
  assert '2D pixels' in out and 'PCKh@0.5' in out
  scores = json.loads(output.read_text())
  last = json.loads((workdir / 'metrics.jsonl').read_text().splitlines()[-1])
  assert scores['pixel_error'] == pytest.approx(last['pixel_error'], rel=1e-4)
  assert 0 <= scores['pckh'] <= 100
  assert 'not trained' not in out


def test_evaluate_tells_what_was_published_for_the_network(tmp_path):
  write_h36m(tmp_path)
  folders = {'data_dir': str(tmp_path), 'image_dir': str(tmp_path)}
  config = preset('h36m_images', crop_size=32, **folders)
  shapes = abstract_variables(config.model, H36M)
  zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
  save_weights(tmp_path / 'run', config, H36M, zeros, 1)
  for flags, published in (((), True), (('--test_subjects=S9',), False)):
    status, out, err = run('evaluate', f'--checkpoint={tmp_path}/run', *flags)
    assert status == 0, err
    assert ('published' in out) == published
    # The rows of the one action and of the mean end in the paper's numbers.
    ends = {line.split('  ')[0]: line.split()[-1:] for line in out.splitlines()}
    assert (ends['Walking'] == ['60.6']) == published
    assert (ends['mean of actions'] == ['57.6']) == published
    assert 'released code' not in out


@pytest.mark.parametrize(
  ('command', 'name'), [('evaluate', 'x.json'), ('view', 'x.html')]
)
def test_the_pictures_may_have_moved(command, name, tmp_path):
  fails(
    *(command, f'--checkpoint={tmp_path}/none', f'--image_dir={tmp_path}'),
    f'--output={tmp_path / name}',
    status=1,
    message='none: is neither a run folder',
  )


def test_a_2d_network_is_scored_but_makes_no_poses(found, picture, tmp_path):
  checkpoint = f'--checkpoint={found}'
  status, out, err = run('evaluate', checkpoint)
  assert status == 0, err
  assert 'the graph network is untrained, so only the 2D is meaningful' in out
  for flags in (
    ('predict', f'--image={picture}', f'--output={tmp_path}/x.json'),
    ('view', f'--output={tmp_path}/x.html'),
    ('export', f'--output={tmp_path}/x.stablehlo'),
    ('evaluate', f'--figure={tmp_path}/x.png'),
  ):
    fails(*flags, checkpoint, status=1, message='has only learned 2D joints')
  assert not list(tmp_path.iterdir())


def test_stages_start_from_the_2d_network(found, workdir, tmp_path):
  before = restore_network(found, 'last').variables
  path = tmp_path / 'end_to_end'
  status, out, err = run(
    *('train', *TINY, '--stage=end_to_end', f'--init_from={found}'),
    f'--workdir={path}',
  )
  assert status == 0, err
  assert 'rates 0.002 (backbone), 0.003 (graph network)\n' in out
  for stage, folder in (('graph', workdir), ('end_to_end', path)):
    after = restore_network(folder, 'last').variables
    same = jax.tree.map(
      np.array_equal, before['params']['backbone'], after['params']['backbone']
    )
    assert jax.tree.all(same) is (stage == 'graph')
    assert not np.array_equal(
      before['params']['graph']['output']['kernel'],
      after['params']['graph']['output']['kernel'],
    )


def test_a_resumed_run_is_bit_identical(found, tmp_path):
  """A run that is stopped after an epoch goes on as if it had not been."""
  parts = f'--workdir={tmp_path}/parts'
  flags = (*TINY, '--stage=keypoints', '--epochs=1')
  assert run('train', *flags, parts)[0] == 0
  status, _, err = run('train', '--resume', '--epochs=2', parts)
  assert status == 0, err
  config = load(found / 'config.json')
  like = create_train_state(config, H36M, 2)
  states = [
    restore_state(path, like)[0] for path in (found, tmp_path / 'parts')
  ]
  for one, other in zip(*map(jax.tree.leaves, states), strict=True):
    np.testing.assert_array_equal(one, other)


def test_predict_takes_a_picture(workdir, picture, tmp_path):
  checkpoint = f'--checkpoint={workdir}'
  output = tmp_path / 'person.json'
  status, out, err = run(
    *('predict', checkpoint, f'--image={picture}', '--box=10,5,20,30'),
    f'--output={output}',
  )
  assert status == 0, err
  assert '1 pose' in out
  person = json.loads(output.read_text())
  assert 'street' in json.dumps(person)
  for name in ('person.html', 'person.png'):
    status, _, err = run(
      *('predict', checkpoint, f'--image={picture}'),
      f'--output={tmp_path / name}',
    )
    assert status == 0, err
    assert (tmp_path / name).stat().st_size > 10_000


def test_predict_refuses_what_it_cannot_use(workdir, picture, tmp_path):
  common = f'--checkpoint={workdir}', f'--output={tmp_path}/x.json'
  fails(
    *('predict', *common, f'--detections={ROOT}/examples/people.json'),
    status=2,
    message='takes an image; give --image',
  )
  fails(
    *('predict', *common, f'--image={picture}', '--box=100,100,5,5'),
    status=2,
    message='--box=100,100,5,5: is outside of the image; give one within',
  )
  for flag in ('height=1.8', 'smooth=one_euro', 'fps=25'):
    fails(
      *('predict', *common, f'--image={picture}', f'--{flag}'),
      status=2,
      message=f'--{flag.split("=")[0]}: has no meaning with a network',
    )
  assert not (tmp_path / 'x.json').exists()


def test_a_lifter_places_joints_in_the_box(workdir):
  lifter = ImageLifter.load(workdir)
  rng = np.random.default_rng(1)
  picture = rng.integers(0, 256, (40, 60, 3), np.uint8)
  [person] = lifter.lift(picture, (10, 5, 20, 20)).people
  poses, joints = lifter(person_square(picture, lifter.size))
  np.testing.assert_allclose(person.poses, poses, atol=1e-5)
  expected = np.array([10, 5]) + (joints[0] + 1) / 2 * 20
  np.testing.assert_allclose(person.keypoints[0, :, :2], expected, atol=1e-3)
  assert (poses[:, 0] == 0).all()
  assert lifter(np.zeros((0, 32, 32, 3), np.uint8))[0].shape == (0, 16, 3)
  with pytest.raises(UserError, match='give'):
    lifter(picture[None])


def person_square(picture, size):
  part = Image.fromarray(picture[5:25, 10:30])
  return np.asarray(part.resize((size, size), Image.Resampling.BILINEAR))[None]


def test_view_shows_test_pictures(workdir, tmp_path):
  status, _, err = run(
    *('view', f'--checkpoint={workdir}', f'--output={tmp_path}/page.html')
  )
  assert status == 0, err
  assert 'image/jpeg' in (tmp_path / 'page.html').read_text()


@pytest.mark.parametrize('ending', ['stablehlo', 'onnx'])
def test_export_writes_the_whole_program(workdir, tmp_path, ending):
  pytest.importorskip('flatbuffers')
  if ending == 'onnx':
    pytest.importorskip('jax2onnx')
    pytest.importorskip('onnxruntime')
  status, out, err = run(
    'export', f'--checkpoint={workdir}', f'--output={tmp_path}/net.{ending}'
  )
  assert status == 0, err
  assert 'differs from JAX by up to' in out


def test_weights_of_torchvision_start_the_backbone(tmp_path):
  torch = pytest.importorskip('torch')
  torchvision = pytest.importorskip('torchvision')
  source, output = tmp_path / 'r18.pth', tmp_path / 'r18.npz'
  network = torchvision.models.resnet18(weights=None)
  torch.save(network.state_dict(), source)
  status, out, err = run(
    *('convert_torch', f'--input={source}', '--backbone=resnet18'),
    f'--output={output}',
  )
  assert status == 0, err
  path = tmp_path / 'run'
  status, _, err = run(
    *('train', *TINY, '--backbone=resnet18', f'--backbone_weights={output}'),
    *('--backbone_lr=1e-20', '--epochs=1', f'--workdir={path}'),
  )
  assert status == 0, err
  params = restore_network(path, 'last').variables['params']['backbone']
  kernel = network.conv1.weight.detach().numpy().transpose(2, 3, 1, 0)
  np.testing.assert_array_equal(params['conv1']['conv']['kernel'], kernel)
  fails(
    *('train', *TINY, f'--backbone_weights={output}'),
    f'--workdir={tmp_path}/other',
    status=1,
    message='is of another --backbone',
  )
