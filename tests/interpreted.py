"""For tests of the kernels in `models/hopper`, which run without a GPU."""

import jax
import numpy as np
import pytest

if jax.__version_info__ < (0, 11):
  pytest.skip('JAX before 0.11 cannot interpret them', allow_module_level=True)


def assert_close(values, expected, tolerance=5e-3):
  """Asserts that arrays are close, by their norms, as far as bfloat16 is."""
  for value, other in zip(values, expected, strict=True):
    assert value.shape == other.shape
    error = np.linalg.norm(np.asarray(value, np.float64) - other)
    assert error <= tolerance * np.linalg.norm(other)
