"""Batches of a few sizes."""

import numpy as np
import pytest

from semgcn_jax.models.batches import run_batches


@pytest.mark.parametrize('count', [1, 3, 4, 5, 16, 17, 40])
def test_every_row_is_computed_once_in_batches_of_the_sizes(count):
  values, seen = np.arange(count) ** 2, []

  def function(rows):
    seen.append(len(rows))
    return {'twice': 2 * values[rows], 'pairs': values[rows][:, None] + [0, 1]}

  result = run_batches(function, count, (1, 4, 16))
  np.testing.assert_array_equal(result['twice'], 2 * values)
  np.testing.assert_array_equal(result['pairs'], values[:, None] + [0, 1])
  assert set(seen) <= {1, 4, 16} and sum(seen) < count + 4 * seen[-1]
