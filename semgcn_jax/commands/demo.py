"""Writes a web page that runs a network: drag keypoints, and the 3D follows.

It fetches ONNX Runtime Web (onnxruntime-web, MIT) through npm, and needs the
extra onnx.
"""

import dataclasses
import functools
import pathlib
import subprocess
import tempfile

from semgcn_jax.commands.outputs import OutputFlags, check_output_flags
from semgcn_jax.commands.running import run
from semgcn_jax.commands.shared_flags import RunFlags, checkpoint_setting
from semgcn_jax.config.fields import REQUIRED, setting
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.export import onnx_files, programs
from semgcn_jax.figures.demo import demo_html, read_runtime
from semgcn_jax.files import write_output
from semgcn_jax.formats.writers import encoded
from semgcn_jax.runs.checkpoints import restore_network

RUNTIME = 'onnxruntime-web@1.30.0'


@dataclasses.dataclass(frozen=True)
class DemoFlags(OutputFlags, RunFlags):
  """The flags of the command."""

  checkpoint: str = checkpoint_setting('Put on the page', 'cmu')
  output: str = setting(
    REQUIRED, 'Write the page to this file, which ends in .html.'
  )
  runtime: str | None = setting(
    None,
    "Take ONNX Runtime from this folder, the npm package onnxruntime-web's"
    ' dist; by default, npm fetches it.',
  )


def demo(flags: DemoFlags) -> None:
  """Writes the page that the flags describe."""
  output, *others = check_output_flags(flags, ('.html',))
  if others:
    raise SettingError(f'`output={flags.output}`: name one file')
  network = restore_network(flags.checkpoint, flags.which)
  if not network.config.model.input_joints:
    raise UserError(
      f'{flags.checkpoint}: lifts keypoints from its own cameras only; take a'
      ' network that was trained with input_joints'
    )
  runtime = _read_runtime(flags.runtime)
  program = programs.make_program(network, flags.only_seed, 'coco')
  model = onnx_files.convert(program)
  difference = programs.largest_difference(program, onnx_files.load(model))
  programs.check_difference(difference, output, 'onnxruntime')
  name = pathlib.PurePath(flags.checkpoint).name
  page = demo_html(model, runtime, f'{name}: drag the keypoints')
  write_output(
    output,
    lambda path: path.write_bytes(encoded(page)),
    new=not flags.overwrite,
  )
  print(f'{output}: {len(page) / 1e6:.1f} MB')


def _read_runtime(folder: str | None) -> dict[str, bytes]:
  """Reads the runtime from a folder, or fetches it through npm."""
  if folder:
    return read_runtime(pathlib.Path(folder))
  command = ['npm', 'install', '--ignore-scripts', '--no-audit', RUNTIME]
  with tempfile.TemporaryDirectory() as own:
    try:
      subprocess.run(command, cwd=own, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
      raise SettingError(
        f'npm could not fetch {RUNTIME} ({error}); install npm, or name the'
        " package's dist folder by `runtime`"
      ) from error
    package = pathlib.Path(own) / 'node_modules' / 'onnxruntime-web'
    return read_runtime(package / 'dist')


main = functools.partial(run, __doc__, demo, DemoFlags)
