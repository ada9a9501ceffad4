import dataclasses
import os
import pathlib
import shutil

import jax
import numpy as np
import pytest

from semgcn_jax.config import presets
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry.skeletons import H36M, save_skeleton
from semgcn_jax.models.build import abstract_variables
from semgcn_jax.runs import checkpoints
from semgcn_jax.training import state as state_lib

TINY = presets.preset('synthetic', hid_dim=4, num_layers=1)


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
  """A run with epochs 1..5, scores 5 3 4 6 7, and a stop in epoch 6."""
  workdir = tmp_path_factory.mktemp('run')
  state = state_lib.create_train_state(TINY, H36M)
  with checkpoints.open_manager(workdir, keep=3) as manager:
    for epoch, mpjpe in enumerate((5.0, 3.0, 4.0, 6.0, 7.0), start=1):
      progress = checkpoints.Progress(epoch, score=mpjpe)
      checkpoints.save(manager, at(state, epoch), progress, H36M)
    progress = checkpoints.Progress(5, 2, loss_sum=0.1 + 0.2, score=7.0)
    checkpoints.save(manager, at(state, 6), progress, H36M)
  return workdir


def at(state, epoch):
  """The state with its epoch as step, and in every parameter."""
  params = jax.tree.map(lambda p: p * 0 + epoch, state.params)
  return state.replace(step=state.step * 0 + 10 * epoch, params=params)


def restore(workdir, which, settings=TINY):
  variables = abstract_variables(settings.model, H36M)
  return checkpoints.restore_variables(workdir, which, variables)


def test_best_and_last_few_are_kept(saved):
  folders = {p.name for p in checkpoints.folder(saved).iterdir()}
  assert folders == {'20', '40', '50', '60'}


@pytest.mark.parametrize(
  'which, epoch', [('best', 2), ('last', 6), ('4', 4), ('5', 5)]
)
def test_which(saved, which, epoch):
  variables, progress = restore(saved, which)
  for leaf in jax.tree.leaves(variables['params']):
    assert (leaf == epoch).all()
  assert progress.epoch == min(epoch, 5)


def test_everything_comes_back(saved):
  fresh = state_lib.create_train_state(TINY.replace(seed=1), H36M)
  state, progress = checkpoints.restore_state(saved, fresh)
  expected = at(state_lib.create_train_state(TINY, H36M), 6)
  assert progress == checkpoints.Progress(5, 2, 0.1 + 0.2, score=7.0)
  for name in ('step', 'rng', 'opt_state', 'params', 'batch_stats'):
    jax.tree.map(
      np.testing.assert_array_equal,
      getattr(state, name),
      getattr(expected, name),
    )


def test_a_missing_epoch_lists_those_there_are(saved):
  with pytest.raises(
    SettingError, match='`which=3`: choose from best, last, 2, 4'
  ):
    restore(saved, '3')


@pytest.mark.slow
def test_another_model_is_described(saved):
  wide = TINY.replace(hid_dim=8)
  with pytest.raises(UserError, match=r'does not fit the model .*has shape'):
    restore(saved, 'best', wide)
  deep = TINY.replace(num_layers=2)
  with pytest.raises(UserError, match=r'residual1.* is missing'):
    restore(saved, 'best', deep)
  shallow = TINY.replace(non_local=False)
  with pytest.raises(UserError, match=r'non_local.* is not of the model'):
    restore(saved, 'best', shallow)


def test_no_checkpoints(tmp_path):
  with pytest.raises(UserError, match='no checkpoints; name a run folder'):
    restore(tmp_path, 'best')
  checkpoints.folder(tmp_path).mkdir()
  assert not checkpoints.exist(tmp_path)
  with pytest.raises(UserError, match='holds no finished checkpoint'):
    restore(tmp_path, 'best')


def test_an_unfinished_save_is_not_seen(saved, tmp_path):
  shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
  last = checkpoints.folder(tmp_path) / '60'
  last.rename(last.with_name('60.orbax-checkpoint-tmp-1'))
  assert restore(tmp_path, 'last')[1].epoch == 5


