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
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

Array = jax.Array
Ref = Any  # An array in the memory of the GPU or of a multiprocessor.

ROWS = 64  # The rows of a tile: as many as a warpgroup multiplies at once.
CHANNELS = 128
PROCESSORS = 132  # The multiprocessors of an H100 or H200.


def fits(x: Array, kernel: Array) -> bool:
  """Returns whether the kernels take x, `[J, ..., C]`, and `[2, C, D]`."""
  joints, poses = len(x), x.size // (len(x) * x.shape[-1])
  return (
    x.dtype == jnp.bfloat16
    and joints % 8 == 0
    and ROWS % joints == 0
    and poses % (ROWS // joints) == 0
    and kernel.shape[1:] == (CHANNELS, CHANNELS)
  )


def convolve(
  x: Array, kernel: Array, adjacency: Array, interpret: Any = None
) -> Array:
  """Computes (A * I) X W0 + (A * (1 - I)) X W1.

  Args:
    x: The nodes, `[J, ..., C]` bfloat16.
    kernel: W0 and W1, `[2, C, D]`.
    adjacency: The adjacency, `[J, J]`.
    interpret: The parameters of Pallas's interpreter; None needs a GPU.

  Returns:
    The nodes, `[J, ..., D]` bfloat16.
  """
  y = _convolve(x.reshape(len(x), -1, CHANNELS), kernel, adjacency, interpret)
  return y.reshape(x.shape)


def differentiate(
  x: Array, kernel: Array, adjacency: Array, dy: Array, interpret: Any = None
) -> tuple[Array, Array, Array]:
  """Computes the gradients of `convolve` by its arguments.

  Args:
    dy: The gradient by the result, `[J, ..., D]` bfloat16.
  """
  shape = x.shape
  x, dy = (nodes.reshape(len(x), -1, CHANNELS) for nodes in (x, dy))
  dx, dadjacency = _by_nodes(x, kernel, adjacency, dy, interpret)
  dkernel = _by_kernel(x, adjacency, dy, interpret)
  return dx.reshape(shape), dkernel, dadjacency


def _convolve(x, kernel, adjacency, interpret):
  work = _Work.of(x, groups=3, stages=3)

  def convolve_tiles(x, kernel, mixing, own, y, nodes, kernels, mixings, ready, full):
    _load_once(ready, (kernel, kernels), (mixing, mixings))
    factors = _columns(own)

    def load(step):
      slot = work.slot(step)
      work.load(x, nodes.at[slot], step, full.at[slot])

    def compute(step, carry):
      slot = work.slot(step)
      tile = nodes.at[slot]
      plgpu.barrier_wait(full.at[slot])
      itself, neighbors = _products(tile, kernels)
      _store(neighbors, tile)
      _store(factors * itself + _product(mixings, tile), tile)
      work.store(tile, y, step)
      # The tile before it has left its slot.
      plgpu.wait_smem_to_gmem(work.poses, wait_read_only=True)
      work.load_ahead(load, step)
      return carry

    work.run(load, compute, ())
    plgpu.wait_smem_to_gmem(0)

  return work.call(
    convolve_tiles,
    jax.ShapeDtypeStruct(x.shape, x.dtype),
    _smem(work.slots, ROWS, CHANNELS),
    _smem(2, CHANNELS, CHANNELS),
    _smem(ROWS, ROWS),
    plgpu.Barrier(num_arrivals=2),
    plgpu.Barrier(num_arrivals=work.poses, num_barriers=work.slots),
    interpret=interpret,
  )(x, kernel.astype(x.dtype), *_mixing(adjacency, work.poses))


def _by_nodes(x, kernel, adjacency, dy, interpret):
  """Differentiates by the nodes, and by the adjacency."""
  work = _Work.of(x, groups=2, stages=2)

  def differentiate_by_nodes(x, dy, kernel, mixing, own, dx, pairs, diagonals, *scratch):
    nodes, grads, kernels, mixings, ready, full = scratch
    _load_once(ready, (kernel, kernels), (mixing, mixings))
    factors = _columns(own)

    def load(step):
      slot = work.slot(step)
      work.load(x, nodes.at[slot], step, full.at[slot])
      work.load(dy, grads.at[slot], step, full.at[slot])

    def compute_all(total):
      def compute(step, diagonal):
        slot = work.slot(step)
        node, tile = nodes.at[slot], grads.at[slot]
        plgpu.barrier_wait(full.at[slot])
        itself, neighbors = _products(tile, kernels)
        _store(neighbors, tile)
        mixed = _product(mixings, tile)
        plgpu.wgmma(total, tile, node.transpose((1, 0)))
        plgpu.wgmma_wait(0)
        diagonal += jnp.sum(itself * node[...].astype(jnp.float32), axis=1)
        _store(factors * itself + mixed, tile)
        work.store(tile, dx, step)
        plgpu.wait_smem_to_gmem(work.poses, wait_read_only=True)
        work.load_ahead(load, step)
        return diagonal

      zeros = jnp.zeros(ROWS, jnp.float32)
      diagonal = work.run(load, compute, zeros)
      return total[...], diagonal

    total, diagonal = pl.run_scoped(
      compute_all, plgpu.ACC((ROWS, ROWS), jnp.float32)
    )
    pairs[work.worker] = total
    diagonals[work.worker] = diagonal
    plgpu.wait_smem_to_gmem(0)

  dx, pairs, diagonals = work.call(
    differentiate_by_nodes,
    (
      jax.ShapeDtypeStruct(x.shape, x.dtype),
      jax.ShapeDtypeStruct((work.workers, ROWS, ROWS), jnp.float32),
      jax.ShapeDtypeStruct((work.workers, ROWS), jnp.float32),
    ),
    _smem(work.slots, ROWS, CHANNELS),
    _smem(work.slots, ROWS, CHANNELS),
    _smem(2, CHANNELS, CHANNELS),
    _smem(ROWS, ROWS),
    plgpu.Barrier(num_arrivals=2),
    plgpu.Barrier(num_arrivals=2 * work.poses, num_barriers=work.slots),
    interpret=interpret,
  )(
    x,
    dy,
    kernel.swapaxes(1, 2).astype(x.dtype),
    *_mixing(adjacency.T, work.poses),
  )
  joints, poses = len(x), work.poses
  pairs = jnp.einsum(
    'npipj->ij', pairs.reshape(-1, poses, joints, poses, joints)
  )
  diagonal = diagonals.reshape(-1, joints).sum(axis=0)
  eye = np.eye(joints, dtype=np.float32)
  return dx, pairs * (1 - eye) + diagonal * eye


def _by_kernel(x, adjacency, dy, interpret):
  """Differentiates by W0, in one warpgroup, and by W1, in the other."""
  work = _Work.of(x, groups=2, stages=4, together=True)

  def differentiate_by_kernel(x, dy, mixing, dkernel, nodes, grads, mixed, mixings, *barriers):
    ready, full, empty = barriers
    group = lax.axis_index('group')
    _load_once(ready, (mixing, mixings))

    def load(step):
      @pl.when(group == 0)
      def _():
        slot = work.slot(step)
        work.load(x, nodes.at[slot], step, full.at[slot])
        work.load(dy, grads.at[slot], step, full.at[slot])

    def compute_all(total):
      def compute(step, carry):
        slot = work.slot(step)
        plgpu.barrier_wait(full.at[slot])
        tile = mixed.at[group]
        _store(_product(mixings.at[group], nodes.at[slot]), tile)
        plgpu.wgmma(total, tile.transpose((1, 0)), grads.at[slot])
        plgpu.wgmma_wait(0)
        plgpu.barrier_arrive(empty.at[slot])

        @pl.when((group == 0) & (step >= 1))
        def _():
          plgpu.barrier_wait(empty.at[work.slot(step - 1)])

        work.load_ahead(load, step)
        return carry

      work.run(load, compute, ())

      @pl.when((group == 0) & (work.count > 0))
      def _():
        plgpu.barrier_wait(empty.at[work.slot(work.count - 1)])

      return total[...]

    dkernel[work.worker, group] = pl.run_scoped(
      compute_all, plgpu.ACC((CHANNELS, CHANNELS), jnp.float32)
    )

  neighbors, own = _mixing(adjacency, work.poses)
  mixing = jnp.stack([jnp.diag(own).astype(x.dtype), neighbors])
  dkernels = work.call(
    differentiate_by_kernel,
    jax.ShapeDtypeStruct(
      (work.workers, 2, CHANNELS, CHANNELS), jnp.float32
    ),
    _smem(work.slots, ROWS, CHANNELS),
    _smem(work.slots, ROWS, CHANNELS),
    _smem(2, ROWS, CHANNELS),
    _smem(2, ROWS, ROWS),
    plgpu.Barrier(num_arrivals=1),
    plgpu.Barrier(num_arrivals=2 * work.poses, num_barriers=work.slots),
    plgpu.Barrier(num_arrivals=2, num_barriers=work.slots),
    interpret=interpret,
  )(x, dy, mixing)
  return dkernels.sum(axis=0)


@dataclasses.dataclass(frozen=True)
class _Work:
  """How the tiles are shared out, and the loop over those of a worker.

  Attributes:
    poses: The poses of a tile.
    tiles: The number of tiles.
    groups: The warpgroups of a multiprocessor.
    stages: The tiles that a worker has on the chip at a time.
    together: Whether the warpgroups of a multiprocessor are one worker.
  """

  poses: int
  tiles: int
  groups: int
  stages: int
  together: bool = False

  @classmethod
  def of(cls, x: Array, **fields: Any) -> '_Work':
    """Divides x, `[J, B, C]`, into tiles."""
    poses = ROWS // len(x)
    return cls(poses, x.shape[1] // poses, **fields)

  @property
  def blocks(self) -> int:
    """The number of multiprocessors."""
    return min(PROCESSORS, self.tiles)

  @property
  def workers(self) -> int:
    """The number of workers."""
    return self.blocks * (1 if self.together else self.groups)

  @property
  def slots(self) -> int:
    """The places for tiles on a multiprocessor."""
    return self.stages * (1 if self.together else self.groups)

  @property
  def worker(self) -> Array:
    """The number of this worker."""
    block, group = (lax.axis_index(name) for name in ('block', 'group'))
    return block if self.together else group * self.blocks + block

  @property
  def count(self) -> Array:
    """The number of tiles of this worker."""
    return (self.tiles - self.worker + self.workers - 1) // self.workers

  def slot(self, step: Array) -> Array:
    """Returns the place of a worker's tile, given its number."""
    slot = lax.rem(step, self.stages)
    if self.together:
      return slot
    return lax.axis_index('group') * self.stages + slot

  def load(self, source: Ref, tile: Ref, step: Array, barrier: Ref) -> None:
    """Starts to load a tile from `[J, B, C]`."""
    for pose in range(self.poses):
      plgpu.copy_gmem_to_smem(
        source.at[:, self._pose(step, pose), :],
        tile.at[self._rows(pose), :],
        barrier,
      )

  def store(self, tile: Ref, target: Ref, step: Array) -> None:
    """Starts to store a tile to `[J, B, C]`."""
    for pose in range(self.poses):
      plgpu.copy_smem_to_gmem(
        tile.at[self._rows(pose), :],
        target.at[:, self._pose(step, pose), :],
      )

  def _pose(self, step: Array, pose: int) -> Array:
    return (self.worker + step * self.workers) * self.poses + pose

  def _rows(self, pose: int) -> Any:
    joints = ROWS // self.poses
    return pl.ds(pose * joints, joints)

  def load_ahead(self, load: Callable[[Any], None], step: Array) -> None:
    """Loads into the slot of the tile before this one."""
    ahead = step - 1 + self.stages
    pl.when((step >= 1) & (ahead < self.count))(lambda: load(ahead))

  def run(
    self,
    load: Callable[[Any], None],
    compute: Callable[[Array, Any], Any],
    carry: Any,
  ) -> Any:
    """Loads the first tiles of a worker, and computes all of them."""
    for step in range(self.stages):
      pl.when(step < self.count)(lambda step=step: load(step))
    return lax.fori_loop(0, self.count, compute, carry)

  def call(
    self, body: Callable, results: Any, *scratch: Any, interpret: Any
  ) -> Callable:
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
      interpret=interpret,
    )


def _mixing(adjacency: Array, poses: int) -> tuple[Array, Array]:
  """Repeats the adjacency for the poses of a tile.

  Returns:
    The matrix that mixes a joint's neighbors, `[64, 64]` bfloat16; and the
    factors of the joints themselves, `[64]`.
  """
  eye = np.eye(len(adjacency), dtype=np.float32)
  neighbors = jnp.kron(np.eye(poses), adjacency * (1 - eye))
  own = jnp.tile(jnp.sum(adjacency * eye, axis=1), poses)
  return neighbors.astype(jnp.bfloat16), own


def _smem(*shape: int) -> Any:
  """Places an array in shared memory, as the matrix units read it."""
  transforms = (plgpu.TilingTransform((8, 64)), plgpu.SwizzleTransform(128))
  return plgpu.SMEM(shape, jnp.bfloat16, transforms=transforms)


def _load_once(barrier: Ref, *pairs: tuple[Ref, Ref]) -> None:
  """Loads what all tiles need."""

  @pl.when(lax.axis_index('group') == 0)
  def _():
    for source, target in pairs:
      plgpu.copy_gmem_to_smem(source, target, barrier)

  plgpu.barrier_wait(barrier)


def _columns(values: Ref) -> Array:
  """Repeats a value per row, `[64]`, in every column."""
  rows = plgpu.load(values, optimized=False)
  return lax.broadcast_in_dim(rows, (ROWS, CHANNELS), (0,))


def _product(a: Ref, b: Ref) -> Array:
  """Multiplies two matrices in shared memory, into float32."""

  def multiply(total):
    plgpu.wgmma(total, a, b)
    return total[...]

  shape = (a.shape[0], b.shape[1])
  return pl.run_scoped(multiply, plgpu.ACC(shape, jnp.float32))


def _products(tile: Ref, kernels: Ref) -> tuple[Array, Array]:
  return tuple(_product(tile, kernels.at[k]) for k in range(2))


def _store(values: Array, tile: Ref) -> None:
  """Stores values into shared memory once all have read what is there."""
  plgpu.commit_smem()
  tile[...] = values.astype(tile.dtype)
  plgpu.commit_smem()
