"""A network as a single function, and how files are compared with it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from semgcn_jax.errors import UserError
from semgcn_jax.geometry.skeletons import Skeleton

MAX_DIFFERENCE = 1e-4  # Between a file and JAX, in the unit of the program.
CHECKED_SIZES = (1, 7, 64)  # The batch sizes that files are checked with.


@dataclasses.dataclass(frozen=True)
class Program:
  """A network as a function of a batch of B poses, or of B people.

  Attributes:
    function: A function from input arrays to output arrays.
    inputs: {name of an input: its shape without B}; all are float32.
    outputs: The names of the outputs.
    notes: {key: text} about the network and its arrays.
    draw: Draws random inputs for a given batch size.
    frames: The number of poses that each of the B is, for clips.
    unit: The unit of differences of the outputs.
    scale: The size of this unit; of features, `[D]`.
  """

  function: Callable[..., tuple[jax.Array, ...]]
  inputs: dict[str, tuple[int, ...]]
  outputs: tuple[str, ...]
  notes: dict[str, str]
  draw: Callable[[int], dict[str, np.ndarray]]
  frames: int = 1
  unit: str = 'm'
  scale: Any = 1.0

  def abstract_inputs(self) -> list[jax.ShapeDtypeStruct]:
    """Returns abstract inputs with a symbolic dimension B."""
    scope = jax.export.SymbolicScope()
    (batch,) = jax.export.symbolic_shape('B', scope=scope)
    return [
      jax.ShapeDtypeStruct((batch, *shape), jnp.float32)
      for shape in self.inputs.values()
    ]


def poses_note(skeleton: Skeleton, dims: str = 'B') -> str:
  """Describes the poses that a program returns, `[dims, J, 3]`."""
  return (
    f'[{dims}, {skeleton.num_joints}, 3]: the joints in metres, with'
    f' {skeleton.joints[skeleton.root]} at the origin, in the frame of the'
    ' camera: x to the right, y down, z forward.'
  )


def largest_difference(
  program: Program, call: Callable[..., Any], sizes=CHECKED_SIZES
) -> float:
  """Compares the outputs of an exported file with those of its program.

  Args:
    program: The program.
    call: Runs the file on the input arrays, in order.
    sizes: The batch sizes to compare.

  Returns:
    The largest difference of all outputs, in the program's unit; infinite if
    only one of the two is finite, or shapes differ.
  """
  function, largest = jax.jit(program.function), 0.0
  for size in sizes:
    arrays = list(program.draw(size).values())
    for own, wanted in zip(call(*arrays), function(*arrays), strict=True):
      own, wanted = np.asarray(own), np.asarray(wanted)
      if own.shape != wanted.shape or (np.isnan(own) != np.isnan(wanted)).any():
        return float('inf')
      both = np.isfinite(own) & np.isfinite(wanted)
      off = np.abs(own - wanted) / program.scale
      largest = max(largest, off.max(where=both, initial=0))
  return float(largest)


def check_difference(difference: float, path: Any, program: str) -> None:
  """Raises a UserError if a file does not compute what JAX computes.

  Args:
    difference: The result of `largest_difference`.
    path: The file, which is not written yet.
    program: The name of the program that ran it, for the message.
  """
  if not difference <= MAX_DIFFERENCE:
    raise UserError(
      f'{path}: not written, as what {program} computes differs from JAX by up'
      f' to {difference:.2g}; update {program} and JAX'
    )
