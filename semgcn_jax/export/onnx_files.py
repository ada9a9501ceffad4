"""Writes networks as ONNX files, which run without JAX and Python.

A file takes batches of any size, and holds the words that describe its inputs
and outputs in its `metadata_props`. Importing this module imports neither ONNX
nor jax2onnx: only writing files does.
"""

import logging
import pathlib
from collections.abc import Callable
from typing import Any

from semgcn_jax import __version__
from semgcn_jax.errors import UserError
from semgcn_jax.export.inlining import inline
from semgcn_jax.export.programs import (
  Program,
  check_difference,
  largest_difference,
)
from semgcn_jax.files import write_output

ENDING = '.onnx'
OPSET = 17  # The version of ONNX's operators, which has been out since 2022.


def _packages() -> tuple[Any, Any, Any]:
  """Imports what the extra `onnx` of this package installs."""
  try:
    import jax2onnx  # pyright: ignore[reportMissingImports]
    import onnx  # pyright: ignore[reportMissingImports]
    import onnxruntime  # pyright: ignore[reportMissingImports]
  except ImportError as error:
    raise UserError(
      f'{error.name} is not installed; pip install "semgcn-jax[onnx]"'
    ) from error
  return jax2onnx, onnx, onnxruntime


def convert(program: Program) -> bytes:
  """Converts a program to the content of an ONNX file.

  Raises:
    UserError: A package of the extra `onnx` is missing.
  """
  jax2onnx, onnx, _ = _packages()
  inputs = program.abstract_inputs()
  logger = logging.getLogger('onnx_ir')
  level = logger.level
  logger.setLevel(logging.ERROR)  # It warns of shapes that it leaves out.
  try:
    model = jax2onnx.to_onnx(
      inline(program.function, inputs),
      inputs=inputs,
      model_name='semgcn_jax',
      opset=OPSET,
      input_names=list(program.inputs),
      output_names=list(program.outputs),
    )
  finally:
    logger.setLevel(level)
  model.producer_name, model.producer_version = 'semgcn_jax', __version__
  # These tell of single operators what is of no use to whoever runs them.
  for node in model.graph.node:
    del node.metadata_props[:]
    node.doc_string = ''
    _multiply_matrices(node)
  del model.graph.value_info[:], model.metadata_props[:]
  for key, text in program.notes.items():
    model.metadata_props.add(key=key, value=text)
  onnx.checker.check_model(model, full_check=True)
  return model.SerializeToString()


def _multiply_matrices(node: Any) -> None:
  """Makes a MatMul of an Einsum that is one, which takes half the time."""
  if node.op_type != 'Einsum':
    return
  operands, result = node.attribute[0].s.decode().replace(' ', '').split('->')
  left, _, right = operands.partition(',')
  if (
    len(right) == 2 and right[0] == left[-1] and result == left[:-1] + right[1]
  ):
    node.op_type = 'MatMul'
    del node.attribute[:]


def load(content: bytes) -> Callable[..., list[Any]]:
  """Makes a function of the content of an ONNX file, on the CPU.

  Returns:
    A function of the arrays of the inputs, in their order, that returns those
    of the outputs.

  Raises:
    UserError: A package of the extra `onnx` is missing.
  """
  _, _, onnxruntime = _packages()
  options = onnxruntime.SessionOptions()
  options.log_severity_level = 3  # Errors alone.
  session = onnxruntime.InferenceSession(
    content, options, providers=['CPUExecutionProvider']
  )
  names = [each.name for each in session.get_inputs()]
  return lambda *arrays: session.run(
    None, dict(zip(names, arrays, strict=True))
  )


def write(program: Program, path: pathlib.Path) -> float:
  """Converts a program, checks the result, and writes it.

  Args:
    program: The program to convert.
    path: The file to write.

  Returns:
    The largest difference between poses of the file, run by ONNX Runtime, and
    of the program, metres.

  Raises:
    UserError: A package of the extra `onnx` is missing, or the difference is
      too large; nothing is written.
    SettingError: The file cannot be written.
  """
  content = convert(program)
  difference = largest_difference(program, load(content))
  check_difference(difference, path, 'onnxruntime')
  write_output(path, lambda temporary: temporary.write_bytes(content))
  return difference
