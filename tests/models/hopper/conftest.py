from typing import Any

import pytest


@pytest.fixture
def interpreted(monkeypatch):
  """Interprets kernels as on a GPU of two multiprocessors, and finds races."""
  # Here, as older versions of JAX lack parts of Pallas.
  from jax.experimental.pallas import mosaic_gpu

  from semgcn_jax.models.hopper import tiles

  monkeypatch.setattr(tiles, 'PROCESSORS', 2)
  # Pyright sees the oldest JAX.
  interpreter: Any = mosaic_gpu
  params = interpreter.InterpretGPUParams(detect_races=True)
  with interpreter.force_gpu_interpret_mode(params):
    yield
