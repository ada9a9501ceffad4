"""What the kernels for NVIDIA's Hopper GPUs share.

A tile has the rows of 64 / J poses, pose by pose, `[64, C]`. It mixes its poses
with weights of zero, so a NaN in one pose reaches the others of its tile.
Activations are bfloat16, sums are float32. The kernels are written in Pallas
for Mosaic GPU, which can also interpret them, without a GPU.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

Array = jax.Array
Ref = Any  # An array in the memory of the GPU or of a multiprocessor.

ROWS = 64  # The rows of a tile: as many as a warpgroup multiplies at once.
CHANNELS = 128
# The multiprocessors of the GPU, 132 on an H100 or H200.
PROCESSORS = getattr(jax.local_devices()[0], 'core_count', 132)


@dataclasses.dataclass(frozen=True)
class Work:
  """Shares the tiles out over workers, each of which loads ahead.

  Attributes:
    joints: The number of joints, J.
    tile_poses: The number of poses of a tile.
    tiles: The number of tiles.
    blocks: The number of multiprocessors.
    warpgroups: The warpgroups of a multiprocessor.
    workers: The number of workers: multiprocessors, or warpgroups.
    stages: The tiles that a worker has on the chip at a time.
    slots: The places for tiles on a multiprocessor.
  """

  joints: int
  tile_poses: int
  tiles: int
  blocks: int
  warpgroups: int
  workers: int
  stages: int
  slots: int

  @classmethod
  def share_out(
    cls, x: Array, *, warpgroups: int, stages: int, together: bool = False
  ) -> 'Work':
    """Shares out x, `[J, ..., C]`.

    Args:
      warpgroups: See the attribute.
      stages: See the attribute.
      together: Whether a multiprocessor is one worker, instead of one for each
        warpgroup.
    """
    tiles = x.size // (ROWS * CHANNELS)
    blocks, local = min(PROCESSORS, tiles), 1 if together else warpgroups
    shape = len(x), ROWS // len(x), tiles, blocks, warpgroups
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

  def store(self, tile: Ref, target: Ref, step: Any, channel: int = 0) -> None:
    """Starts to store a tile to `[J, B, C]`, from the given channel on."""
    channels = pl.ds(channel, tile.shape[1])
    for rows, pose in self._poses(step):
      plgpu.copy_smem_to_gmem(tile.at[rows, :], target.at[:, pose, channels])

  def _poses(self, step: Any) -> list[tuple[Any, Any]]:
    """Lists the rows and the numbers of the poses of a tile."""
    first = (self.worker + step * self.workers) * self.tile_poses
    return [
      (pl.ds(pose * self.joints, self.joints), first + pose)
      for pose in range(self.tile_poses)
    ]

  def load_ahead(self, load: Callable[[Any], None], step: Any) -> None:
    """Loads a tile into the place of the one before this one.

    No product reads that any more, but the copy of its result to the memory of
    the GPU may not have finished.
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
      num_threads=self.warpgroups,
      thread_name='group',
      compiler_params=plgpu.CompilerParams(
        lowering_semantics=plgpu.LoweringSemantics.Warpgroup,
        # The default, 2048, does not fit beside the non-local gradient.
        reduction_scratch_bytes=1024,
      ),
    )


def flat(x: Array) -> Array:
  """Merges the dimensions between: `[J, ..., C]` -> `[J, B, C]`."""
  return x.reshape(len(x), -1, CHANNELS)


def shared(*shape: int) -> Any:
  """Places an array in shared memory, as the matrix units read it."""
  transforms = (plgpu.TilingTransform((8, 64)), plgpu.SwizzleTransform(128))
  return plgpu.SMEM(shape, jnp.bfloat16, transforms=transforms)


def load_once(ready: Ref, *pairs: tuple[Ref, Ref]) -> None:
  """Loads arrays that all tiles need, one copy per entry of the first axis."""

  @pl.when(lax.axis_index('group') == 0)
  def _():
    for source, target in pairs:
      for k in range(source.shape[0]):
        plgpu.copy_gmem_to_smem(source.at[k], target.at[k], ready)

  plgpu.barrier_wait(ready)


def takes_nodes(x: Array, min_poses: int) -> bool:
  """Returns whether tiles can be made of x, `[J, ..., C]`, and are worth it."""
  joints, poses = len(x), math.prod(x.shape[1:-1])
  return (
    x.dtype == jnp.bfloat16
    and x.shape[-1] == CHANNELS
    and joints in (8, 16, 32, 64)
    and poses % (ROWS // joints) == 0
    and poses >= min_poses
  )


def columns(values: Array, number: int) -> Array:
  """Repeats a column: `[64]` -> `[64, number]`."""
  return lax.broadcast_in_dim(values, (ROWS, number), (0,))


def rows(values: Array, number: int = ROWS) -> Array:
  """Repeats a row, as float32: `[C]` -> `[number, C]`."""
  values = values.astype(jnp.float32)
  return lax.broadcast_in_dim(values, (number, len(values)), (1,))


def transpose(matrix: Ref) -> Ref:
  return matrix.transpose((1, 0))


def multiply(*sums: Sequence[tuple[Ref, Ref]]) -> list[Array]:
  """Sums the products of pairs of matrices in shared memory, in float32.

  Several sums at once need more registers, but wait only once.
  """

  def accumulate(*totals):
    for total, pairs in zip(totals, sums, strict=True):
      for a, b in pairs:
        plgpu.wgmma(total, a, b)
    return [total[...] for total in totals]

  shapes = [(pairs[0][0].shape[0], pairs[0][1].shape[1]) for pairs in sums]
  return pl.run_scoped(accumulate, *(accumulator(*shape) for shape in shapes))


def accumulator(rows: int, columns: int) -> Any:
  """Places sums of products in registers, as float32."""
  return plgpu.WGMMAAccumulatorRef((rows, columns), jnp.float32)


def widen(place: Ref) -> Array:
  """Reads from shared memory, as float32."""
  return place[...].astype(jnp.float32)


def write(values: Array, place: Ref) -> None:
  """Writes to shared memory.

  Until a `commit_smem`, only the thread that wrote an element may read it. If a
  product has read this place, a `commit_smem` must come in between: other
  threads may still be reading.
  """
  place[...] = values.astype(place.dtype)


def write_all(*pairs: tuple[Array, Ref]) -> None:
  """Writes values as `write`, for all threads, products and copies."""
  for values, place in pairs:
    write(values, place)
  plgpu.commit_smem()


def indices() -> list[Any]:
  """Returns the numbers of the row and the column of each of `[64, 64]`."""
  return [
    plgpu.broadcasted_iota(
      jnp.int32, (ROWS, ROWS), axis, layout=plgpu.Layout.WGMMA
    )
    for axis in range(2)
  ]
