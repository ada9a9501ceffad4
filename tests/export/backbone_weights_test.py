import sys

import jax
import numpy as np
import pytest
from by_loops import random
from hostile import Hostile

from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.export.backbone_weights import read_backbone
from semgcn_jax.models.resnet import make_resnet


def tiny_state(expansion=1, width=16):
  """Random weights of a ResNet of one block a stage, as torchvision has them.

  With expansion 4 the blocks are bottlenecks.
  """
  rng = np.random.default_rng(0)
  state = {}

  def conv(key, norm, outputs, inputs, size):
    shape = (outputs, inputs, size, size)
    state[f'{key}.weight'] = rng.normal(size=shape)
    state[f'{norm}.weight'] = rng.normal(size=outputs)
    state[f'{norm}.bias'] = rng.normal(size=outputs)
    state[f'{norm}.running_mean'] = rng.normal(size=outputs)
    state[f'{norm}.running_var'] = rng.uniform(0.5, 2, size=outputs)

  conv('conv1', 'bn1', width, 3, 7)
  before = width
  for i, inner in enumerate((2 * width, 2 * width, 4 * width, 4 * width)):
    block = f'layer{i + 1}.0'
    sizes = (3, 3) if expansion == 1 else (1, 3, 1)
    channels = (before, *[inner] * (len(sizes) - 1), inner * expansion)
    for k, size in enumerate(sizes):
      outputs, inputs = channels[k + 1], channels[k]
      conv(f'{block}.conv{k + 1}', f'{block}.bn{k + 1}', outputs, inputs, size)
    if i < 3:  # The last block changes neither the channels nor the size.
      skip = f'{block}.downsample'
      conv(f'{skip}.0', f'{skip}.1', channels[-1], before, 1)
    before = channels[-1]
  state = {key: x.astype(np.float32) for key, x in state.items()}
  counts = [key for key in state if key.endswith('.running_var')]
  for key in counts:
    state[key.replace('running_var', 'num_batches_tracked')] = np.array(7)
  return state | {'fc.weight': np.ones((5, before), np.float32)}


def write(path, state):
  """Writes tensors in the format that the name's ending tells."""
  if path.suffix == '.safetensors':
    safetensors = pytest.importorskip(
      'safetensors.numpy', reason='needs the image extra'
    )
    safetensors.save_file(state, path)
  else:
    torch = pytest.importorskip('torch', reason='needs the torch extra')
    tensors = {key: torch.from_numpy(np.array(x)) for key, x in state.items()}
    torch.save(tensors, path)
  return path


@pytest.fixture(params=['.pth', '.safetensors'])
def path(request, tmp_path):
  return tmp_path / f'weights{request.param}'


def check_tiny(variables, state):
  """Compares some of each kind of variable with the file's tensors."""
  params, stats = variables['params'], variables['batch_stats']
  for ours, theirs in [
    (params['conv1']['conv']['kernel'], 'conv1.weight'),
    (params['conv1']['norm']['scale'], 'bn1.weight'),
    (params['stage1_block0']['conv2']['norm']['bias'], 'layer1.0.bn2.bias'),
    (
      params['stage2_block0']['conv1']['conv']['kernel'],
      'layer2.0.conv1.weight',
    ),
    (
      stats['stage3_block0']['conv1']['norm']['mean'],
      'layer3.0.bn1.running_mean',
    ),
    (
      stats['stage4_block0']['conv2']['norm']['var'],
      'layer4.0.bn2.running_var',
    ),
    (
      params['stage3_block0']['skip']['conv']['kernel'],
      'layer3.0.downsample.0.weight',
    ),
    (
      stats['stage3_block0']['skip']['norm']['var'],
      'layer3.0.downsample.1.running_var',
    ),
  ]:
    assert ours.dtype == np.float32
    expected = state[theirs]
    if expected.ndim == 4:
      expected = np.moveaxis(expected, (0, 1), (3, 2))
    np.testing.assert_array_equal(ours, expected)


def test_every_variable_is_read(path):
  state = tiny_state()
  variables = read_backbone(write(path, state), 'tiny')
  check_tiny(variables, state)
  abstract = jax.eval_shape(
    make_resnet('tiny').init, jax.random.key(0), np.zeros((1, 32, 32, 3))
  )
  assert jax.tree.map(lambda x: x.shape, variables) == jax.tree.map(
    lambda x: x.shape, abstract
  )
  assert all(type(x) is np.ndarray for x in jax.tree.leaves(variables))


@pytest.mark.parametrize('prefix', ['module.', 'backbone.', 'module.backbone.'])
def test_prefixes_are_left_off(prefix, tmp_path):
  state = tiny_state()
  named = {prefix + key: x for key, x in state.items()}
  if 'backbone' in prefix:
    named['module.head.weight'] = np.ones(3, np.float32)
  path = write(tmp_path / 'weights.safetensors', named)
  check_tiny(read_backbone(path, 'tiny'), state)


def test_checkpoints_around_a_state_dict_are_read(tmp_path):
  torch = pytest.importorskip('torch', reason='needs the torch extra')
  state = tiny_state()
  tensors = {key: torch.from_numpy(x) for key, x in state.items()}
  path = tmp_path / 'checkpoint.pth'
  torch.save({'epoch': 3, 'state_dict': tensors}, path)
  check_tiny(read_backbone(path, 'tiny'), state)


