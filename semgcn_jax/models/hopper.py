"""Kernels of the semantic graph convolution for NVIDIA's Hopper GPUs.

XLA makes seven products of a convolution and its gradient, and each of them
reads and writes the memory of the GPU. Here a convolution reads x and writes y,
and its gradient reads x and dy twice and writes dx; the rest stays on the chip.

A tile has the rows of 64 / J poses, pose by pose, `[64, C]`. So a matrix that
repeats the adjacency for each pose mixes the joints. Activations are bfloat16,
sums are float32. The kernels are written in Pallas for Mosaic GPU, which can
also interpret them, without a GPU.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from semgcn_jax.models.functional import split_adjacency

Array = jax.Array
Ref = Any  # An array in the memory of the GPU or of a multiprocessor.

ROWS = 64  # The rows of a tile: as many as a warpgroup multiplies at once.
CHANNELS = 128
MIN_POSES = 1024  # With fewer, XLA is as fast.
# The multiprocessors of the GPU, 132 on an H100 or H200.
PROCESSORS = getattr(jax.local_devices()[0], 'core_count', 132)


def fits(x: Array, kernel: Array) -> bool:
  """Returns whether the kernels take x, `[J, ..., C]`, and `[2, C, D]`."""
  joints, poses = len(x), math.prod(x.shape[1:-1])
  return (
    x.dtype == jnp.bfloat16
    and (x.shape[-1], *kernel.shape[1:]) == (CHANNELS,) * 3
    and joints in (8, 16, 32, 64)
    and poses % (ROWS // joints) == 0
    and poses >= MIN_POSES
  )


def convolve(x: Array, kernel: Array, adjacency: Array) -> Array:
  """Computes (A * I) X W0 + (A * (1 - I)) X W1.

  `[J, ..., C]` bfloat16, `[2, C, D]`, `[J, J]` -> `[J, ..., D]` bfloat16.
  """
  nodes = _flat(x)
  work = _Work.share_out(x, groups=3, stages=3)

  def convolve_tiles(x, kernel, mixing, y, *scratch):
    tiles, kernels, mixings, ready, full = scratch
    _load_once(ready, (kernel, kernels), (mixing, mixings))
    own = _own_factors(mixings)

    def load(step):
      work.load(x, tiles, full, step)

    def compute(step, carry):
      tile = tiles.at[work.slot(step)]  # X, then X W1, then the result.
      plgpu.barrier_wait(full.at[work.slot(step)])
      itself, neighbors = _multiply(
        (tile, kernels.at[0]), (tile, kernels.at[1])
      )
      work.load_ahead(load, step)
      _store(neighbors, tile)
      (mixed,) = _multiply((mixings.at[1], tile))
      _store(_columns(own, CHANNELS) * itself + mixed, tile)
      work.store(tile, y, step)
      return carry

    work.run(load, compute, ())
    plgpu.wait_smem_to_gmem(0)

  y = work.call(
    convolve_tiles,
    jax.ShapeDtypeStruct(nodes.shape, x.dtype),
    _shared(work.slots, ROWS, CHANNELS),
    _shared(2, CHANNELS, CHANNELS),
    _shared(2, ROWS, ROWS),
    plgpu.Barrier(num_arrivals=4),  # One per matrix loaded.
    plgpu.Barrier(num_arrivals=work.tile_poses, num_barriers=work.slots),
  )(nodes, kernel.astype(x.dtype), _mixing(adjacency))
  return y.reshape(x.shape)


def differentiate(
  x: Array, kernel: Array, adjacency: Array, dy: Array
) -> tuple[Array, Array, Array]:
  """Computes the gradients of `convolve`, given that by its result."""
  nodes, grads = _flat(x), _flat(dy)
  dx, dadjacency = _by_nodes(nodes, kernel, adjacency, grads)
  dkernel = _by_weights(nodes, adjacency, grads)
  return dx.reshape(x.shape), dkernel.astype(kernel.dtype), dadjacency


def _by_nodes(x, kernel, adjacency, dy):
  """Differentiates by the nodes, which is a convolution, and the adjacency."""
  work = _Work.share_out(x, groups=2, stages=2)

  def differentiate_by_nodes(x, dy, kernel, mixing, dx, pairs, *scratch):
    nodes, grads, kernels, mixings, ready, full = scratch
    _load_once(ready, (kernel, kernels), (mixing, mixings))
    own = _own_factors(mixings)

    def load(step):
      work.load(x, nodes, full, step)
      work.load(dy, grads, full, step)

    def sum_pairs(total):
      def compute(step, diagonal):
        # The tile is dy, then dy W1^T, then the result.
        node, tile = (z.at[work.slot(step)] for z in (nodes, grads))
        plgpu.barrier_wait(full.at[work.slot(step)])
        itself, neighbors = _multiply(
          (tile, _transpose(kernels.at[0])), (tile, _transpose(kernels.at[1]))
        )
        work.load_ahead(load, step)
        diagonal += jnp.sum(itself * node[...].astype(jnp.float32), axis=1)
        _store(neighbors, tile)
        plgpu.wgmma(total, tile, _transpose(node))
        (mixed,) = _multiply((_transpose(mixings.at[1]), tile))
        _store(_columns(own, CHANNELS) * itself + mixed, tile)
        work.store(tile, dx, step)
        return diagonal

      diagonal = work.run(load, compute, jnp.zeros(ROWS, jnp.float32))
      # Joints are not paired with themselves: the diagonal holds the gradient
      # by A * I instead.
      row, column = (
        plgpu.broadcasted_iota(
          jnp.int32, total.shape, axis, layout=plgpu.Layout.WGMMA
        )
        for axis in range(2)
      )
      return jnp.where(row == column, _columns(diagonal, ROWS), total[...])

    accumulator = plgpu.WGMMAAccumulatorRef((ROWS, ROWS), jnp.float32)
    pairs[work.worker] = pl.run_scoped(sum_pairs, accumulator)
    plgpu.wait_smem_to_gmem(0)

  dx, pairs = work.call(
    differentiate_by_nodes,
    (
      jax.ShapeDtypeStruct(x.shape, x.dtype),
      jax.ShapeDtypeStruct((work.workers, ROWS, ROWS), jnp.float32),
    ),
    _shared(work.slots, ROWS, CHANNELS),
    _shared(work.slots, ROWS, CHANNELS),
    _shared(2, CHANNELS, CHANNELS),
    _shared(2, ROWS, ROWS),
    plgpu.Barrier(num_arrivals=4),  # One per matrix loaded.
    plgpu.Barrier(num_arrivals=2 * work.tile_poses, num_barriers=work.slots),
  )(x, dy, kernel.astype(x.dtype), _mixing(adjacency))
  pairs = pairs.reshape(-1, *(work.tile_poses, len(x)) * 2)
  return dx, jnp.einsum('npipj->ij', pairs)


def _by_weights(x, adjacency, dy):
  """Differentiates by W0, in one warpgroup, and by W1, in the other."""
  work = _Work.share_out(x, groups=2, stages=4, together=True)

  def differentiate_by_weights(x, dy, mixing, dkernel, *scratch):
    nodes, grads, mixed, mixings, ready, full, empty = scratch
    group = lax.axis_index('group')
    _load_once(ready, (mixing, mixings))

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
        (values,) = _multiply((mixings.at[group], nodes.at[slot]))

        @pl.when(step >= 1)
        def _():
          before = empty.at[work.slot(step - 1)]
          plgpu.barrier_arrive(before)
          # The first warpgroup loads, when neither needs the tile any more.
          pl.when(group == 0)(lambda: plgpu.barrier_wait(before))

        work.load_ahead(load, step)
        _store(values, mixed.at[group])
        plgpu.wgmma(total, _transpose(mixed.at[group]), grads.at[slot])
        return carry

      work.run(load, compute, ())
      return total[...]

    accumulator = plgpu.WGMMAAccumulatorRef((CHANNELS, CHANNELS), jnp.float32)
    dkernel[work.worker, group] = pl.run_scoped(sum_products, accumulator)

  shape = (work.workers, 2, CHANNELS, CHANNELS)
  dkernels = work.call(
    differentiate_by_weights,
    jax.ShapeDtypeStruct(shape, jnp.float32),
    _shared(work.slots, ROWS, CHANNELS),
    _shared(work.slots, ROWS, CHANNELS),
    _shared(2, ROWS, CHANNELS),
    _shared(2, ROWS, ROWS),
    plgpu.Barrier(num_arrivals=2),  # One per matrix loaded.
    plgpu.Barrier(num_arrivals=2 * work.tile_poses, num_barriers=work.slots),
    plgpu.Barrier(num_arrivals=2, num_barriers=work.slots),
  )(x, dy, _mixing(adjacency))
  return dkernels.sum(axis=0)


@dataclasses.dataclass(frozen=True)
class _Work:
  """Shares the tiles out over workers, each of which loads ahead.

  Attributes:
    joints: The number of joints, J.
    tile_poses: The number of poses of a tile.
    tiles: The number of tiles.
    blocks: The number of multiprocessors.
    groups: The warpgroups of a multiprocessor.
    workers: The number of workers: multiprocessors, or warpgroups.
    stages: The tiles that a worker has on the chip at a time.
    slots: The places for tiles on a multiprocessor.
  """

  joints: int
  tile_poses: int
  tiles: int
  blocks: int
  groups: int
  workers: int
  stages: int
  slots: int

  @classmethod
  def share_out(
    cls, x: Array, *, groups: int, stages: int, together: bool = False
  ) -> '_Work':
    """Shares out x, `[J, ..., C]`.

    Args:
      groups: See the attribute.
      stages: See the attribute.
      together: Whether a multiprocessor is one worker, instead of one for each
        warpgroup.
    """
    tiles = x.size // (ROWS * CHANNELS)
    blocks, local = min(PROCESSORS, tiles), 1 if together else groups
    shape = len(x), ROWS // len(x), tiles, blocks, groups
    return cls(*shape, local * blocks, stages, local * stages)

  @property
  def together(self) -> bool:
    """Whether a multiprocessor is one worker."""
    return self.workers == self.blocks

  @property
  def worker(self) -> Any:
    """The number of this worker."""
    block, group = (lax.axis_index(name) for name in ('block', 'group'))
    return block if self.together else group * self.blocks + block

  @property
  def count(self) -> Any:
    """The number of tiles of this worker."""
    return (self.tiles - self.worker + self.workers - 1) // self.workers

  def slot(self, step: Any) -> Any:
    """Returns the place on the chip of a tile of this worker."""
    first = 0 if self.together else lax.axis_index('group') * self.stages
    return first + lax.rem(jnp.int32(step), jnp.int32(self.stages))

  def load(self, source: Ref, tiles: Ref, full: Ref, step: Any) -> None:
    """Starts to load a tile from `[J, B, C]`."""
    slot = self.slot(step)
    for rows, pose in self._poses(step):
      target = tiles.at[slot, rows]
      plgpu.copy_gmem_to_smem(source.at[:, pose, :], target, full.at[slot])

  def store(self, tile: Ref, target: Ref, step: Any) -> None:
    """Starts to store a tile to `[J, B, C]`."""
    for rows, pose in self._poses(step):
      plgpu.copy_smem_to_gmem(tile.at[rows, :], target.at[:, pose, :])

  def _poses(self, step: Any) -> list[tuple[Any, Any]]:
    """Lists the rows and the numbers of the poses of a tile."""
    first = (self.worker + step * self.workers) * self.tile_poses
    return [
      (pl.ds(pose * self.joints, self.joints), first + pose)
      for pose in range(self.tile_poses)
    ]

  def load_ahead(self, load: Callable[[Any], None], step: Any) -> None:
    """Loads to the place of the tile before this one.

    Nobody reads that any more, but its result may still be on its way.
    """
    plgpu.wait_smem_to_gmem(0, wait_read_only=True)
    ahead = step - 1 + self.stages
    pl.when((step >= 1) & (ahead < self.count))(lambda: load(ahead))

  def run(self, load: Callable, compute: Callable, carry: Any) -> Any:
    """Loads the first tiles, and computes all from a carry, as `fori_loop`."""
    for step in range(self.stages):
      pl.when(step < self.count)(functools.partial(load, step))
    return lax.fori_loop(jnp.int32(0), self.count, compute, carry)

  def call(self, body: Callable, results: Any, *scratch: Any) -> Callable:
    """Makes a kernel of a function of arrays, results and scratch."""
    return plgpu.kernel(
      body,
      out_type=results,
      scratch_types=scratch,
      grid=(self.blocks,),
      grid_names=('block',),
      num_threads=self.groups,
      thread_name='group',
      compiler_params=plgpu.CompilerParams(
        lowering_semantics=plgpu.LoweringSemantics.Warpgroup
      ),
    )


def _flat(x: Array) -> Array:
  """Merges the dimensions between: `[J, ..., C]` -> `[J, B, C]`."""
  return x.reshape(len(x), -1, CHANNELS)


def _mixing(adjacency: Array) -> Array:
  """Repeats A * I and A * (1 - I) for the poses of a tile: `[2, 64, 64]`."""
  parts = jnp.stack(split_adjacency(adjacency))
  return jnp.kron(np.eye(ROWS // len(adjacency)), parts).astype(jnp.bfloat16)


def _shared(*shape: int) -> Any:
  """Places an array in shared memory, as the matrix units read it."""
  transforms = (plgpu.TilingTransform((8, 64)), plgpu.SwizzleTransform(128))
  return plgpu.SMEM(shape, jnp.bfloat16, transforms=transforms)


def _load_once(ready: Ref, *pairs: tuple[Ref, Ref]) -> None:
  """Loads pairs of matrices that all tiles need."""

  @pl.when(lax.axis_index('group') == 0)
  def _():
    for source, target in pairs:
      for k in range(2):
        plgpu.copy_gmem_to_smem(source.at[k], target.at[k], ready)

  plgpu.barrier_wait(ready)


def _own_factors(mixings: Ref) -> Array:
  """Returns the factors A * I of the rows of a tile, `[64]`."""
  return jnp.sum(mixings[0].astype(jnp.float32), axis=1)


def _columns(values: Array, number: int) -> Array:
  """Repeats a column, `[64]`."""
  return lax.broadcast_in_dim(values, (ROWS, number), (0,))


def _transpose(matrix: Ref) -> Ref:
  return matrix.transpose((1, 0))


def _multiply(*pairs: tuple[Ref, Ref]) -> list[Array]:
  """Multiplies pairs of matrices in shared memory, into float32."""

  def multiply(*totals):
    for total, (a, b) in zip(totals, pairs, strict=True):
      plgpu.wgmma(total, a, b)
    return [total[...] for total in totals]

  shapes = [(a.shape[0], b.shape[1]) for a, b in pairs]
  accumulators = [
    plgpu.WGMMAAccumulatorRef(shape, jnp.float32) for shape in shapes
  ]
  return pl.run_scoped(multiply, *accumulators)


def _store(values: Array, tile: Ref) -> None:
  """Stores to shared memory, once every thread has read what was there."""
  plgpu.commit_smem()
  tile[...] = values.astype(tile.dtype)
  plgpu.commit_smem()