def damage(path: pathlib.Path, how: str) -> None:
  if how == 'emptied':
    shutil.rmtree(path)
    path.mkdir()
  elif how == 'without metadata':
    (path / 'model' / '_METADATA').unlink()
  elif how == 'without model':
    shutil.rmtree(path / 'model')
  elif how == 'bad metadata':
    (path / 'model' / '_METADATA').write_text('{')
  elif how == 'without progress':
    shutil.rmtree(path / 'progress')
  elif how == 'without data':
    shutil.rmtree(path / 'model' / 'd')
  elif how == 'cut data':
    for file in (path / 'model').glob('**/d/*'):
      file.write_bytes(file.read_bytes()[:100])


@pytest.mark.parametrize(
  'how',
  [
    *('emptied', 'without metadata', 'without model', 'bad metadata'),
    *('without progress', 'without data', 'cut data'),
  ],
)
def test_damage_is_one_line(saved, tmp_path, how):
  shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
  damage(checkpoints.folder(tmp_path) / '60', how)
  with pytest.raises(UserError, match='checkpoints') as caught:
    restore(tmp_path, 'last')
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
  'name',
  [
    *('_CHECKPOINT_METADATA', 'metrics/metrics', 'progress/metadata'),
    *('model/_METADATA', 'model/manifest.ocdbt', 'model/d/more'),
  ],
)
def test_pipes_and_devices_are_not_opened(saved, tmp_path, name):
  """To open a pipe waits for a writer, and /dev/zero never ends."""
  shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
  path = checkpoints.folder(tmp_path) / '60' / name
  for make in (os.mkfifo, lambda path: os.symlink('/dev/zero', path)):
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    make(path)
    for action in (
      lambda: restore(tmp_path, 'last'),
      lambda: checkpoints.open_manager(tmp_path, 3),
    ):
      with pytest.raises(UserError, match=f'{name}: Not a plain file'):
        action()
    assert checkpoints.finished_epochs(tmp_path) == 0


def test_too_large_files_are_not_opened(saved, tmp_path):
  shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
  path = checkpoints.folder(tmp_path) / '60' / 'model' / '_METADATA'
  os.truncate(path, 2**38)  # It has holes, and takes no room.
  with pytest.raises(UserError, match='_METADATA: Holds 274,877,906,944 bytes'):
    restore(tmp_path, 'last')


def test_damage_elsewhere_leaves_the_rest_readable(saved, tmp_path):
  shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
  folder = checkpoints.folder(tmp_path)
  (folder / '40' / 'progress' / 'metadata').write_text('{')
  shutil.rmtree(folder / '50' / 'progress')
  assert restore(tmp_path, '2')[1].epoch == 2


def test_damaged_scores_are_one_line(saved, tmp_path):
  shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
  (checkpoints.folder(tmp_path) / '20' / 'metrics' / 'metrics').write_text('{')
  for action in (
    lambda: restore(tmp_path, 'best'),
    lambda: checkpoints.open_manager(tmp_path, 3),
  ):
    with pytest.raises(UserError, match='damaged'):
      action()


def test_the_graph_belongs_to_the_weights(saved, tmp_path):
  """A skeleton that was changed after training is not scored."""
  shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
  save_skeleton(H36M, tmp_path / 'skeleton.json')
  assert restore(tmp_path, 'best')[1].epoch == 2
  parents = (*H36M.parents[:9], 0, *H36M.parents[10:])
  for changed in (
    dataclasses.replace(H36M, parents=parents),
    dataclasses.replace(H36M, groups=H36M.groups[::-1]),
  ):
    save_skeleton(changed, tmp_path / 'skeleton.json')
    with pytest.raises(UserError, match=r'skeleton\.json: is not the skeleton'):
      restore(tmp_path, 'best')


def test_a_checkpoint_may_vanish_while_it_is_read(saved, tmp_path, monkeypatch):
  shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
  folder = checkpoints.folder(tmp_path)
  original = checkpoints._find

  def find(*args):
    step = original(*args)
    if step == 60:  # The training removes it now.
      shutil.rmtree(folder / '60')
    return step

  monkeypatch.setattr(checkpoints, '_find', find)
  assert restore(tmp_path, 'last')[1].epoch == 5
  (folder / '50' / 'model' / '_METADATA').unlink()
  with pytest.raises(
    UserError, match=r'checkpoints/50: is damaged .* this fol'
  ):
    restore(tmp_path, 'last')
