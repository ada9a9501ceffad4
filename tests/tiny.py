"""Settings of runs that take a moment."""

from semgcn_jax.config import presets

# 800 training poses; 4 chunks of 5 steps an epoch.
TINY_SETTINGS = {
  'recipe': 'released',
  'hid_dim': 4,
  'num_layers': 1,
  'epochs': 2,
  'batch_size': 40,
  'downsample': 72,
  'chunk_steps': 5,
  'eval_batch_size': 64,
}
TINY = presets.preset('synthetic', **TINY_SETTINGS)
# The same for a command.
TINY_FLAGS = tuple(f'--{name}={value}' for name, value in TINY_SETTINGS.items())

# All that the best recipe and its augmentation can do.
BEST = TINY.replace(
  **presets.RECIPES['best']
  | {'recipe': 'best', 'lr': 1e-3, 'averaging': 0.9, 'weight_decay': 0.1},
  noise=2.0,
  missing=0.05,
  virtual_pitch=3.0,
  virtual_shift=0.1,
  virtual_zoom=0.02,
)
