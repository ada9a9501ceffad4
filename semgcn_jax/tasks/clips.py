"""The task of clips: each pose depends on the frames around it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import OF_TIME, Config
from semgcn_jax.data.pairs import Pairs, clip_bounds, known_fps, sequences
from semgcn_jax.errors import SettingError, counted
from semgcn_jax.models.batches import run_batches
from semgcn_jax.models.temporal import reach
from semgcn_jax.models.windows import cut, resample, step_of, take_windows
from semgcn_jax.runs.networks import Network
from semgcn_jax.simulation.film import film_clips
from semgcn_jax.tasks.augmentation import Batch
from semgcn_jax.tasks.films import level_roots
from semgcn_jax.tasks.flips import random_flip
from semgcn_jax.tasks.frames import Frames

Array = jax.Array

_FILMED_FPS = 25  # Clips to film are read at about this rate or less.
_OWN = 128  # Poses each window outputs; the rest is context.


@dataclasses.dataclass(frozen=True)
class Clips(Frames):
  """The task of clips.

  The training arrays have `first` and `last`, `[N]`, the first and last row of
  each pose's clip. A step takes windows around its rows.
  """

  needs_residence = True

  @property
  def samples_per_step(self) -> int:
    training = self.config.training
    return training.batch_size // training.window

  def check(self, devices: int) -> None:
    training = self.config.training
    if training.device_data == 'streamed':
      raise SettingError(
        '`device_data=streamed`: `model=semgcn_temporal` needs all poses on'
        ' each device; leave it out'
      )
    if training.batch_size % (training.window * devices):
      raise SettingError(
        f'`batch_size={training.batch_size}`: does not split into windows of'
        f' {training.window} frames over {counted(devices, "device")}; use a'
        f' multiple of {training.window * devices}'
      )

  def arrays(self, train: Pairs) -> dict[str, np.ndarray]:
    known_fps(train)
    first, last = clip_bounds(train)
    arrays = super().arrays(train) | {'first': first, 'last': last}
    if self.is_filmed:
      arrays['roots'] = level_roots(train, self.skeleton)
    return arrays

  def take(self, arrays: Batch, rows: Array, fps: float) -> Batch:
    return take_windows(arrays, rows, *frames_read(self.config, fps))

  def _film(self, rng: Array, batch: Batch, *, fps: float) -> Batch:
    """Films a batch of windows of level poses, at random rates.

    Args:
      batch: The poses, `[B, S, 16, 3]`, and their roots, `[B, S, 3]`.
      fps: The frame rate of the training poses.

    Returns:
      The inputs and targets of windows, `[B, T, 16, ...]`.
    """
    config, filming = self.config, self.config.filming
    _, step = frames_read(config, fps)
    flip_rng, film_rng, rate_rng, start_rng = jax.random.split(rng, 4)
    if config.augmentation.flip:
      batch = random_flip(flip_rng, batch, self.skeleton)
    frames = jnp.arange(config.training.window)
    count, most = batch['roots'].shape[:2]
    rate = jnp.exp(
      jax.random.uniform(
        rate_rng,
        (count, 1),
        minval=np.log(filming.rate_low),
        maxval=np.log(filming.rate_high),
      )
    )
    fps = fps / step
    free = most - 1 - frames[-1] * fps / rate
    times = jax.random.uniform(start_rng, (count, 1)) * jnp.maximum(free, 0)
    times = jnp.minimum(times + frames * fps / rate, most - 1)
    poses, roots = (
      resample(batch[name], times) for name in ('targets', 'roots')
    )
    roots = roots - roots.mean(axis=1, keepdims=True)
    inputs, targets = film_clips(
      *(film_rng, poses, roots, rate[:, 0]),
      *(self.skeleton, config.model, filming),
    )
    return {'inputs': inputs, 'targets': targets}

  def _run(
    self, program: Callable[..., Any], pairs: Pairs, batch_size: int
  ) -> np.ndarray:
    """Runs a program on windows of all clips, `[N, R, J, D]`.

    Windows overlap, so each pose is as if the whole clip were run at once, at
    about the rate of the network.
    """
    model = self.config.model
    step = step_of(known_fps(pairs), model.frame_rate)
    before, after = reach(model)
    windows = cut(sequences(pairs, step), before + after + _OWN, before, after)
    count, size = windows.rows.shape
    predicted = run_batches(
      lambda batch: program(
        pairs.inputs[windows.rows[batch]], windows.lengths[batch]
      ),
      count,
      (min(max(batch_size // size, 1), count),),
    )
    return windows.join(predicted.swapaxes(1, 2))

  def matching(self, source: Network) -> tuple[str, ...]:
    same = super().matching(source)
    model = source.config.model
    # A network of single frames only lacks the layers between frames.
    if model.model == 'semgcn':
      same = tuple(name for name in same if name != 'model')
    if model.is_temporal:
      same += OF_TIME
    # Causal networks have the same weights as others.
    return tuple(name for name in same if name != 'causal')


def frames_read(config: Config, fps: float) -> tuple[int, int]:
  """Returns the number of frames to read per window, and their step.

  Clips to film are resampled to other rates later, and so need more frames.
  """
  window = config.training.window
  if not config.model.input_joints:
    return window, step_of(fps, config.model.frame_rate)
  step = step_of(fps, _FILMED_FPS)
  longest = (window - 1) * fps / step / config.filming.rate_low
  return int(np.ceil(longest)) + 1, step
