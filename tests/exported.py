"""Networks to export: one of each kind, tiny and with random weights."""

import jax
import jax.numpy as jnp
import numpy as np

from semgcn_jax.config import presets
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.models.build import build
from semgcn_jax.runs.networks import Network
from semgcn_jax.runs.progress import Progress

_TINY = {'hid_dim': 8, 'num_layers': 1}
SETTINGS = {
  'semgcn': _TINY,
  'flip_test': _TINY | {'recipe': 'best'},
  'channel_wise': _TINY | {'conv': 'channel_wise', 'recipe': 'best'},
  'vanilla': _TINY | {'conv': 'vanilla', 'non_local': False},
  'gat': _TINY | {'conv': 'gat', 'recipe': 'best'},
  'agcn': _TINY | {'conv': 'agcn', 'non_local': False},
  'linear': _TINY | {'model': 'linear', 'recipe': 'best'},
  'st_gcn': _TINY | {'model': 'st_gcn'},
  'grammar': _TINY | {'refine': 'pose_grammar', 'recipe': 'best'},
  'linear_grammar': _TINY | {'model': 'linear', 'refine': 'pose_grammar'},
}
LIFTER = {'recipe': 'wild', 'dataset': 'cmu'} | _TINY


def make(settings, skeleton=H36M):
  """Makes a network with random parameters and statistics."""
  config = presets.preset('h36m', **settings)
  model = build(config.model, skeleton)
  shape = (1, skeleton.num_joints, config.model.input_channels)
  variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros(shape))
  rng = np.random.default_rng(0)
  variables = jax.tree.map(
    lambda x: x + 0.2 * abs(rng.normal(size=x.shape)).astype(np.float32),
    variables,
  )
  return Network(config, skeleton, variables, Progress(1))
