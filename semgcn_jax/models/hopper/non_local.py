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
  matrices = _matrices(kernel, theta, weight, out, groups)
  vectors = _vectors(weight, bias, bias_g, groups)

  def respond(x, matrices, vectors, y, *scratch):
    tiles, places, ready, full, *on_chip = scratch
    load_once(ready, *zip((matrices, vectors), on_chip, strict=True))
    first = 2 * lax.axis_index('group')
    phi, g = places.at[first], places.at[first + 1]

    def load(step):
      work.load(x, tiles, full, step)

    def compute(step, carry):
      weights = _Weights(*on_chip)
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
    plgpu.Barrier(num_arrivals=len(matrices) + len(vectors)),
    plgpu.Barrier(num_arrivals=work.tile_poses, num_barriers=work.slots),
    shared(*matrices.shape),
    plgpu.SMEM(vectors.shape, vectors.dtype),
  )(nodes, matrices, vectors)
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
  matrices = _matrices(kernel, theta, weight, out, groups)
  vectors = _vectors(weight, bias, bias_g, groups)

  def differentiate(x, dy, matrices, vectors, dx, sums, *scratch):
    tiles, dtiles, places, ready, full, made, used, *on_chip = scratch
    load_once(ready, *zip((matrices, vectors), on_chip, strict=True))
    sums = sums.at[work.worker]

    def load(step):
      work.load(x, tiles, full, step)
      work.load(dy, dtiles, full, step)

    def by_nodes(dtheta):
      store((jnp.ones((ROWS, INNER)), places.at[9]))

      def compute(step, dbias):
        weights = _Weights(*on_chip)
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
        store((values, dsum), (values * weights.weight, dphi))
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
        weights = _Weights(*on_chip)
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
      sums[193, INNER:] = dbias
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

  tile = shared(work.slots, ROWS, CHANNELS)
  dx, sums = work.call(
    differentiate,
    (
      jax.ShapeDtypeStruct(nodes.shape, x.dtype),
      jax.ShapeDtypeStruct((work.workers, 194, CHANNELS), jnp.float32),
    ),
    tile,
    tile,
    shared(10, ROWS, INNER),
    plgpu.Barrier(num_arrivals=len(matrices) + len(vectors)),
    plgpu.Barrier(num_arrivals=2 * work.tile_poses, num_barriers=work.slots),
    plgpu.Barrier(num_arrivals=1),
    plgpu.Barrier(num_arrivals=1),
    shared(*matrices.shape),
    plgpu.SMEM(vectors.shape, vectors.dtype),
  )(nodes, grads, matrices, vectors)
  sums = sums.sum(axis=0)
  by_sum = sums[:128, :INNER] / work.joints
  dkernel = jnp.concatenate([by_sum * weight, sums[:128, INNER:]], axis=1)
  return (
    dx.reshape(x.shape),
    dkernel,
    sums[192] / work.joints,
    jnp.sum(kernel[:, :INNER] * by_sum, axis=0),
    sums[193, INNER:].sum() / work.joints,
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
    self._vectors = vectors
    self.zero = vectors[3, 0].astype(jnp.int32)
    upper, lower, self.theta, self.out, last = (
      matrices.at[self.zero + k] for k in range(5)
    )
    self.phi, self.g = (
      (_half(upper, k), _half(lower, k)) for k in range(2)
    )
    self.weight_rows, self.swap = _half(last, 0), _half(last, 1)

  @property
  def weight(self) -> Array:
    """The weights of phi, w / J, in every row."""
    return _rows(self._vectors[0])

  @property
  def bias_g(self) -> Array:
    """The bias of g, in every row."""
    return _rows(self._vectors[1])

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
    bias = self._vectors[2, 0]
    return jnp.where(same_pose, jnp.maximum(logits + bias, 0), 0)


def _matrices(kernel, theta, weight, out, groups):
  """Stacks what `_Weights` needs: `[5, 64, C]`."""
  pairs, joints = np.array(groups), 2 * len(groups)
  swap = np.zeros((joints, joints), np.float32)
  swap[pairs, pairs[:, ::-1]] = 1
  swap = np.kron(np.eye(ROWS // joints, dtype=np.float32), swap)
  theta = jnp.broadcast_to(theta / joints, (ROWS, CHANNELS))
  weight = jnp.broadcast_to(weight / joints, (ROWS, INNER))
  last = jnp.concatenate([weight, swap], axis=1)
  matrices = jnp.stack([kernel[:ROWS], kernel[ROWS:], theta, out, last])
  return matrices.astype(jnp.bfloat16)


def _vectors(weight, bias, bias_g, groups):
  """Stacks what `_Weights` needs: `[4, H]`."""
  joints = 2 * len(groups)
  bias = jnp.broadcast_to(bias / joints, INNER)
  return jnp.stack([weight / joints, bias_g, bias, jnp.zeros(INNER)])


def _half(tile: Ref, k: int) -> Ref:
  """Returns the left or right half of `[64, C]`."""
  return tile.at[:, pl.ds(k * INNER, INNER)]


def _rows(values: Array) -> Array:
  """Repeats a row: `[H]` -> `[64, H]`."""
  return lax.broadcast_in_dim(values, (ROWS, INNER), (1,))


def _indices() -> list[Array]:
  """Returns the numbers of the row and column of each element, `[64, 64]`."""
  return [
    plgpu.broadcasted_iota(
      jnp.int32, (ROWS, ROWS), axis, layout=plgpu.Layout.WGMMA
    )
    for axis in range(2)
  ]
