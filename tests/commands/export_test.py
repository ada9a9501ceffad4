import json
import re

import exported
import numpy as np
import pytest
from command_line import fails, run
from conftest import ROOT

from semgcn_jax.runs.weights import save_weights

DOCUMENT = ROOT / 'docs' / 'exporting.md'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """The folder of a tiny network that knows one camera."""
  path = tmp_path_factory.mktemp('runs') / 'tiny'
  network = exported.make(exported.SETTINGS['vanilla'])
  save_weights(path, network.config, network.skeleton, network.variables, 1)
  return path


def test_wrong_flags(folder, tmp_path):
  def refused(*flags, message, status=2):
    fails('export', *flags, status=status, message=message)
    assert not list(tmp_path.glob('new*'))

  of = f'--checkpoint={folder}'
  for ending in ('pt', 'mlir', 'onxx'):
    refused(of, f'--output={tmp_path}/new.{ending}', message='.onnx or .stab')
  for name in ('--joint_set=coco', '--frames=8', '--benchmark'):
    refused(of, f'--output={tmp_path}/new', name, message='is for a file')
  for ending in ('onnx', 'stablehlo'):
    there = tmp_path / f'there.{ending}'
    there.write_text('before')
    refused(of, f'--output={there}', message='exists; name a new file')
    assert there.read_text() == 'before'
    refused(
      *(of, f'--output={tmp_path}/no/new.{ending}'), message='existing folder'
    )
    refused(
      *(of, f'--output={tmp_path}/new.{ending}', '--joint_set=coco'),
      message='--joint_set=coco: the network takes',
    )
    refused(
      *(of, f'--output={tmp_path}/new.{ending}', '--frames=8'),
      message='--frames=8: this network takes single frames',
    )
    refused(
      *('--checkpoint=cmu', f'--output={tmp_path}/new.{ending}'),
      '--joint_set=hands',
      message='--joint_set=hands: this network lifts h36m, coco,',
    )


def test_runs_without_a_scale(tmp_path):
  network = exported.make(exported.SETTINGS['vanilla'])
  config = network.config.replace(image_aligned=True)
  save_weights(tmp_path / 'a', config, network.skeleton, network.variables, 1)
  for name in ('a.onnx', 'a.stablehlo'):
    fails(
      *('export', f'--checkpoint={tmp_path}/a', f'--output={tmp_path}/{name}'),
      status=1,
      message='no scale of their own',
    )
  assert [each.name for each in tmp_path.iterdir()] == ['a']


@pytest.mark.slow
@pytest.mark.parametrize('ending', ['onnx', 'stablehlo'])
def test_a_file_with_a_benchmark(ending, folder, tmp_path):
  for name in ('flatbuffers', 'jax2onnx', 'onnxruntime'):
    pytest.importorskip(name)
  output = tmp_path / f'network.{ending}'
  code, out, err = run(
    *('export', f'--checkpoint={folder}', f'--output={output}', '--benchmark')
  )
  assert (code, err) == (0, ''), err
  assert f'{output}: network of epoch 1; on batches of 1, 7, 64' in out
  headings, row = out.splitlines()[-2:]
  assert 'JAX, batch 1,024' in headings
  assert f'{output.stat().st_size:,}' in row and row.count(' ms') == 4


@pytest.mark.slow
def test_the_programs_of_the_document(tmp_path, monkeypatch, capsys):
  for name in ('flatbuffers', 'jax2onnx', 'onnxruntime'):
    pytest.importorskip(name)
  monkeypatch.chdir(tmp_path)
  for name, output in (
    ('cmu', 'lifter.onnx'),
    ('cmu', 'lifter.stablehlo'),
    ('cmu-stream', 'stream.onnx'),
  ):
    code, _, err = run('export', f'--checkpoint={name}', f'--output={output}')
    assert (code, err) == (0, ''), err
  programs = re.findall(r'```python\n(.*?)```', DOCUMENT.read_text(), re.S)
  assert len(programs) == 3
  values = {}
  exec(programs[0], values)
  assert "(5, 16, 3) ['Pelvis', 'RHip']" in capsys.readouterr().out
  assert 'Apache-2.0' in values['notes']['licence']
  assert json.loads(values['notes']['parents'])[:3] == [-1, 0, 1]
  first = values['poses']
  exec(programs[1], values)
  assert np.isfinite(values['poses']).all() and values['state'].any()
  exec(programs[2], values)
  np.testing.assert_allclose(values['poses'], first, atol=1e-4)
