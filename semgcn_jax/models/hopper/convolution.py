"""Kernels of the semantic graph convolution.

XLA makes seven products of a convolution and its gradient, and each of them
reads and writes the memory of the GPU. Here a convolution reads x and writes y,
and its gradient reads x and dy twice and writes dx; the rest stays on the chip.

A matrix that repeats the adjacency for each pose of a tile mixes the joints.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from semgcn_jax.models.functional import split_adjacency
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
  write_all,
)

MIN_POSES = 64  # Fewer were not measured.


def fits(x: Array, kernel: Array, adjacency: Array, bias: Array) -> bool:
  """Returns whether the kernels take the arguments of `forward`."""
  return (
    takes_nodes(x, MIN_POSES)
    and kernel.shape == (2, CHANNELS, CHANNELS)
    and adjacency.ndim == 2
    and kernel.dtype == adjacency.dtype == bias.dtype == jnp.float32
  )


def forward(x: Array, kernel: Array, adjacency: Array, bias: Array) -> Array:
  """Computes (A * I) X W0 + (A * (1 - I)) X W1 + b.

  `[J, ..., C]` bfloat16, `[2, C, D]`, `[J, J]`, `[D]` -> `[J, ..., D]`
  bfloat16.
  """
  nodes = flat(x)
  work = Work.share_out(x, warpgroups=3, stages=3)
  # A copy, as a part of the vector of all parameters may not be aligned.
  aligned = jnp.broadcast_to(bias.astype(x.dtype), (2, CHANNELS))

  def convolve_tiles(x, kernel, mixing, bias, y, *scratch):
    tiles, kernels, mixings, biases, ready, full = scratch
    bias = bias.at[pl.ds(0, 1)]
    load_once(ready, (kernel, kernels), (mixing, mixings), (bias, biases))
    own = _own_factors(mixings)

    def load(step):
      work.load(x, tiles, full, step)

    def compute(step, carry):
      tile = tiles.at[work.slot(step)]  # X, then X W1, then the result.
      plgpu.barrier_wait(full.at[work.slot(step)])
      itself, neighbors = multiply(
        [(tile, kernels.at[0])], [(tile, kernels.at[1])]
      )
      work.load_ahead(load, step)
      plgpu.commit_smem()
      write_all((neighbors, tile))
      (mixed,) = multiply([(mixings.at[1], tile)])
      plgpu.commit_smem()
      mixed += rows(biases[0])
      write_all((columns(own, CHANNELS) * itself + mixed, tile))
      work.store(tile, y, step)
      return carry

    work.run(load, compute, ())
    plgpu.wait_smem_to_gmem(0)

  y = work.call(
    convolve_tiles,
    jax.ShapeDtypeStruct(nodes.shape, x.dtype),
    shared(work.slots, ROWS, CHANNELS),
    shared(2, CHANNELS, CHANNELS),
    shared(2, ROWS, ROWS),
    plgpu.SMEM((1, CHANNELS), x.dtype),
    plgpu.Barrier(num_arrivals=5),  # One per matrix or vector loaded.
    plgpu.Barrier(num_arrivals=work.tile_poses, num_barriers=work.slots),
  )(nodes, kernel.astype(x.dtype), _mixing(adjacency), aligned)
  return y.reshape(x.shape)


def backward(
  x: Array, kernel: Array, adjacency: Array, bias: Array, dy: Array
) -> tuple[Array, Array, Array, Array]:
  """Computes the gradients of `forward`, given dy, that by its result."""
  nodes, grads = flat(x), flat(dy)
  dx, dadjacency = _by_nodes(nodes, kernel, adjacency, grads)
  dkernel = _by_weights(nodes, adjacency, grads)
  dbias = grads.sum(axis=(0, 1), dtype=jnp.float32)
  return dx.reshape(x.shape), dkernel, dadjacency, dbias


def _by_nodes(x, kernel, adjacency, dy):
  """Differentiates by the nodes, which is a convolution, and the adjacency."""
  work = Work.share_out(x, warpgroups=2, stages=2)

  def differentiate_by_nodes(x, dy, kernel, mixing, dx, pairs, *scratch):
    nodes, grads, kernels, mixings, ready, full = scratch
    load_once(ready, (kernel, kernels), (mixing, mixings))
    own = _own_factors(mixings)

    def load(step):
      work.load(x, nodes, full, step)
      work.load(dy, grads, full, step)

    def sum_pairs(total):
      def compute(step, diagonal):
        # The tile is dy, then dy W1^T, then the result.
        node, tile = (z.at[work.slot(step)] for z in (nodes, grads))
        plgpu.barrier_wait(full.at[work.slot(step)])
        itself, neighbors = multiply(
          [(tile, transpose(kernels.at[0]))], [(tile, transpose(kernels.at[1]))]
        )
        work.load_ahead(load, step)
        diagonal += jnp.sum(itself * widen(node), axis=1)
        plgpu.commit_smem()
        write_all((neighbors, tile))
        plgpu.wgmma(total, tile, transpose(node))
        (mixed,) = multiply([(transpose(mixings.at[1]), tile)])
        plgpu.commit_smem()
        write_all((columns(own, CHANNELS) * itself + mixed, tile))
        work.store(tile, dx, step)
        return diagonal

      diagonal = work.run(load, compute, jnp.zeros(ROWS, jnp.float32))
      # Joints are not paired with themselves: the diagonal holds the gradient
      # by A * I instead.
      row, column = indices()
      return jnp.where(row == column, columns(diagonal, ROWS), total[...])

    pairs[work.worker] = pl.run_scoped(sum_pairs, accumulator(ROWS, ROWS))
    plgpu.wait_smem_to_gmem(0)

  dx, pairs = work.call(
    differentiate_by_nodes,
    (
      jax.ShapeDtypeStruct(x.shape, x.dtype),
      jax.ShapeDtypeStruct((work.workers, ROWS, ROWS), jnp.float32),
    ),
    shared(work.slots, ROWS, CHANNELS),
    shared(work.slots, ROWS, CHANNELS),
    shared(2, CHANNELS, CHANNELS),
    shared(2, ROWS, ROWS),
    plgpu.Barrier(num_arrivals=4),  # One per matrix loaded.
    plgpu.Barrier(num_arrivals=2 * work.tile_poses, num_barriers=work.slots),
  )(x, dy, kernel.astype(x.dtype), _mixing(adjacency))
  pairs = pairs.reshape(-1, *(work.tile_poses, len(x)) * 2)
  return dx, jnp.einsum('npipj->ij', pairs)


def _by_weights(x, adjacency, dy):
  """Differentiates by W0, in one warpgroup, and by W1, in the other."""
  work = Work.share_out(x, warpgroups=2, stages=4, together=True)

  def differentiate_by_weights(x, dy, mixing, dkernel, *scratch):
    nodes, grads, mixed, mixings, ready, full, empty = scratch
    group = lax.axis_index('group')
    load_once(ready, (mixing, mixings))

    def load(step):
      @pl.when(group == 0)
      def _():
        work.load(x, nodes, full, step)
        work.load(dy, grads, full, step)

    def sum_products(total):
      def compute(step, carry):
        slot = work.slot(step)
        plgpu.barrier_wait(full.at[slot])
        # Reading the product waits for all before it, so for the last sum, too.
        (values,) = multiply([(mixings.at[group], nodes.at[slot])])

        @pl.when(step >= 1)
        def _():
          before = empty.at[work.slot(step - 1)]
          plgpu.barrier_arrive(before)
          # The first warpgroup loads, when neither needs the tile any more.
          pl.when(group == 0)(lambda: plgpu.barrier_wait(before))

        work.load_ahead(load, step)
        plgpu.commit_smem()
        write_all((values, mixed.at[group]))
        plgpu.wgmma(total, transpose(mixed.at[group]), grads.at[slot])
        return carry

      work.run(load, compute, ())
      return total[...]

    dkernel[work.worker, group] = pl.run_scoped(
      sum_products, accumulator(CHANNELS, CHANNELS)
    )

  shape = (work.workers, 2, CHANNELS, CHANNELS)
  dkernels = work.call(
    differentiate_by_weights,
    jax.ShapeDtypeStruct(shape, jnp.float32),
    shared(work.slots, ROWS, CHANNELS),
    shared(work.slots, ROWS, CHANNELS),
    shared(2, ROWS, CHANNELS),
    shared(2, ROWS, ROWS),
    plgpu.Barrier(num_arrivals=2),  # One per matrix loaded.
    plgpu.Barrier(num_arrivals=2 * work.tile_poses, num_barriers=work.slots),
    plgpu.Barrier(num_arrivals=2, num_barriers=work.slots),
  )(x, dy, _mixing(adjacency))
  return dkernels.sum(axis=0)


def _mixing(adjacency: Array) -> Array:
  """Repeats A * I and A * (1 - I) for the poses of a tile: `[2, 64, 64]`."""
  each_pose = np.eye(ROWS // len(adjacency))
  return jnp.kron(each_pose, split_adjacency(adjacency)).astype(jnp.bfloat16)


def _own_factors(mixings: Ref) -> Array:
  """Returns the factors A * I of the rows of a tile, `[64]`."""
  return jnp.sum(mixings[0].astype(jnp.float32), axis=1)
