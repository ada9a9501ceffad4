"""Kernels of the non-local layer.

XLA makes five kernels or more of the responses and fifteen of their gradients,
and most of them read or write all nodes. Here a response reads x and writes y,
and its gradient reads x and dy and writes dx; the rest stays on the chip.

Nodes are pooled in pairs. The maximum of a pair is kept in the rows of both,
so nothing is gathered: a permutation matrix swaps the rows of each pair, and
either row counts half.

Affinities divide by the number of pairs, and half of that is 1 / J. It scales
the weights of the affinities, in advance.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from semgcn_jax.models.hopper.tiles import (
  CHANNELS,
  ROWS,
  Array,
  Ref,
  Work,
  accumulator,
  columns,
  flat,
  keep,
  load_once,
  multiply,
  shared,
  store,
  takes_nodes,
  transpose,
  widen,
)

INNER = 64  # The channels of phi and of g, half of those of a tile.
MIN_POSES = 64

Groups = tuple[tuple[int, ...], ...]


def fits(
  x: Array,
  kernel: Array,
  theta: Array,
  weight: Array,
  bias: Array,
  bias_g: Array,
  out: Array,
  *,
  groups: Groups,
) -> bool:
  """Returns whether the kernels take the arguments of `forward`."""
  del theta, weight, bias, bias_g
  return (
    takes_nodes(x, MIN_POSES)
    and kernel.shape == (CHANNELS, 2 * INNER)
    and out.shape == (INNER, CHANNELS)
    and 2 * len(groups) == len(x)
    and all(len(pair) == 2 and pair[0] < pair[1] for pair in groups)
  )


def forward(
  x: Array,
  kernel: Array,
  theta: Array,
  weight: Array,
  bias: Array,
  bias_g: Array,
  out: Array,
  *,
  groups: Groups,
) -> Array:
  """Computes `functional.non_local` in bfloat16: `[J, ..., C]` of both."""
  nodes = flat(x)
  work = Work.share_out(x, groups=2, stages=3)
  weights = _stack_weights(kernel, theta, weight, bias, bias_g, out, groups)

  def respond(x, weights, y, *scratch):
    tiles, places, ready, full, matrices, vectors = scratch
    _load_weights(weights, matrices, vectors, ready)
    first = 2 * lax.axis_index('group')
    phi, g = places.at[first], places.at[first + 1]

    def load(step):
      work.load(x, tiles, full, step)

    def compute(step, carry):
      weights = _Weights(matrices, vectors)
      tile = tiles.at[work.slot(step)]  # X, then the result.
      plgpu.barrier_wait(full.at[work.slot(step)])
      of_phi, of_g = weights.map_nodes(tile)
      work.load_ahead(load, step)
      store((of_phi, phi), (of_g, g))
      other_phi, other_g = weights.swap_pairs(phi, g)
      plgpu.commit_smem()
      store(
        (jnp.maximum(of_phi, other_phi), phi),
        (jnp.maximum(of_g, other_g) + weights.bias_g, g),
      )
      affinity = weights.affinity(tile, phi, work.joints)
      plgpu.commit_smem()
      store((affinity, phi))
      (total,) = multiply([(phi, g)])
      plgpu.commit_smem()
      store((total, phi))
      (response,) = multiply([(phi, weights.out)])
      store((response, tile))
      work.store(tile, y, step)
      return carry

    work.run(load, compute, ())
    plgpu.wait_smem_to_gmem(0)

  y = work.call(
    respond,
    jax.ShapeDtypeStruct(nodes.shape, x.dtype),
    shared(work.slots, ROWS, CHANNELS),
    shared(2 * work.groups, ROWS, INNER),
    plgpu.Barrier(num_arrivals=6),
    plgpu.Barrier(num_arrivals=work.tile_poses, num_barriers=work.slots),
    shared(5, ROWS, CHANNELS),
    plgpu.SMEM((1, 2, CHANNELS), jnp.bfloat16),
  )(nodes, weights)
  return y.reshape(x.shape)


def backward(
  x: Array,
  kernel: Array,
  theta: Array,
  weight: Array,
  bias: Array,
  bias_g: Array,
  out: Array,
  dy: Array,
  *,
  groups: Groups,
) -> tuple[Array, ...]:
  """Computes the gradients of `forward`, given that by its result.

  The first warpgroup of a multiprocessor goes from tile to tile, and the other
  sums up the gradients by the large matrices.
  """
  nodes, grads = flat(x), flat(dy)
  work = Work.share_out(x, groups=2, stages=2, together=True)
  weights = _stack_weights(kernel, theta, weight, bias, bias_g, out, groups)

  def differentiate(x, dy, weights, dx, sums, *scratch):
    tiles, dtiles, places, ready, full, made, used, matrices, vectors = scratch
    _load_weights(weights, matrices, vectors, ready)
    sums = sums.at[work.worker]

    def load(step):
      work.load(x, tiles, full, step)
      work.load(dy, dtiles, full, step)

    def by_nodes(dtheta):
      store((jnp.ones((ROWS, INNER)), places.at[9]))

      def compute(step, dbias):
        weights = _Weights(matrices, vectors)
        phi, g, pooled_phi, pooled_g, affinity, total, dsum, dphi, dg, ones = (
          places.at[weights.zero + k] for k in range(10)
        )
        slot = work.slot(step)
        tile, dtile = tiles.at[slot], dtiles.at[slot]
        plgpu.barrier_wait(full.at[slot])
        of_phi, of_g = weights.map_nodes(tile)
        plgpu.wait_smem_to_gmem(0, wait_read_only=True)
        store((of_phi, phi), (of_g, g))

        @pl.when(step >= 1)
        def _():
          plgpu.barrier_wait(used)
          pl.when(step + 1 < work.count)(lambda: load(step + 1))

        other_phi, other_g = weights.swap_pairs(phi, g)
        highest_phi, wins_phi = weights.pool(phi, other_phi)
        highest_g, wins_g = weights.pool(g, other_g)
        store(
          (highest_phi, pooled_phi),
          (highest_g + weights.bias_g, pooled_g),
          (wins_phi, dsum),
          (wins_g, dg),
        )
        keep(weights.affinity(tile, pooled_phi, work.joints), affinity)
        dtotal = phi
        (values,) = multiply([(dtile, transpose(weights.out))])
        store((values, dtotal))
        (values,) = multiply([(affinity, pooled_g)])
        keep(values, total)
        (values,) = multiply([(transpose(affinity), dtotal)])
        keep(values * widen(dg), dg)
        (values,) = multiply([(dtotal, transpose(pooled_g))])
        values = jnp.where(widen(affinity) > 0, values, 0)
        dbias += jnp.sum(values, axis=1)
        daffinity = g
        store((values, daffinity))
        (values,) = multiply([(transpose(daffinity), ones)])
        values *= widen(dsum)
        store((values, dsum), (values * weights.weight / work.joints, dphi))
        plgpu.barrier_arrive(made)
        plgpu.wgmma(dtheta, transpose(daffinity), tile)
        halves = phi, affinity
        for k, half in enumerate(halves):
          (values,) = multiply(
            [
              (dphi, transpose(weights.phi[k])),
              (dg, transpose(weights.g[k])),
              (daffinity, _half(weights.theta, k)),
            ]
          )
          keep(values, half)
        plgpu.commit_smem()
        for k, half in enumerate(halves):
          work.store(half, dx, step, k * INNER)
        return dbias

      dbias = work.run(load, compute, jnp.zeros(ROWS, jnp.float32))
      plgpu.barrier_wait(used)
      return dtheta[...], dbias

    def by_weights(dphi_kernel, dg_kernel, dout, dbias_g):
      def compute(step, carry):
        weights = _Weights(matrices, vectors)
        slot = work.slot(step)
        total, dsum, dg = (places.at[weights.zero + k] for k in (5, 6, 8))
        plgpu.barrier_wait(full.at[slot])
        plgpu.barrier_wait(made)
        plgpu.wgmma(dphi_kernel, transpose(tiles.at[slot]), dsum)
        plgpu.wgmma(dg_kernel, transpose(tiles.at[slot]), dg)
        plgpu.wgmma(dout, transpose(total), dtiles.at[slot])
        # The sum over rows counts, and a permutation does not change it.
        plgpu.wgmma(dbias_g, weights.swap, dg)
        plgpu.wgmma_wait(0)
        plgpu.barrier_arrive(used)
        return carry

      lax.fori_loop(jnp.int32(0), work.count, compute, ())
      return dphi_kernel[...], dg_kernel[...], dout[...], dbias_g[...]

    @pl.when(lax.axis_index('group') == 0)
    def _():
      dtheta, dbias = pl.run_scoped(by_nodes, accumulator(ROWS, CHANNELS))
      sums[192] = jnp.sum(dtheta, axis=0)
      sums[194, 0] = jnp.sum(dbias)
      plgpu.wait_smem_to_gmem(0)

    @pl.when(lax.axis_index('group') == 1)
    def _():
      dphi, dg, dout, dbias_g = pl.run_scoped(
        by_weights,
        accumulator(CHANNELS, INNER),
        accumulator(CHANNELS, INNER),
        accumulator(INNER, CHANNELS),
        accumulator(ROWS, INNER),
      )
      sums[:128, :INNER] = dphi
      sums[:128, INNER:] = dg
      sums[128:192] = dout
      sums[193, :INNER] = jnp.sum(dbias_g, axis=0)
      weights = _Weights(matrices, vectors)
      dweight = sum(
        jnp.sum(dphi[64*k:64*k+64] * widen(weights.phi[k]), axis=0) for k in range(2)
      )
      sums[193, INNER:] = dweight

  tile = shared(work.slots, ROWS, CHANNELS)
  dx, sums = work.call(
    differentiate,
    (
      jax.ShapeDtypeStruct(nodes.shape, x.dtype),
      jax.ShapeDtypeStruct((work.workers, 195, CHANNELS), jnp.float32),
    ),
    tile,
    tile,
    shared(10, ROWS, INNER),
    plgpu.Barrier(num_arrivals=6),
    plgpu.Barrier(num_arrivals=2 * work.tile_poses, num_barriers=work.slots),
    plgpu.Barrier(num_arrivals=1),
    plgpu.Barrier(num_arrivals=1),
    shared(5, ROWS, CHANNELS),
    plgpu.SMEM((1, 2, CHANNELS), jnp.bfloat16),
  )(nodes, grads, weights)
  sums = sums.sum(axis=0)
  by_sum = sums[:128, :INNER] / work.joints
  dkernel = jnp.concatenate([by_sum * weight, sums[:128, INNER:]], axis=1)
  return (
    dx.reshape(x.shape),
    dkernel,
    sums[192] / work.joints,
    sums[193, INNER:] / work.joints,
    sums[194, 0] / work.joints,
    sums[193, :INNER],
    sums[128:192],
  )


class _Weights:
  """The weights of the layer on a multiprocessor.

  Attributes:
    zero: Zero, but the compiler cannot know. Added to the number of a place, it
      keeps it from computing all places in advance, which takes too many
      registers.
    phi: The halves of the kernel of phi, each `[64, H]`.
    g: The halves of the kernel of g.
    theta: The vector theta / J, in every row, `[64, C]`.
    out: The kernel after the sum over nodes, `[H, C]`.
    weight_rows: The weights of phi, w / J, in every row, `[64, H]`.
    swap: The permutation that swaps the rows of each pair, `[64, 64]`.
  """

  def __init__(self, matrices: Ref, vectors: Ref):
    self._vectors = vectors.at[0]
    self.zero = self._scalar(1).astype(jnp.int32)
    upper, lower, self.theta, self.out, last = (
      matrices.at[self.zero + k] for k in range(5)
    )
    self.phi, self.g = (
      (_half(upper, k), _half(lower, k)) for k in range(2)
    )
    self.weight_rows, self.swap = _half(last, 0), _half(last, 1)

  def _scalar(self, k: int) -> Array:
    """Returns the bias of affinities divided by J, or zero."""
    return self._vectors[1, k].astype(jnp.float32)

  @property
  def weight(self) -> Array:
    """The weights of phi, w, in every row."""
    return _rows(self._vectors[0, :INNER])

  @property
  def bias_g(self) -> Array:
    """The bias of g, in every row."""
    return _rows(self._vectors[0, INNER:])

  def map_nodes(self, tile: Ref) -> list[Array]:
    """Computes phi and g, without their biases: `[64, C]` -> `[64, H]` each."""
    return multiply(
      *(
        [(_half(tile, k), part[k]) for k in range(2)]
        for part in (self.phi, self.g)
      )
    )

  def swap_pairs(self, *tiles: Ref) -> list[Array]:
    """Swaps the rows of each pair."""
    return multiply(*([(self.swap, tile)] for tile in tiles))

  def pool(self, own: Ref, other: Array) -> tuple[Array, Array]:
    """Returns the maximum of each row and its other, and a factor.

    It is 2 if the row has the maximum, and else 0, as the gradient by a pair is
    twice that by each of its rows. Of equal ones, the first has it.
    """
    values = widen(own)
    row, column = _indices()
    first = jnp.sum(jnp.where(row < column, widen(self.swap), 0), axis=1)
    wins = (values > other) | ((values == other) & (columns(first, INNER) > 0))
    return jnp.maximum(values, other), jnp.where(wins, 2.0, 0.0)

  def affinity(self, tile: Ref, phi: Ref, joints: int) -> Array:
    """Computes the affinities of joints (rows) to pooled nodes, `[64, 64]`."""
    (logits,) = multiply(
      [(tile, transpose(self.theta)), (self.weight_rows, transpose(phi))]
    )
    row, column = _indices()
    bits = joints.bit_length() - 1
    same_pose = (row >> bits) == (column >> bits)
    return jnp.where(same_pose, jnp.maximum(logits + self._scalar(0), 0), 0)


def _stack_weights(
  kernel: Array,
  theta: Array,
  weight: Array,
  bias: Array,
  bias_g: Array,
  out: Array,
  groups: Groups,
) -> Array:
  """Stacks the matrices of `_Weights`, and its vectors: `[6, 64, C]`.

  A single operation prepares all. And the GPU can only copy what is aligned,
  which parameters, as parts of one array, are not.
  """
  pairs, joints = np.array(groups), 2 * len(groups)
  swap = np.zeros((joints, joints), np.float32)
  swap[pairs, pairs[:, ::-1]] = 1
  swap = np.kron(np.eye(ROWS // joints, dtype=np.float32), swap)
  scaled = jnp.broadcast_to(weight / joints, (ROWS, INNER))
  scalars = jnp.pad(bias[None] / joints, (0, CHANNELS - 1))
  vectors = jnp.stack([jnp.concatenate([weight, bias_g]), scalars])
  blocks = (
    kernel[:ROWS],
    kernel[ROWS:],
    jnp.broadcast_to(theta / joints, (ROWS, CHANNELS)),
    out,
    jnp.concatenate([scaled, swap], axis=1),
    jnp.pad(vectors, ((0, ROWS - 2), (0, 0))),
  )
  return jnp.stack(blocks).astype(jnp.bfloat16)


def _load_weights(source: Ref, matrices: Ref, vectors: Ref, ready: Ref) -> None:
  """Loads what `_stack_weights` has stacked."""
  load_once(
    ready,
    (source.at[pl.ds(0, 5)], matrices),
    (source.at[pl.ds(5, 1), pl.ds(0, 2)], vectors),
  )


def _half(tile: Ref, k: int) -> Ref:
  """Returns the left or right half of `[64, C]`."""
  return tile.at[:, pl.ds(k * INNER, INNER)]


def _rows(values: Array) -> Array:
  """Repeats a row: `[H]` -> `[64, H]`."""
  values = values.astype(jnp.float32)
  return lax.broadcast_in_dim(values, (ROWS, INNER), (1,))


def _indices() -> list[Array]:
  """Returns the numbers of the row and column of each element, `[64, 64]`."""
  return [
    plgpu.broadcasted_iota(
      jnp.int32, (ROWS, ROWS), axis, layout=plgpu.Layout.WGMMA
    )
    for axis in range(2)
  ]
