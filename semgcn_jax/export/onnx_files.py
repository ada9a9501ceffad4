"""Writes networks as ONNX files, which run without JAX and Python.

A file takes batches of any size, and describes its inputs and outputs in its
`metadata_props`. ONNX and jax2onnx are imported only when a file is written.
"""

import logging
import pathlib
from collections.abc import Callable
from typing import Any

from semgcn_jax import __version__
from semgcn_jax.errors import UserError
from semgcn_jax.export.inlining import inline
from semgcn_jax.export.program import (
  Program,
  check_difference,
  largest_difference,
)
from semgcn_jax.files import write_output

ENDING = '.onnx'
OPSET = 17  # The version of ONNX's operators, from 2022.
IR_VERSION = 8  # The lowest for the operators, for older runtimes.


def _packages() -> tuple[Any, Any, Any]:
  """Imports the packages of the extra `onnx`."""
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
  logger.setLevel(logging.ERROR)  # It warns about shapes that it omits.
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
  model.ir_version = IR_VERSION
  model.producer_name, model.producer_version = 'semgcn_jax', __version__
  # Details of the conversion are of no use to those who run the file.
  for node in model.graph.node:
    del node.metadata_props[:]
    node.doc_string = ''
    _multiply_matrices(node)
    if node.op_type == 'Reshape':
      # In a batch of nobody, 0 is a size.
      node.attribute.append(onnx.helper.make_attribute('allowzero', 1))
  del model.graph.value_info[:], model.metadata_props[:]
  for key, text in program.notes.items():
    model.metadata_props.add(key=key, value=text)
  onnx.checker.check_model(model, full_check=True)
  return model.SerializeToString()


def _multiply_matrices(node: Any) -> None:
  """Turns an Einsum into a MatMul where it is one; that is twice as fast."""
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
  """Loads the content of an ONNX file, to run on the CPU.

  Returns:
    A function from the input arrays, in order, to the output arrays.

  Raises:
    UserError: A package of the extra `onnx` is missing.
  """
  _, _, onnxruntime = _packages()
  options = onnxruntime.SessionOptions()
  options.log_severity_level = 3  # Errors only.
  session = onnxruntime.InferenceSession(
    content, options, providers=['CPUExecutionProvider']
  )
  names = [each.name for each in session.get_inputs()]
  return lambda *xs: session.run(None, dict(zip(names, xs, strict=True)))


def write(program: Program, path: pathlib.Path) -> float:
  """Converts a program, checks the result with ONNX Runtime, and writes it.

  Args, returned value and errors are those of `stablehlo_files.write`, except
  that the extra `onnx` is needed.
  """
  content = convert(program)
  difference = largest_difference(program, load(content))
  check_difference(difference, path, 'onnxruntime')
  write_output(path, lambda temporary: temporary.write_bytes(content))
  return difference
