import types

import jax
import numpy as np
from jax.sharding import Mesh
from tiny import TINY

from semgcn_jax.training import feeding
from semgcn_jax.training import state as state_lib


def test_where_the_poses_lie():
  mesh = Mesh(np.array(jax.devices()[:1]), (state_lib.AXIS,))
  arrays = {'inputs': np.zeros((10, 16, 2), np.float32)}
  for where, expected in (('resident', True), ('streamed', False)):
    settings = TINY.replace(device_data=where)
    assert feeding.is_resident(arrays, settings.training, mesh) == expected
  small = types.SimpleNamespace(memory_stats=lambda: {'bytes_limit': 1000})
  devices = types.SimpleNamespace(devices=[small])
  assert not feeding.is_resident(arrays, TINY.training, devices)
  assert feeding.is_resident(arrays, TINY.training, mesh)
