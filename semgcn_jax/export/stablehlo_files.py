"""Writes networks as StableHLO, and reads them: files of `jax.export`.

A file runs on CPUs and NVIDIA GPUs, on batches of any size, without this
package. JAX promises that a file which it has exported is run by any JAX that
is up to 6 months newer or up to 3 weeks older, counted between the builds of
the two.
"""

import importlib.util
import pathlib
from typing import Any

import jax
import jax.export

from semgcn_jax.errors import UserError
from semgcn_jax.export.programs import (
  Program,
  check_difference,
  largest_difference,
)
from semgcn_jax.files import MAX_BYTES, read_bytes, write_output

ENDING = '.stablehlo'
PLATFORMS = ('cpu', 'cuda')


def write(program: Program, path: pathlib.Path) -> float:
  """Exports a program, checks the result, and writes it.

  Args:
    program: The program to export.
    path: The file to write.

  Returns:
    The largest difference between poses of the file and of the program, metres.

  Raises:
    UserError: The package `flatbuffers` is missing, or the difference is too
      large; nothing is written.
    SettingError: The file cannot be written.
  """
  # JAX needs it for that, but does not install it.
  if importlib.util.find_spec('flatbuffers') is None:
    raise UserError(
      'flatbuffers is not installed; pip install "semgcn-jax[onnx]"'
    )
  exported = jax.export.export(jax.jit(program.function), platforms=PLATFORMS)(
    *program.abstract_inputs()
  )
  content = bytes(exported.serialize())
  call = jax.jit(jax.export.deserialize(bytearray(content)).call)
  difference = largest_difference(program, call)
  check_difference(difference, path, 'jax.export')
  write_output(path, lambda temporary: temporary.write_bytes(content))
  return difference


def read(path: pathlib.Path) -> Any:
  """Reads what `write` wrote.

  Returns:
    The `jax.export.Exported`, whose `call` takes and returns the arrays of the
    program, in their order.

  Raises:
    UserError: The file is missing, damaged, or too old for this JAX.
  """
  try:
    return jax.export.deserialize(bytearray(read_bytes(path, MAX_BYTES)))
  except OSError as error:
    raise UserError(f'{path}: {error.strerror}') from error
  except Exception as error:  # A damaged file can raise anything.
    raise UserError(
      f'{path}: damaged, or not exported by a JAX of the last 6 months; export'
      ' it again'
    ) from error
