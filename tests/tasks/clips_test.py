"""Clips as a task."""

from semgcn_jax.config.presets import preset
from semgcn_jax.tasks.clips import frames_read


def test_clips_to_film_are_read_for_the_lowest_rate():
  wild = {'model': 'semgcn_temporal', 'recipe': 'wild', 'window': 32}
  config = preset('synthetic', **wild, rate_low=8.0)
  frames, step = frames_read(config, 10.0)
  assert step == 1 and frames - 1 >= 31 * 10 / 8
  frames, step = frames_read(config, 50.0)
  assert step == 2 and frames - 1 >= 31 * 25 / 8
  config = preset('synthetic', model='semgcn_temporal', window=32)
  assert frames_read(config, 50.0) == (32, 5)
