"""Settings of runs that take a moment."""

import dataclasses

from semgcn_jax import config

# 800 training poses; 4 chunks of 5 steps an epoch.
TINY = config.preset(
  'synthetic',
  recipe='released',
  hid_dim=4,
  num_layers=1,
  epochs=2,
  batch_size=40,
  downsample=72,
  chunk_steps=5,
  eval_batch_size=64,
)

# All that the best recipe and its augmentation can do.
BEST = dataclasses.replace(
  TINY,
  **config.RECIPES['best']
  | {'recipe': 'best', 'lr': 1e-3, 'averaging': 0.9, 'weight_decay': 0.1},
  noise=2.0,
  missing=0.05,
  virtual_pitch=3.0,
  virtual_shift=0.1,
  virtual_zoom=0.02,
)
