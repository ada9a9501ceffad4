"""Writes the page that the flags of demo.py describe."""

import dataclasses
import pathlib
import subprocess
import tempfile

import numpy as np

from semgcn_jax.commands.flags.demo import Flags
from semgcn_jax.commands.flags.sources import read_size
from semgcn_jax.detections.clip_files import find_clips, read_clips
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.export import onnx_files, program, programs
from semgcn_jax.figures.demo import Demo, demo_html, read_runtime
from semgcn_jax.files import split_paths, write_output
from semgcn_jax.formats.writers import encoded
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.inference.networks import require_task
from semgcn_jax.models.windows import step_of
from semgcn_jax.runs.networks import Network, restore_network

RUNTIME = 'onnxruntime-web@1.30.0'
_PATIENCE = 300  # Seconds for npm to fetch it.


def main(flags: Flags) -> None:
  """Writes the page that the flags describe."""
  [output] = split_paths(flags.output, ('.html',), 'output')
  network = restore_network(flags.checkpoint, flags.which)
  require_task(network.config, 'frames', 'clips', name=str(flags.checkpoint))
  if network.skeleton != H36M:
    raise UserError(
      f'{flags.checkpoint}: has another skeleton; pages show that of people'
    )
  if not network.config.model.input_joints:
    raise UserError(
      f'{flags.checkpoint}: lifts keypoints from its own cameras only; take a'
      ' network that was trained with input_joints'
    )
  shown = _read_shown(flags, network)
  exported = programs.make_program(network, flags.only_seed, shown.joint_set)
  if 'length' in exported.inputs:
    raise UserError(
      f'{flags.checkpoint}: also needs later frames, which nobody has dragged'
      ' yet; take cmu or cmu-stream'
    )
  runtime = _read_runtime(flags.runtime)
  model = onnx_files.convert(exported)
  difference = program.largest_difference(exported, onnx_files.load(model))
  program.check_difference(difference, output, 'onnxruntime')
  name = pathlib.PurePath(flags.checkpoint).name
  (state,) = exported.inputs.get('state', (0,))
  shown = dataclasses.replace(shown, model=model, state=state)
  page = demo_html(shown, runtime, f'{name}: drag the keypoints')
  write_output(
    output,
    lambda path: path.write_bytes(encoded(page)),
    new=not flags.overwrite,
  )
  print(f'{output}: {len(page) / 1e6:.1f} MB')


def _read_shown(flags: Flags, network: Network) -> Demo:
  """Reads what the page plays, at the frame rate of the network."""
  model = network.config.model
  rate = model.frame_rate if model.is_temporal else None
  if flags.detections is None:
    return Demo(b'', rate=rate or 1.0)
  (name, paths), *_ = find_clips(pathlib.Path(flags.detections)).items()
  clip, *_ = read_clips(name, paths, image_size=read_size(flags.image_size))
  if not clip.people:
    raise UserError(f'{flags.detections}: shows nobody')
  person = clip.people[0]
  assert person.keypoints is not None
  step = step_of(clip.fps, rate or clip.fps)
  frames = person.frames - person.frames[0]
  keypoints = np.zeros((frames[-1] + 1, *person.keypoints.shape[1:]))
  keypoints[frames] = person.keypoints
  return Demo(
    b'',
    joint_set=clip.joint_set,
    rate=clip.fps / step,
    recording=keypoints[::step],
    image_size=clip.image_size,
  )


def _read_runtime(folder: str | None) -> dict[str, bytes]:
  """Reads the runtime from a folder, or fetches it through npm."""
  if folder:
    return read_runtime(pathlib.Path(folder))
  command = ['npm', 'install', '--ignore-scripts', '--no-audit', RUNTIME]
  with tempfile.TemporaryDirectory() as own:
    try:
      subprocess.run(
        command, cwd=own, check=True, capture_output=True, timeout=_PATIENCE
      )
    except (OSError, subprocess.SubprocessError) as error:
      raise SettingError(
        f'npm could not fetch {RUNTIME} ({error}); install npm, or name the'
        " package's dist folder by `runtime`"
      ) from error
    package = pathlib.Path(own) / 'node_modules' / 'onnxruntime-web'
    return read_runtime(package / 'dist')
