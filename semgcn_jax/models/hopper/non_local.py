"""Kernels of the non-local layer.

XLA makes five kernels or more of the responses and fifteen of their gradients,
and most of them read or write all nodes. Here a response reads x and writes y,
and its gradient reads x and dy and writes dx; the rest stays on the chip.

Nodes are pooled in pairs. The maximum of a pair is kept in the rows of both, so
nothing is gathered: a permutation matrix swaps the rows of each pair, and
either row counts half. So the affinities are divided by J instead of J / 2.
The weights of the affinities are divided by it in advance.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from semgcn_jax.models.functional import NonLocalWeights
from semgcn_jax.models.hopper.tiles import (
  CHANNELS,
  ROWS,
  Array,
  Ref,
  Work,
  accumulator,
  columns,
  flat,
  indices,
  load_once,
  multiply,
  rows,
  shared,
  takes_nodes,
  transpose,
  widen,
  write,
  write_all,
)

INNER = 64  # The channels of phi and of g.
MIN_POSES = 64

Groups = tuple[tuple[int, ...], ...]


def fits(x: Array, weights: NonLocalWeights, *, groups: Groups) -> bool:
  """Returns whether the kernels take the arguments of `forward`."""
  return (
    takes_nodes(x, MIN_POSES)
    and weights.kernel.shape == (CHANNELS, 2 * INNER)
    and weights.out.shape == (INNER, CHANNELS)
    and all(weight.dtype == jnp.float32 for weight in weights)
    and 2 * len(groups) == len(x)
    and all(len(pair) == 2 and pair[0] < pair[1] for pair in groups)
  )


def forward(x: Array, weights: NonLocalWeights, *, groups: Groups) -> Array:
  """Computes `functional.non_local`: `[J, ..., C]` -> `[J, ..., C]`."""
  nodes, stacked = flat(x), _stack(weights, groups)
  work = Work.share_out(x, warpgroups=2, stages=3)

  def respond(x, stacked, y, *scratch):
    tiles, places, ready, full, *on_chip = scratch
    _load_weights(stacked, on_chip, ready)
    first = 2 * lax.axis_index('group')
    phi, g = places.at[first], places.at[first + 1]

    def load(step):
      work.load(x, tiles, full, step)

    def compute(step, carry):
      held = _Held(*on_chip)
      tile = tiles.at[work.slot(step)]  # X, then the result.
      plgpu.barrier_wait(full.at[work.slot(step)])
      own_phi, own_g = held.map_nodes(tile)
      work.load_ahead(load, step)
      write_all((own_phi, phi), (own_g, g))
      other_phi, other_g = held.swap_pairs(phi, g)
      plgpu.commit_smem()
      write_all(
        (jnp.maximum(own_phi, other_phi), phi),
        (jnp.maximum(own_g, other_g) + held.bias_g, g),
      )
      affinity = held.affinity(tile, phi, work.joints)
      plgpu.commit_smem()
      write_all((affinity, phi))
      (total,) = multiply([(phi, g)])
      plgpu.commit_smem()
      write_all((total, phi))
      (response,) = multiply([(phi, held.out)])
      write_all((response + held.bias_out, tile))
      work.store(tile, y, step)
      return carry

    work.run(load, compute, ())
    plgpu.wait_smem_to_gmem(0)

  y = work.call(
    respond,
    jax.ShapeDtypeStruct(nodes.shape, x.dtype),
    shared(work.slots, ROWS, CHANNELS),
    shared(2 * work.warpgroups, ROWS, INNER),
    plgpu.Barrier(num_arrivals=len(stacked)),  # One per matrix loaded.
    plgpu.Barrier(num_arrivals=work.tile_poses, num_barriers=work.slots),
    *_Held.PLACES,
  )(nodes, stacked)
  return y.reshape(x.shape)


# Places that both warpgroups of `backward` know: the sums over nodes, the
# gradient by phi . w in the rows that won, that by g, and ones.
_TOTAL, _DWON, _DG, _ONES = range(6, 10)
# The rows of the sums that `backward` makes of its gradients by weights.
_OF_KERNEL = slice(CHANNELS)
_OF_OUT = slice(CHANNELS, CHANNELS + INNER)
_OF_THETA, _OF_VECTORS, _OF_BIAS = range(CHANNELS + INNER, CHANNELS + INNER + 3)


def backward(
  x: Array, weights: NonLocalWeights, dy: Array, *, groups: Groups
) -> tuple[Array, NonLocalWeights]:
  """Computes the gradients of `forward`, given dy, that by its result.

  On each multiprocessor, the first warpgroup goes from tile to tile and
  differentiates by the nodes. The second adds up most of the gradients by the
  weights.
  """
  stacked = _stack(weights, groups)
  work = Work.share_out(x, warpgroups=2, stages=2, together=True)

  def differentiate(x, dy, stacked, dx, sums, *scratch):
    chip = _Chip(*scratch)
    _load_weights(stacked, (chip.matrices, chip.vectors), chip.ready)
    sums = sums.at[work.worker]

    @pl.when(lax.axis_index('group') == 0)
    def _():
      dtheta, dbias = pl.run_scoped(
        functools.partial(_by_nodes, work, chip, x, dy, dx),
        accumulator(ROWS, CHANNELS),
      )
      sums[_OF_THETA] = jnp.sum(dtheta, axis=0)
      sums[_OF_BIAS, 0] = jnp.sum(dbias)
      plgpu.barrier_arrive(chip.made)
      plgpu.wait_smem_to_gmem(0)

    @pl.when(lax.axis_index('group') == 1)
    def _():
      dkernel_phi, dkernel_g, dout, dbias_g = pl.run_scoped(
        functools.partial(_by_weights, work, chip),
        accumulator(CHANNELS, INNER),
        accumulator(CHANNELS, INNER),
        accumulator(INNER, CHANNELS),
        accumulator(ROWS, INNER),
      )
      sums[_OF_KERNEL, :INNER] = dkernel_phi
      sums[_OF_KERNEL, INNER:] = dkernel_g
      sums[_OF_OUT] = dout
      # Warpgroups share the memory in which they sum over rows.
      plgpu.barrier_wait(chip.made)
      sums[_OF_VECTORS, INNER:] = jnp.sum(dbias_g, axis=0)
      # The gradient by phi . w, times phi = x W.
      upper, lower = chip.held.kernel_phi
      products = dkernel_phi[:ROWS] * widen(upper)
      products += dkernel_phi[ROWS:] * widen(lower)
      sums[_OF_VECTORS, :INNER] = jnp.sum(products, axis=0)

  shape = (work.workers, _OF_BIAS + 1, CHANNELS)
  dx, sums = work.call(
    differentiate,
    (
      jax.ShapeDtypeStruct(flat(x).shape, x.dtype),
      jax.ShapeDtypeStruct(shape, jnp.float32),
    ),
    shared(work.slots, ROWS, CHANNELS),
    shared(work.slots, ROWS, CHANNELS),
    shared(_ONES + 1, ROWS, INNER),
    plgpu.Barrier(num_arrivals=len(stacked)),  # One per matrix loaded.
    plgpu.Barrier(num_arrivals=2 * work.tile_poses, num_barriers=work.slots),
    plgpu.Barrier(num_arrivals=1),
    plgpu.Barrier(num_arrivals=1),
    *_Held.PLACES,
  )(flat(x), flat(dy), stacked)
  sums = sums.sum(axis=0)
  dkernel_phi, dkernel_g = jnp.split(sums[_OF_KERNEL], 2, axis=1)
  dkernel_phi *= weights.w_phi / work.joints
  return dx.reshape(x.shape), NonLocalWeights(
    kernel=jnp.concatenate([dkernel_phi, dkernel_g], axis=1),
    w_theta=sums[_OF_THETA] / work.joints,
    w_phi=sums[_OF_VECTORS, :INNER] / work.joints,
    bias=sums[_OF_BIAS, 0] / work.joints,
    bias_g=sums[_OF_VECTORS, INNER:],
    out=sums[_OF_OUT],
    bias_out=flat(dy).sum(axis=(0, 1), dtype=jnp.float32),
  )


class _Chip(NamedTuple):
  """What a multiprocessor has for `backward`.

  Attributes:
    tiles: Tiles of x, `[2, 64, C]`.
    dtiles: Tiles of dy, `[2, 64, C]`.
    places: The operands of products, `[10, 64, H]`.
    ready: The barrier for the weights, which are loaded once.
    full: The barrier for each tile loaded.
    made: The barrier for the operands that the second warpgroup needs.
    used: The barrier for what the second warpgroup needs no more.
    matrices: See `_Held`.
    vectors: See `_Held`.
  """

  tiles: Ref
  dtiles: Ref
  places: Ref
  ready: Ref
  full: Ref
  made: Ref
  used: Ref
  matrices: Ref
  vectors: Ref

  @property
  def held(self) -> '_Held':
    """The weights, with addresses that are computed anew."""
    return _Held(self.matrices, self.vectors)


def _by_nodes(
  work: Work, chip: _Chip, x: Ref, dy: Ref, dx: Ref, dtheta: Ref
) -> tuple[Array, Array]:
  """Differentiates tile by tile: the work of the first warpgroup.

  Returns:
    The gradient by w_theta as a sum over 64 rows, `[64, C]`, and that by the
    bias, `[64]`.
  """

  def load(step):
    work.load(x, chip.tiles, chip.full, step)
    work.load(dy, chip.dtiles, chip.full, step)

  write(jnp.ones((ROWS, INNER)), chip.places.at[_ONES])

  def compute(step, dbias):
    held, slot = chip.held, work.slot(step)
    tile, dtile = chip.tiles.at[slot], chip.dtiles.at[slot]
    # The operands of products. Some places are used twice.
    phi, g, pooled_phi, pooled_g, affinity, dphi, total, dwon, dg, ones = (
      chip.places.at[held.zero + k] for k in range(_ONES + 1)
    )
    plgpu.barrier_wait(chip.full.at[slot])
    own_phi, own_g = held.map_nodes(tile)
    plgpu.wait_smem_to_gmem(0, wait_read_only=True)
    write_all((own_phi, phi), (own_g, g))

    @pl.when(step >= 1)
    def _():
      plgpu.barrier_wait(chip.used)
      pl.when(step + 1 < work.count)(lambda: load(step + 1))

    other_phi, other_g = held.swap_pairs(phi, g)
    max_phi, wins_phi = held.pool(phi, other_phi)
    max_g, wins_g = held.pool(g, other_g)
    write_all(
      (max_phi, pooled_phi),
      (max_g + held.bias_g, pooled_g),
      (wins_phi, dwon),
      (wins_g, dg),
    )

    write(held.affinity(tile, pooled_phi, work.joints), affinity)
    (values,) = multiply([(dtile, transpose(held.out))])
    dtotal = phi
    write_all((values, dtotal))

    (values,) = multiply([(affinity, pooled_g)])
    write(values, total)
    (values,) = multiply([(transpose(affinity), dtotal)])
    write(values * widen(dg), dg)
    (values,) = multiply([(dtotal, transpose(pooled_g))])
    values = jnp.where(widen(affinity) > 0, values, 0)
    dbias += jnp.sum(values, axis=1)
    daffinity = g
    write_all((values, daffinity))

    (values,) = multiply([(transpose(daffinity), ones)])
    values *= widen(dwon)
    write_all((values, dwon), (values * held.w_phi / work.joints, dphi))
    plgpu.barrier_arrive(chip.made)

    plgpu.wgmma(dtheta, transpose(daffinity), tile)
    halves = phi, affinity  # Of dx.
    for k, half in enumerate(halves):
      (values,) = multiply(
        [
          (dphi, transpose(held.kernel_phi[k])),
          (dg, transpose(held.kernel_g[k])),
          (daffinity, _half(held.w_theta, k)),
        ]
      )
      write(values, half)
    plgpu.commit_smem()
    for k, half in enumerate(halves):
      work.store(half, dx, step, k * INNER)
    return dbias

  dbias = work.run(load, compute, jnp.zeros(ROWS, jnp.float32))
  plgpu.barrier_wait(chip.used)
  return dtheta[...], dbias


def _by_weights(
  work: Work,
  chip: _Chip,
  dkernel_phi: Ref,
  dkernel_g: Ref,
  dout: Ref,
  dbias_g: Ref,
) -> tuple[Array, ...]:
  """Sums over all tiles: the work of the second warpgroup.

  Returns:
    The gradients by phi . w times the nodes, `[C, H]`, by the kernel of g,
    `[C, H]`, by the last kernel, `[H, C]`, and by the bias of g as a sum over
    64 rows, `[64, H]`.
  """

  def compute(step, carry):
    held, slot = chip.held, work.slot(step)
    total, dwon, dg = (
      chip.places.at[held.zero + k] for k in (_TOTAL, _DWON, _DG)
    )
    plgpu.barrier_wait(chip.full.at[slot])
    plgpu.barrier_wait(chip.made)
    plgpu.wgmma(dkernel_phi, transpose(chip.tiles.at[slot]), dwon)
    plgpu.wgmma(dkernel_g, transpose(chip.tiles.at[slot]), dg)
    plgpu.wgmma(dout, transpose(total), chip.dtiles.at[slot])
    # Only sums over rows matter, which a permutation leaves as they are.
    plgpu.wgmma(dbias_g, held.swap, dg)
    plgpu.wgmma_wait(0)
    plgpu.barrier_arrive(chip.used)
    return carry

  lax.fori_loop(jnp.int32(0), work.count, compute, ())
  return dkernel_phi[...], dkernel_g[...], dout[...], dbias_g[...]


class _Held:
  """The weights that a multiprocessor holds, as bfloat16.

  Attributes:
    zero: Zero, which the compiler cannot know. Added to an index, it keeps the
      compiler from computing all addresses in advance, for which there are too
      few registers.
    kernel_phi: The upper and the lower half of the kernel of phi, `[64, H]`.
    kernel_g: Those of the kernel of g.
    w_theta: That of `NonLocalWeights` divided by J, in every row, `[64, C]`.
    out: The last kernel, `[H, C]`.
    rows_w_phi: w_phi divided by J, in every row, `[64, H]`.
    swap: The permutation that swaps the rows of each pair, `[64, 64]`.
  """

  PLACES = (
    shared(5, ROWS, CHANNELS),
    plgpu.SMEM((1, 3, CHANNELS), jnp.bfloat16),
  )

  def __init__(self, matrices: Ref, vectors: Ref):
    self._vectors = vectors.at[0]
    self.zero = self._scalar(1).astype(jnp.int32)
    upper, lower, self.w_theta, self.out, last = (
      matrices.at[self.zero + k] for k in range(5)
    )
    self.kernel_phi, self.kernel_g = (
      (_half(upper, k), _half(lower, k)) for k in range(2)
    )
    self.rows_w_phi, self.swap = _half(last, 0), _half(last, 1)

  def _scalar(self, k: int) -> Array:
    """Returns the bias of the affinities, divided by J, or zero."""
    return self._vectors[1, k].astype(jnp.float32)

  @property
  def bias_out(self) -> Array:
    """That of `NonLocalWeights`, in every row, `[64, C]`."""
    return rows(self._vectors[2])

  @property
  def w_phi(self) -> Array:
    """That of `NonLocalWeights`, in every row, `[64, H]`."""
    return rows(self._vectors[0, :INNER])

  @property
  def bias_g(self) -> Array:
    """The bias of g, in every row, `[64, H]`."""
    return rows(self._vectors[0, INNER:])

  def map_nodes(self, tile: Ref) -> list[Array]:
    """Computes phi and g without their biases: `[64, C]` -> twice `[64, H]`."""
    return multiply(
      *(
        [(_half(tile, k), kernel[k]) for k in range(2)]
        for kernel in (self.kernel_phi, self.kernel_g)
      )
    )

  def swap_pairs(self, *places: Ref) -> list[Array]:
    """Swaps the rows of each pair in each `[64, H]`."""
    return multiply(*([(self.swap, place)] for place in places))

  def pool(self, own: Ref, other: Array) -> tuple[Array, Array]:
    """Returns the maxima of own and other rows, and 2 where the own row wins.

    Elsewhere it is 0. A pair has the gradient of both rows; hence the 2. Of
    equal values, the first of the pair wins.
    """
    values = widen(own)
    row, column = indices()
    first = jnp.sum(jnp.where(row < column, widen(self.swap), 0), axis=1)
    wins = (values > other) | ((values == other) & (columns(first, INNER) > 0))
    return jnp.maximum(values, other), jnp.where(wins, 2.0, 0.0)

  def affinity(self, tile: Ref, phi: Ref, joints: int) -> Array:
    """Computes the affinities of joints, the rows, to nodes: `[64, 64]`."""
    (logits,) = multiply(
      [(tile, transpose(self.w_theta)), (self.rows_w_phi, transpose(phi))]
    )
    row, column = indices()
    bits = joints.bit_length() - 1
    same_pose = (row >> bits) == (column >> bits)
    return jnp.where(same_pose, jnp.maximum(logits + self._scalar(0), 0), 0)


def _stack(weights: NonLocalWeights, groups: Groups) -> Array:
  """Stacks the matrices of `_Held` and its vectors: `[6, 64, C]` bfloat16.

  One operation makes it. The weights cannot be copied one by one: they are
  parts of one vector of all parameters, and not aligned as copies must be.
  """
  pairs, joints = np.array(groups), 2 * len(groups)
  swap = np.zeros((joints, joints), np.float32)
  swap[pairs, pairs[:, ::-1]] = 1
  swap = np.kron(np.eye(ROWS // joints, dtype=np.float32), swap)
  rows_w_phi = jnp.broadcast_to(weights.w_phi / joints, (ROWS, INNER))
  vectors = jnp.stack(
    [
      jnp.concatenate([weights.w_phi, weights.bias_g]),
      jnp.pad(weights.bias[None] / joints, (0, CHANNELS - 1)),
      weights.bias_out,
    ]
  )
  stacked = (
    *jnp.split(weights.kernel, 2),
    jnp.broadcast_to(weights.w_theta / joints, (ROWS, CHANNELS)),
    weights.out,
    jnp.concatenate([rows_w_phi, swap], axis=1),
    jnp.pad(vectors, ((0, ROWS - 3), (0, 0))),
  )
  return jnp.stack(stacked).astype(jnp.bfloat16)


def _load_weights(stacked: Ref, on_chip: Sequence[Ref], ready: Ref) -> None:
  """Loads what `_stack` has stacked."""
  matrices, vectors = on_chip
  load_once(
    ready,
    (stacked.at[pl.ds(0, 5)], matrices),
    (stacked.at[pl.ds(5, 1), pl.ds(0, 3)], vectors),
  )


def _half(tile: Ref, k: int) -> Ref:
  """Returns the left or right half of `[64, C]`."""
  return tile.at[:, pl.ds(k * INNER, INNER)]
