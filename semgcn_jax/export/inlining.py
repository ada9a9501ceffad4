"""Rewrites JAX functions with fewer primitives, for converters.

The result computes the same: calls are inlined, constants folded, loops
unrolled, and platform-dependent branches resolved for the CPU. Batches may have
any size.
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
  """Traces a function, and returns an equivalent one with fewer primitives.

  Args:
    function: The function.
    inputs: The shapes and types of its arguments; dimensions may be symbolic.

  Returns:
    A function of the same arguments that returns the leaves of the result.
  """
  traced = jax.make_jaxpr(function)(*inputs)
  return lambda *arguments: _run(traced, arguments)


def _run(traced: ClosedJaxpr, arguments: Any) -> list[Any]:
  """Evaluates a jaxpr, equation by equation."""
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
  """Evaluates one equation."""
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
  """Returns whether a value is concrete: it depends on no argument."""
  return not isinstance(value, Tracer)


def _is_number(size: Any) -> bool:
  """Returns whether a size is a number, not a symbol."""
  return isinstance(size, int | np.integer)


def _has_fixed_shape(equation: Any) -> bool:
  return all(
    _is_number(size) for v in equation.outvars for size in v.aval.shape
  )


def _index_of_cpu(platforms: Any) -> int:
  """Returns the index of the CPU branch; the default's platforms are None."""
  for index, names in enumerate(platforms):
    if names is None or 'cpu' in names:
      return index
  raise ValueError(f'no branch for a CPU among {platforms}')


def _unroll(params: dict[str, Any], operands: list[Any]) -> list[Any]:
  """Unrolls the steps of a loop."""
  consts, carried = _count(params)
  shared, state = operands[:consts], operands[consts : consts + carried]
  sequences = operands[consts + carried :]
  order = range(params['length'])
  steps = {}
  for step in reversed(order) if params['reverse'] else order:
    now = [jax.lax.index_in_dim(x, step, keepdims=False) for x in sequences]
    results = _run(params['jaxpr'], [*shared, *state, *now])
    state, steps[step] = results[:carried], results[carried:]
  by_output = zip(*(steps[step] for step in order), strict=True)
  return [*state, *(jnp.stack(each) for each in by_output)]


def _count(params: dict[str, Any]) -> tuple[int, int]:
  """Counts the constants and the carried values of a loop."""
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
  count = range(len(sizes))
  return [jax.lax.index_in_dim(parts, i, keepdims=False) for i in count]


def _pad(x: Any, fill: Any, config: Any) -> Any:
  """Pads by concatenation, as converters only pad fixed shapes."""
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
