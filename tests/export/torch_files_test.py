import pickle
import sys

import pytest
from released import fresh_state, same, torch, write

from semgcn_jax.errors import UserError
from semgcn_jax.export import torch_files, torch_states


class Python2Pickler(pickle._Pickler):
  """Writes str as Python 2 does."""

  dispatch = dict(pickle._Pickler.dispatch)

  def save_str(self, text):
    data = text.encode('ascii')
    self.write(b'U' + bytes([len(data)]) + data)

  dispatch[str] = save_str


@pytest.mark.slow
def test_files_of_python_2(tmp_path):
  path = tmp_path / 'a.pth.tar'
  settings, state = write(path)
  checkpoint = torch.load(path, weights_only=True)

  class Module:
    Pickler = Python2Pickler

    @staticmethod
    def dump(value, file, protocol):
      Python2Pickler(file, protocol).dump(value)

  torch.save(
    checkpoint,
    path,
    pickle_module=Module,
    pickle_protocol=2,
    _use_new_zipfile_serialization=False,
  )
  assert b'U\x05epoch' in path.read_bytes()
  ours, _ = torch_states.import_checkpoint(
    torch_files.read(path),
    settings.model,
    settings.evaluation.choose_on,
    fresh_state(settings),
  )
  same(ours.variables, state.variables)


def test_cuda_storages_are_read_on_a_cpu(tmp_path):
  path = tmp_path / 'a.pth.tar'
  settings, state = write(path)
  data = path.read_bytes()
  cpu = b'X\x03\x00\x00\x00cpu'
  assert cpu in data
  path.write_bytes(data.replace(cpu, b'X\x06\x00\x00\x00cuda:0'))
  variables = torch_states.to_variables(
    torch_files.read(path)['state_dict'], settings.model, state.variables
  )
  same(variables, state.variables)


def test_without_torch_there_is_a_hint(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'torch', None)
  with pytest.raises(UserError, match=r'pip install -e "\.\[torch\]"'):
    torch_files.read(tmp_path / 'a.pth.tar')
