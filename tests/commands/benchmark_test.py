"""The benchmark runs and adds up; how fast it is depends on the machine."""

import json

import pytest
from command_line import fails, run
from pictured import write_folder

from semgcn_jax.benchmarks.loading import measure_loading
from semgcn_jax.config import DataConfig
from semgcn_jax.data import image_folder
from semgcn_jax.geometry.skeletons import H36M

TINY = (
  *('--preset=cmu', '--hid_dim=16', '--num_layers=1', '--chunk_steps=3'),
  *('--repeats=2', '--num_poses=500'),
)


@pytest.mark.slow
def test_rows_add_up(tmp_path):
  output = tmp_path / 'benchmark.json'
  code, out, err = run(
    *('benchmark', *TINY, '--recipe=best', f'--output={output}'),
    *('--batch_sizes=64', '--forward_batch_sizes=8', '--noflip_test'),
  )
  assert (code, err) == (0, ''), err
  result = json.loads(output.read_text())
  train, forward = result['rows']
  assert (train['what'], train['devices'], train['batch_size']) == (
    *('train', 4, 64),
  )
  assert (forward['what'], forward['batch_size']) == ('forward', 8)
  # Products alone: 2 -> 16, twice 16 -> 16, 16 -> 3 by two kernels each, and
  # the joints mixed; two non-local layers with theta, phi, g, f g, and out.
  convolutions = [(2, 16), (16, 16), (16, 16), (16, 3)]
  products = sum(2 * 16 * 2 * i * o + 2 * 16 * 16 * o for i, o in convolutions)
  products += 2 * (4 * 2 * 16 * 16 * 8 + 2 * 2 * 16 * 8 * 8)
  assert products < forward['flops'] / 8 < 2 * products
  for row in result['rows']:
    step = row['step_ms'] / 1e3
    assert step > 0 and row['compile_s'] > 0 and row['memory_mb'] > 0
    assert row['poses_per_second'] == pytest.approx(row['batch_size'] / step)
    ceiling = result['ceilings']['flops']['highest']
    assert row['flops_share'] == pytest.approx(row['flops'] / step / ceiling)
    ceiling = result['ceilings']['bytes']
    assert row['bytes_share'] == pytest.approx(row['bytes'] / step / ceiling)
  # A training step costs about three times the forward pass of its share.
  assert 2 < train['flops'] / (forward['flops'] * 2) < 5
  assert len([line for line in out.splitlines() if ' highest ' in line]) == 2


def test_measures_the_reading_of_pictures(tmp_path):
  pytest.importorskip('grain')
  write_folder(tmp_path)
  images = image_folder.read(
    DataConfig(data_dir=str(tmp_path), crop_size=32), H36M
  )['train'].images
  assert measure_loading(images, 0, 0.2) > 1
  reading = ('benchmark', '--image_worker_counts=0')
  fails(*reading, status=2, message='has no image files')
  fails(
    *('benchmark', '--image_worker_counts=300'),
    status=2,
    message='must be from 0 to 256',
  )


def test_bad_flags():
  tiny = ('benchmark', *TINY)
  fails(*tiny, '--batch_sizes=a', status=2, message='give whole numbers')
  fails(*tiny, '--batch_sizes=66', status=2, message='does not split over 4')
  fails(*tiny, '--devices=5', status=2, message='must be from 1 to 4')
  fails(*tiny, '--num_seeds=3', status=2, message='use --seeds')
  fails(*tiny, '--image_aligned', status=2, message='leave the flag out')
  fails(*tiny, '--precisions=fp16', status=2, message='--precisions=fp16')
  fails(
    *(*tiny, '--epoch_batch_sizes=600'),
    status=2,
    message='--epoch_batch_sizes=600: must be from 1 to 500',
  )


@pytest.mark.slow
def test_devices_seeds_precisions_and_epochs(tmp_path):
  output = tmp_path / 'benchmark.json'
  code, out, err = run(
    *('benchmark', *TINY, '--batch_sizes=8', '--forward_batch_sizes='),
    *('--devices=1,2', '--seeds=1,2', '--precisions=bfloat16'),
    '--non_local=false',
    *('--epoch_batch_sizes=100', f'--output={output}'),
  )
  assert (code, err) == (0, ''), err
  rows = json.loads(output.read_text())['rows']
  assert [(row['seeds'], row['devices']) for row in rows] == [
    *((1, 1), (1, 2), (2, 1), (2, 2)),
  ]
  for row in rows:
    step = row['step_ms'] / 1e3
    assert row['poses_per_second'] == pytest.approx(8 * row['seeds'] / step)
  assert 'epoch of 500 poses, batch size 100, bfloat16:' in out
