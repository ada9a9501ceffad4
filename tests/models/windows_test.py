"""Windows of clips."""

import jax.numpy as jnp
import numpy as np
import pytest

from semgcn_jax.models.windows import cut, resample, step_of, take_windows


@pytest.mark.parametrize(
  'fps, wanted, step', [(50, 10, 5), (24, 10, 2), (10, 10, 1), (5, 10, 1)]
)
def test_steps(fps, wanted, step):
  assert step_of(fps, wanted) == step


@pytest.mark.parametrize('before, after', [(0, 0), (3, 3), (6, 0)])
@pytest.mark.parametrize('size', [8, 11])
def test_every_frame_is_in_one_window_with_what_it_depends_on(
  before, after, size
):
  lengths = [1, 2, 7, 8, 9, 30, 41]
  clips = np.split(np.arange(sum(lengths)), np.cumsum(lengths)[:-1])
  windows = cut(clips, size, before, after)
  assert windows.rows.shape == windows.own.shape
  assert windows.rows.shape[1] == size
  own = windows.rows[windows.own]
  assert sorted(own.tolist()) == list(range(sum(lengths)))
  for rows, length, owned in zip(
    windows.rows, windows.lengths, windows.own, strict=True
  ):
    assert (rows[length:] == rows[length - 1]).all()
    clip = next(c for c in clips if rows[0] in c)
    for row in rows[owned]:
      seen = set(range(max(row - before, clip[0]), min(row + after, clip[-1])))
      assert seen <= set(rows[:length].tolist())


def test_what_windows_compute_is_joined():
  lengths = [3, 20, 9]
  clips = np.split(np.arange(sum(lengths)), np.cumsum(lengths)[:-1])
  windows = cut(clips, 8, 2, 2)
  values = windows.rows[..., None] * np.array([1, 2])
  joined = windows.join(values)
  np.testing.assert_array_equal(
    joined, np.arange(32)[:, None] * np.array([1, 2])
  )


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
