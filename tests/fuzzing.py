"""Damages files at random and reads them, in a process with limits.

`python tests/fuzzing.py READER COUNT FOLDER` prints a JSON object: how many of
the damaged files gave a value, how many a UserError, and what else came.
"""

import collections
import faulthandler
import json
import pathlib
import random
import re
import resource
import shutil
import signal
import sys
import warnings

import numpy as np

SECONDS = 20  # The longest that one file may take.
NUMBERS = (b'-1', b'0', b'1e300', b'NaN', b'99999999999', b'4294967295', b'')


def damaged(content, rng):
  """Gives the bytes of a file in which something is wrong."""
  data = bytearray(content)
  for _ in range(rng.choice((1, 1, 1, 2, 8))):
    kind, at = rng.randrange(7), rng.randrange(max(len(data), 1))
    size = rng.choice((1, 4, 16, 200))
    if kind == 0 and data:
      data[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
      del data[at:]
    elif kind == 2:
      del data[at : at + size]
    elif kind == 3:
      data[at:at] = rng.randbytes(size)
    elif kind == 4:
      data[at:at] = data[at : at + size]
    elif kind == 5:
      data[at : at + 4] = rng.choice(
        (b'\xff' * 4, b'\x00' * 4, b'\x7f\xff\xff\xff', b'\xff\xff\xff\x7f')
      )
    else:
      numbers = list(re.finditer(rb'-?\d+(\.\d+)?', data))
      if numbers:
        found = rng.choice(numbers)
        data[found.start() : found.end()] = rng.choice(NUMBERS)
  return bytes(data)


def poses_3d(folder):
  from semgcn_jax.data import npz

  path = folder / 'data_3d_a.npz'
  npz.write_poses_3d({'S1': {'Walk': np.ones((4, 16, 3), np.float32)}}, path)
  return path, npz.read_poses_3d


def poses_2d(folder):
  from semgcn_jax.data import npz
  from semgcn_jax.geometry.skeletons import H36M

  path = folder / 'data_2d_a_gt.npz'
  npz.write_poses_2d({'S1': {'Walk': [np.ones((4, 16, 2))] * 2}}, H36M, path)
  return path, lambda path: (npz.read_poses_2d(path), npz.read_metadata(path))


def plain_npz(folder):
  from semgcn_jax.detections.keypoint_arrays import read_array

  path = folder / 'a.npz'
  size = np.array([64, 48])
  np.savez(path, keypoints=np.ones((4, 17, 3)), image_size=size)
  return path, read_array


def npy(folder):
  from semgcn_jax.detections.keypoint_arrays import read_array

  np.save(folder / 'a.npy', np.ones((4, 17, 3)))
  return folder / 'a.npy', read_array


def wild(folder):
  from semgcn_jax.evaluation.wild import read_wild

  arrays = {
    'clean': np.ones((3, 17, 3)), 'noisy': np.ones((3, 17, 3)),
    'size': np.ones((3, 2)), 'targets': np.ones((3, 16, 3)),
    'focal': np.ones(3),
  }  # fmt: skip
  np.savez_compressed(folder / 'a.npz', **arrays)
  return folder / 'a.npz', read_wild


def poses(ending):
  def make(folder):
    from scenes import clip, person

    from semgcn_jax.formats.pose_files import read_poses, write_poses

    path = folder / f'a{ending}'
    path.write_bytes(write_poses([clip(person(3))], path, {}))
    return path, read_poses

  return make


def picture(folder):
  from PIL import Image

  from semgcn_jax.pictures.images import read_image

  Image.fromarray(np.ones((20, 30, 3), np.uint8)).save(folder / 'a.png')
  return folder / 'a.png', read_image


def video(folder):
  import cv2

  from semgcn_jax.pictures.videos import read_album

  path = folder / 'a.avi'
  code = cv2.VideoWriter_fourcc(*'MJPG')
  writer = cv2.VideoWriter(str(path), code, 10, (64, 48))
  for number in range(6):
    writer.write(np.full((48, 64, 3), 40 * number, np.uint8))
  writer.release()
  return path, read_album


def safetensors(folder):
  from export.backbone_weights_test import tiny_state, write

  from semgcn_jax.export.backbone_weights import _read_tensors

  write(folder / 'a.safetensors', tiny_state(width=4))
  return folder / 'a.safetensors', _read_tensors


def weights_folder(folder):
  from semgcn_jax.runs.networks import restore_network

  return box(folder)[0].parent, restore_network


def dlc(folder):
  from semgcn_jax.detections.csv_files import read_csv

  lines = [
    'scorer' + ',DLC' * 12,
    'individuals' + ',a' * 6 + ',b' * 6,
    'bodyparts' + ',nose,nose,nose,left_eye,left_eye,left_eye' * 2,
    'coords' + ',x,y,likelihood' * 4,
    *(f'{frame}' + ',31.5,40.25,0.9' * 4 for frame in range(4)),
  ]
  (folder / 'a.csv').write_text('\n'.join(lines))
  return folder / 'a.csv', read_csv


def json_of(form):
  import detections

  def make(folder):
    from semgcn_jax.detections.detector_formats import read_people
    from semgcn_jax.prepare.views import align, read_view

    def read(path):
      view = read_view([path])
      if len(view.poses):
        align({0: view})
      read_people([path])

    content = form(detections.people(4, 17))
    return detections.write(folder / 'S1' / 'Walk.0.json', content), read

  return make


def openpose(folder):
  import detections

  return json_of(lambda person: detections.openpose(person[:1]))(folder)


def config(folder):
  from semgcn_jax import config

  config.save(config.Config(), folder / 'config.json')
  return folder / 'config.json', config.load


def skeleton(folder):
  from semgcn_jax.geometry import skeletons as skeleton

  skeleton.save_skeleton(skeleton.H36M, folder / 's.json')
  return folder / 's.json', lambda path: skeleton.load_skeleton(str(path))


def cameras(folder):
  from semgcn_jax.geometry.cameras import load_cameras

  camera = {
    'orientation': [1, 0, 0, 0], 'translation': [0, 0, 3],
    'focal_length': [1145.0, 1143.0], 'center': [512.5, 515.4],
    'width': 1000, 'height': 1002,
  }  # fmt: skip
  (folder / 'c.json').write_text(json.dumps({'*': [camera, camera]}))
  return folder / 'c.json', lambda path: load_cameras(str(path))


def metrics(folder):
  from semgcn_jax.runs.folder import read_records

  lines = [
    {'epoch': n, 'train_loss': 0.5, 'mpjpe': 80.0, 'p_mpjpe': 60.0}
    for n in (1, 2, 3)
  ]
  text = ''.join(json.dumps(line) + '\n' for line in lines)
  (folder / 'metrics.jsonl').write_text(text)
  return folder / 'metrics.jsonl', lambda path: read_records(path.parent, 3)


def box(folder):
  from semgcn_jax import weights
  from semgcn_jax.runs.networks import restore_network

  shutil.copytree(weights.find('cmu'), folder / 'box')
  return folder / 'box' / 'weights.npz', lambda path: restore_network(
    path.parent
  )


def checkpoint(folder):
  from semgcn_jax import config as config_lib
  from semgcn_jax.config import presets
  from semgcn_jax.geometry.skeletons import H36M, save_skeleton
  from semgcn_jax.runs import checkpoints, networks
  from semgcn_jax.training.state import create_train_state

  run = folder / 'run'
  run.mkdir()
  settings = presets.preset('synthetic', hid_dim=4, num_layers=1)
  config_lib.save(settings, run / 'config.json')
  save_skeleton(H36M, run / 'skeleton.json')
  state = create_train_state(settings, H36M)
  with checkpoints.open_manager(run, 1) as manager:
    progress = checkpoints.Progress(1, mpjpe=9.0, score=9.0)
    checkpoints.save(manager, state, progress, H36M)
  return run, networks.restore_network


def torch(folder):
  import torch

  state = {'w1.weight': torch.zeros(4, 32), 'w1.bias': torch.zeros(4)}
  whole = {'epoch': 1, 'lr': 0.1, 'step': 3, 'state_dict': state, 'error': 1.0}
  from semgcn_jax.export import torch_files, torch_names

  torch.save(whole, folder / 'a.pth.tar', _use_new_zipfile_serialization=False)
  return folder / 'a.pth.tar', lambda path: torch_names.infer_model(
    torch_files.read(path)['state_dict']
  )


def asf(folder):
  from asf_files import ASF

  from semgcn_jax.prepare.asf import read_asf

  (folder / '01.asf').write_text(ASF)
  return folder / '01.asf', read_asf


def amc(folder):
  from asf_files import AMC

  from semgcn_jax.prepare.asf import read_amc, read_asf

  skeleton = read_asf(asf(folder)[0])
  (folder / '01_01.amc').write_text(AMC)
  return folder / '01_01.amc', lambda path: read_amc(path, skeleton)


def bvh(folder):
  from prepare.bvh_test import TEXT

  from semgcn_jax.prepare.bvh import joint_positions, read_bvh

  (folder / 'a.bvh').write_text(TEXT)
  return folder / 'a.bvh', lambda p: joint_positions(read_bvh(p), slice(None))


def recording(kind):
  def make(folder):
    import h36m_files

    from semgcn_jax.prepare.h36m import read_recording

    path = folder / f'Walking.{kind}'
    values = h36m_files.millimetres(h36m_files.motion()[:8])
    h36m_files.WRITERS[kind](path, values)
    return path, read_recording

  return make


def readers():
  """Names every reader: makes a good file, and reads one."""
  import detections

  forms = {
    f'json_{form.__name__.removeprefix("as_")}': json_of(form)
    for form in detections.FORMS
  }
  return forms | {
    'json_openpose': openpose, 'poses_3d': poses_3d, 'poses_2d': poses_2d,
    'plain_npz': plain_npz, 'npy': npy, 'wild': wild, 'config': config,
    'skeleton': skeleton, 'cameras': cameras, 'metrics': metrics, 'box': box,
    'checkpoint': checkpoint, 'torch': torch, 'asf': asf, 'amc': amc,
    'bvh': bvh, 'cdf': recording('cdf'), 'mat': recording('cdf.mat'),
    'h5': recording('h5'), 'json_poses': poses('.json'),
    'npz_poses': poses('.npz'), 'picture': picture, 'video': video,
    'safetensors': safetensors, 'weights_folder': weights_folder, 'dlc': dlc,
  }  # fmt: skip


class Hang(BaseException):
  """A file took too long; readers that catch any Exception let it through."""


def hang(*_):
  raise Hang


def fuzz(name, count, folder):
  """Reads damaged copies of a reader's file, or folder of files."""
  from semgcn_jax.errors import UserError

  good, read = readers()[name](folder)
  read(good)
  results, foreign = collections.Counter(), []
  signal.signal(signal.SIGALRM, hang)
  for seed in range(count):
    rng = random.Random(f'{name} {seed}')
    path = folder / 'damaged' / good.name
    shutil.rmtree(path.parent, ignore_errors=True)
    if good.is_dir():
      shutil.copytree(good, path)
      target = rng.choice(sorted(p for p in path.rglob('*') if p.is_file()))
    else:
      shutil.copytree(good.parent, path.parent, ignore=lambda *_: ['damaged'])
      target = path
    target.write_bytes(damaged(target.read_bytes(), rng))
    signal.alarm(SECONDS)
    try:
      read(path)
      results['value'] += 1
    except UserError as error:
      results['UserError'] += 1
      if '\n' in str(error):
        foreign.append(f'{seed}: two lines: {error}')
    except BaseException as error:
      foreign.append(f'{seed}: {type(error).__name__}: {error}'[:300])
    finally:
      signal.alarm(0)
  return dict(results) | {'foreign': foreign}


if __name__ == '__main__':
  faulthandler.enable()
  faulthandler.dump_traceback_later(280, exit=True)  # Where it hangs.
  warnings.simplefilter('ignore')
  sys.path.insert(0, str(pathlib.Path(__file__).parent))
  reader, number, place = sys.argv[1:]
  limit = 2**32
  if reader in ('box', 'weights_folder', 'checkpoint', 'torch', 'video'):
    limit = 2**36  # JAX and PyTorch reserve addresses that they do not use.
  resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
  print(json.dumps(fuzz(reader, int(number), pathlib.Path(place))))
