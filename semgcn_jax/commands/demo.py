"""Makes a page with the network inside: drag keypoints, and the 3D follows.

It fetches the ONNX Runtime for browsers (onnxruntime-web, MIT) by npm, and
needs the extra onnx.
"""

import pathlib
import subprocess
import tempfile
from collections.abc import Sequence

from absl import flags

from semgcn_jax.commands.outputs import check_output_flags
from semgcn_jax.commands.parsing import (
  define_checkpoint_flag,
  define_which_flags,
)
from semgcn_jax.commands.running import run
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.export import onnx_files, programs
from semgcn_jax.figures.demo import demo_html, read_runtime
from semgcn_jax.files import write_output
from semgcn_jax.formats.writers import encoded
from semgcn_jax.runs.checkpoints import restore_network

RUNTIME = 'onnxruntime-web@1.30.0'


def define_flags(values: flags.FlagValues) -> None:
  """Defines the flags of the command."""
  define_checkpoint_flag(values, 'Put into the page', default='cmu')
  define_which_flags(values)
  for name, text in (
    ('output', 'Write the page to this file, which ends with .html.'),
    (
      'runtime',
      'Take the ONNX Runtime from this folder, the dist of the npm package'
      ' onnxruntime-web; if not given, npm fetches it.',
    ),
  ):
    flags.DEFINE_string(name, None, text, flag_values=values)
  flags.DEFINE_bool(
    'overwrite', False, 'Replace the output if it exists.', flag_values=values
  )
  flags.mark_flag_as_required('output', flag_values=values)


def demo(values: flags.FlagValues) -> None:
  """Writes the page that the flags describe.

  Raises:
    SettingError: A flag is wrong.
    UserError: The network lifts no keypoints, or a program is missing.
  """
  output = check_output_flags(values, ('.html',))
  network = restore_network(values.checkpoint, values.which)
  if not network.config.model.input_joints:
    raise UserError(
      f'{values.checkpoint}: lifts the keypoints of its own cameras alone; take'
      ' a network of `input_joints`'
    )
  runtime = _read_runtime(values.runtime)
  program = programs.make_program(network, values.only_seed, 'coco')
  model = onnx_files.convert(program)
  difference = programs.largest_difference(program, onnx_files.load(model))
  programs.check_difference(difference, output, 'onnxruntime')
  page = demo_html(model, runtime, f'{values.checkpoint}: drag the keypoints')
  write_output(output, lambda path: path.write_bytes(encoded(page)))
  print(f'{output}: {len(page) / 1e6:.1f} MB')


def _read_runtime(folder: str | None) -> dict[str, bytes]:
  """Reads the runtime from a folder, or fetches it by npm.

  Raises:
    SettingError: npm is not installed, or fails.
    UserError: The folder holds another thing.
  """
  if folder:
    return read_runtime(pathlib.Path(folder))
  command = ['npm', 'install', '--ignore-scripts', '--no-audit', RUNTIME]
  with tempfile.TemporaryDirectory() as own:
    try:
      subprocess.run(command, cwd=own, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
      raise SettingError(
        f'npm could not fetch {RUNTIME} ({error}); install npm, or name the'
        " package's folder dist by `runtime`"
      ) from error
    package = pathlib.Path(own) / 'node_modules' / 'onnxruntime-web'
    return read_runtime(package / 'dist')


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command, and returns its exit status."""
  return run(__doc__, define_flags, demo, argv)
