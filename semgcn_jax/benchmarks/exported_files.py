"""Benchmarks exported files against JAX: size and speed on a CPU."""

import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax

from semgcn_jax.export import onnx_files, stablehlo_files
from semgcn_jax.export.program import Program
from semgcn_jax.text_tables import plain_table

POSES = 1024  # In the larger batch.
_SECONDS = 2.0  # How long to repeat each call.


def compare(program: Program, path: pathlib.Path, difference: float) -> str:
  """Benchmarks a file against the program it was exported from.

  Args:
    program: The program.
    path: The file.
    difference: The largest difference between the two, metres.

  Returns:
    A table of the file's size in bytes, the difference, and for a batch of one
    and of `POSES` poses the fastest call of the file and of JAX, milliseconds.
  """
  if path.suffix.lower() == onnx_files.ENDING:
    name, call = 'ONNX Runtime', onnx_files.load(path.read_bytes())
  else:
    name, call = 'StableHLO', jax.jit(stablehlo_files.read(path).call)
  function, headings, cells = jax.jit(program.function), [], []
  for size in (1, max(1, POSES // program.frames)):
    arrays = list(program.draw(size).values())
    headings += [f'{name}, batch {size:,}', f'JAX, batch {size:,}']
    for each in (call, function):
      cells.append(f'{_fastest_ms(each, arrays):.2f} ms')
  return plain_table(
    ['file', 'bytes', 'difference', *headings],
    [
      [
        path.name,
        f'{path.stat().st_size:,}',
        f'{difference:.1g} {program.unit}',
        *cells,
      ]
    ],
  )


def _fastest_ms(call: Callable[..., Any], arrays: list[Any]) -> float:
  """Returns the time of the fastest call after the first, milliseconds."""
  jax.block_until_ready(call(*arrays))
  times, end = [], time.perf_counter() + _SECONDS
  while len(times) < 5 or time.perf_counter() < end:
    start = time.perf_counter()
    jax.block_until_ready(call(*arrays))
    times.append(time.perf_counter() - start)
  return 1e3 * min(times)
