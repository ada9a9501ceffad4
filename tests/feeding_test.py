import dataclasses
import types

import jax
import numpy as np
from jax.sharding import Mesh
from tiny import TINY

from semgcn_jax import (
  feeding,
  train_step,
)


def test_where_the_poses_lie():
  mesh = Mesh(np.array(jax.devices()[:1]), (train_step.AXIS,))
  arrays = {'inputs': np.zeros((10, 16, 2), np.float32)}
  for where, expected in (('resident', True), ('streamed', False)):
    settings = dataclasses.replace(TINY, device_data=where)
    assert feeding.is_resident(arrays, settings, mesh) == expected
  small = types.SimpleNamespace(memory_stats=lambda: {'bytes_limit': 1000})
  devices = types.SimpleNamespace(devices=[small])
  assert not feeding.is_resident(arrays, TINY, devices)
  assert feeding.is_resident(arrays, TINY, mesh)
