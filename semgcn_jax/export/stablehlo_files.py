"""Reads and writes networks as StableHLO, the files of `jax.export`.

A file runs on CPUs and NVIDIA GPUs, with batches of any size, without this
package. JAX guarantees that it runs with any release built up to 6 months after
or up to 3 weeks before the one that exported it.
"""

import contextlib
import importlib.util
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.export

from semgcn_jax.errors import UserError
from semgcn_jax.export.program import (
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
    The largest difference between the outputs of file and program, metres.

  Raises:
    UserError: The package `flatbuffers` is missing, or the difference is too
      large; nothing is written.
    SettingError: The file cannot be written.
  """
  # `jax.export` needs it, but JAX does not install it.
  if importlib.util.find_spec('flatbuffers') is None:
    raise UserError(
      'flatbuffers is not installed; pip install "semgcn-jax[onnx]"'
    )
  with _without_locations():
    exported = jax.export.export(
      jax.jit(program.function), platforms=PLATFORMS
    )(*program.abstract_inputs())
  content = bytes(exported.serialize())
  call = jax.jit(jax.export.deserialize(bytearray(content)).call)
  difference = largest_difference(program, call)
  check_difference(difference, path, 'jax.export')
  write_output(path, lambda temporary: temporary.write_bytes(content))
  return difference


@contextlib.contextmanager
def _without_locations() -> Iterator[None]:
  """Keeps the paths of source files out of what JAX lowers."""
  name = 'jax_traceback_in_locations_limit'
  before = jax.config.values[name]
  jax.config.update(name, 0)
  try:
    yield
  finally:
    jax.config.update(name, before)


def read(path: pathlib.Path) -> Any:
  """Reads a file that `write` wrote.

  Returns:
    The `jax.export.Exported`; its `call` takes and returns the arrays of the
    program, in order.

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