def test_other_widths_of_numbers_are_read(tmp_path):
  state = tiny_state()
  narrow = {key: x.astype(np.float16) for key, x in state.items()}
  path = write(tmp_path / 'weights.safetensors', narrow)
  check_tiny(read_backbone(path, 'tiny'), narrow)


@pytest.mark.parametrize(
  'change, message',
  [
    (
      lambda s: s.pop('layer3.0.bn2.bias'),
      'lacks layer3.0.bn2.bias of tiny',
    ),
    (
      lambda s: s.update({'layer3.0.bn7.bias': np.ones(2, np.float32)}),
      'holds layer3.0.bn7.bias, which tiny does not have',
    ),
    (
      lambda s: s.update(
        {'layer2.0.conv1.weight': np.ones((2, 1), np.float32)}
      ),
      r'layer2.0.conv1.weight has the shape \[2, 1\], not \[32, 32, 3, 3\]',
    ),
    (
      lambda s: s.update({'bn1.running_var': np.full(16, np.nan, np.float32)}),
      'bn1.running_var is not finite',
    ),
    (lambda s: s.clear(), 'holds no ResNet'),
  ],
)
def test_what_is_wrong_is_named(change, message, path):
  state = tiny_state()
  change(state)
  with pytest.raises(UserError, match=message) as caught:
    read_backbone(write(path, state), 'tiny')
  assert str(path) in str(caught.value)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
  'state, name, message',
  [
    ({}, 'resnet18', 'holds tiny, not resnet18'),
    (
      {'expansion': 4, 'width': 2},
      'tiny',
      'holds a ResNet of 1, 1, 1, 1 bottlenecks and the width 2, not tiny',
    ),
  ],
)
def test_another_network_is_named(state, name, message, tmp_path):
  path = write(tmp_path / 'weights.safetensors', tiny_state(**state))
  with pytest.raises(UserError, match=message):
    read_backbone(path, name)


def test_an_unknown_network_is_refused(tmp_path):
  with pytest.raises(SettingError, match='`backbone=vgg`: choose from'):
    read_backbone(tmp_path / 'weights.pth', 'vgg')


@pytest.mark.parametrize('ending', ['.pth', '.safetensors'])
def test_damage_is_one_line(ending, tmp_path):
  path = tmp_path / f'weights{ending}'
  whole = write(path, tiny_state()).read_bytes()
  for content in (b'', b'\x80nothing', whole[:1000], whole[:-5000]):
    path.write_bytes(content)
    with pytest.raises(UserError, match='cut off|refused or damaged') as caught:
      read_backbone(path, 'tiny')
    assert '\n' not in str(caught.value)
  path.unlink()
  with pytest.raises(UserError, match='no such file'):
    read_backbone(path, 'tiny')
  path.mkdir()
  with pytest.raises(UserError, match='not a file of weights'):
    read_backbone(path, 'tiny')


def test_nothing_in_a_file_is_run(tmp_path):
  torch = pytest.importorskip('torch', reason='needs the torch extra')
  path, made = tmp_path / 'weights.pth', tmp_path / 'made'
  torch.save({'conv1.weight': Hostile(str(made))}, path)
  with pytest.raises(UserError, match='refused or damaged'):
    read_backbone(path, 'tiny')
  torch.save({'conv1.weight': 'text'}, path)
  with pytest.raises(UserError, match='not a file of weights'):
    read_backbone(path, 'tiny')
  assert not made.exists()


@pytest.mark.parametrize(
  'library, ending, extra',
  [('torch', '.pth', 'torch'), ('safetensors.numpy', '.safetensors', 'image')],
)
def test_a_missing_library_is_named(
  library, ending, extra, tmp_path, monkeypatch
):
  monkeypatch.setitem(sys.modules, library, None)
  with pytest.raises(UserError, match=rf'pip install -e ".\[{extra}\]"'):
    read_backbone(tmp_path / f'weights{ending}', 'tiny')


@pytest.mark.slow
@pytest.mark.parametrize('name', ['resnet18', 'resnet50'])
def test_feature_maps_are_those_of_torchvision(name, tmp_path):
  torch = pytest.importorskip('torch', reason='needs the torch extra')
  models = pytest.importorskip('torchvision', reason='no torchvision').models
  torch.manual_seed(0)
  theirs = models.get_model(name).eval()
  for key, x in theirs.state_dict().items():
    if key.endswith('running_var') or (x.ndim == 1 and 'weight' in key):
      x.uniform_(0.5, 1.5)
    elif x.ndim == 1:
      x.normal_(0, 0.2)
  images = random(2, 64, 64, 3)
  with torch.no_grad():
    x = torch.from_numpy(images).permute(0, 3, 1, 2)
    expected = [theirs.relu(theirs.bn1(theirs.conv1(x)))]
    x = theirs.maxpool(expected[0])
    for stage in (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4):
      x = stage(x)
      expected.append(x)
  state = {key: x.numpy() for key, x in theirs.state_dict().items()}
  ours = make_resnet(name)
  apply = jax.jit(ours.apply)
  for ending in ('.pth', '.safetensors'):
    path = write(tmp_path / f'weights{ending}', state)
    maps = apply(read_backbone(path, name), images)
    for y, x in zip(maps, expected, strict=True):
      x = x.permute(0, 2, 3, 1).numpy()
      assert y.shape == x.shape
      scale = np.abs(x).max()
      np.testing.assert_allclose(y / scale, x / scale, rtol=0, atol=1e-4)
  assert [y.shape[-1] for y in maps] == list(ours.stage_channels)
