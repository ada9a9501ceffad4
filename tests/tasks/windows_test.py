"""Windows that the training step takes."""

import jax.numpy as jnp
import numpy as np
import pytest

from semgcn_jax.config.presets import preset
from semgcn_jax.tasks.windows import frames_read, resample, take_windows


@pytest.mark.parametrize('step', [1, 2])
def test_windows_stay_within_their_clips(step):
  lengths, frames = [30, 3, 12], 5
  starts = np.cumsum([0, *lengths[:-1]])
  first = np.repeat(starts, lengths)
  last = np.repeat(starts + lengths, lengths) - 1
  arrays = {
    'first': jnp.asarray(first),
    'last': jnp.asarray(last),
    'targets': jnp.arange(sum(lengths), dtype=jnp.float32),
  }
  rows = jnp.arange(sum(lengths))
  taken = take_windows(arrays, rows, frames, step)
  assert taken.keys() == {'targets'}
  for row, window in enumerate(np.asarray(taken['targets']).astype(int)):
    assert first[row] <= window.min() and window.max() <= last[row]
    assert set(np.diff(window)) <= {step, 0, 1}
    if last[row] - first[row] >= (frames - 1) * step:
      assert (np.diff(window) == step).all()
      assert window[0] - step < row < window[-1] + step


def test_splines_go_through_frames_and_keep_parabolas():
  times = np.array([[0, 1, 2.5, 3.25, 7]])
  values = np.arange(9.0)[None, :, None] ** 2 * [1, 3]
  between = resample(jnp.asarray(values, jnp.float32), jnp.asarray(times))
  wanted = times[..., None] ** 2 * [1, 3]
  np.testing.assert_allclose(between, wanted, rtol=1e-5)


def test_clips_to_film_are_read_for_the_lowest_rate():
  wild = {'model': 'semgcn_temporal', 'recipe': 'wild', 'window': 32}
  config = preset('synthetic', **wild, rate_low=8.0)
  frames, step = frames_read(config, 10.0)
  assert step == 1 and frames - 1 >= 31 * 10 / 8
  frames, step = frames_read(config, 50.0)
  assert step == 2 and frames - 1 >= 31 * 25 / 8
  config = preset('synthetic', model='semgcn_temporal', window=32)
  assert frames_read(config, 50.0) == (32, 5)
