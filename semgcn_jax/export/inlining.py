"""Writes a JAX function with fewer kinds of primitives, for converters.

The result computes the same. Calls are inlined, what depends on constants
alone is computed once, what depends on the platform is taken as for a CPU,
loops are unrolled, and the batch may have any size.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, Literal


def inline(
  function: Callable[..., Any], inputs: list[jax.ShapeDtypeStruct]
) -> Callable[..., list[Any]]:
  """Traces a function, and returns one that does the same more simply.

  Args:
    function: The function.
    inputs: The shapes and types of its arguments, in which a dimension may be
      symbolic; the result takes the same ones.

  Returns:
    A function of these arguments that returns the leaves of the results.
  """
  traced = jax.make_jaxpr(function)(*inputs)
  return lambda *arguments: _run(traced, arguments)


def _run(traced: ClosedJaxpr, arguments: Any) -> list[Any]:
  """Runs what was traced, an equation after the other."""
  jaxpr = traced.jaxpr
  values = dict(zip(jaxpr.constvars, traced.consts, strict=True))
  values |= zip(jaxpr.invars, arguments, strict=True)

  def read(variable):
    return variable.val if isinstance(variable, Literal) else values[variable]

  for equation in jaxpr.eqns:
    results = _apply(equation, [read(v) for v in equation.invars])
    values |= zip(equation.outvars, results, strict=True)
  return [read(variable) for variable in jaxpr.outvars]


def _apply(equation: Any, operands: list[Any]) -> list[Any]:
  """Computes one equation."""
  name, params = equation.primitive.name, equation.params
  if name == 'platform_index':
    return [_index_of_cpu(params['platforms'])]
  if name == 'cond' and _is_known(operands[0]):
    return _run(params['branches'][int(operands[0])], operands[1:])
  if name == 'scan':
    return _unroll(params, operands)
  for inner in ('jaxpr', 'call_jaxpr'):
    if inner in params:
      return _run(params[inner], operands)
  if name == 'split' and not all(map(_is_number, params['sizes'])):
    return _halve(operands[0], params['axis'], params['sizes'])
  if name == 'pad' and not _is_known(operands[0]):
    x, fill = operands
    return [_pad(x, fill, params['padding_config'])]
  if all(map(_is_known, operands)) and _has_fixed_shape(equation):
    with jax.ensure_compile_time_eval():
      results = equation.primitive.bind(*operands, **params)
  else:
    results = equation.primitive.bind(*operands, **params)
  return results if equation.primitive.multiple_results else [results]


def _is_known(value: Any) -> bool:
  """Tells whether a value is there already, as it depends on no argument."""
  return not isinstance(value, Tracer)


def _is_number(size: Any) -> bool:
  """Tells whether a size is a number, not a symbol."""
  return isinstance(size, int | np.integer)


def _has_fixed_shape(equation: Any) -> bool:
  return all(
    _is_number(size) for v in equation.outvars for size in v.aval.shape
  )


def _index_of_cpu(platforms: Any) -> int:
  """Finds the branch for CPUs; the default one has None for its platforms."""
  for index, names in enumerate(platforms):
    if names is None or 'cpu' in names:
      return index
  raise ValueError(f'no branch for a CPU among {platforms}')


def _unroll(params: dict[str, Any], operands: list[Any]) -> list[Any]:
  """Writes the steps of a loop one after the other."""
  consts, carried = _count(params)
  shared, state = operands[:consts], operands[consts : consts + carried]
  sequences = operands[consts + carried :]
  order = range(params['length'])
  steps = {}
  for step in reversed(order) if params['reverse'] else order:
    now = [
      jax.lax.index_in_dim(each, step, keepdims=False) for each in sequences
    ]
    results = _run(params['jaxpr'], [*shared, *state, *now])
    state, steps[step] = results[:carried], results[carried:]
  by_output = zip(*(steps[step] for step in order), strict=True)
  return [*state, *(jnp.stack(each) for each in by_output)]


def _count(params: dict[str, Any]) -> tuple[int, int]:
  """Counts the constants of a loop, and what it carries on."""
  if 'num_carry' in params:
    return params['num_consts'], params['num_carry']
  # Newer releases of JAX keep the trees of the inputs instead.
  consts, carried, _ = params['ft_in'].unpack()
  return len(consts), len(carried)


def _halve(x: Any, axis: int, sizes: Any) -> list[Any]:
  """Splits the first axis, of symbolic length, into equal parts."""
  if axis or len(set(sizes)) > 1:
    raise NotImplementedError(f'a split of axis {axis} into {sizes}')
  parts = jax.lax.reshape(x, (len(sizes), sizes[0], *x.shape[1:]))
  return [
    jax.lax.index_in_dim(parts, part, keepdims=False)
    for part in range(len(sizes))
  ]


def _pad(x: Any, fill: Any, config: Any) -> Any:
  """Pads by concatenating, as converters pad fixed shapes alone."""
  for axis, (low, high, inner) in enumerate(config):
    if inner or min(low, high) < 0:
      raise NotImplementedError(f'padding by {config}')

    def block(width, axis=axis, like=x):
      shape = (*like.shape[:axis], int(width), *like.shape[axis + 1 :])
      return jnp.broadcast_to(fill, shape)

    parts = [block(low)] if low else []
    parts += [x, block(high)] if high else [x]
    x = jax.lax.concatenate(parts, axis) if len(parts) > 1 else x
  return x
