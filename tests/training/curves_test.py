import matplotlib.image
import numpy as np
import pytest

from semgcn_jax.config import presets
from semgcn_jax.training.curves import plot_curves


@pytest.mark.parametrize('val_subjects', [(), ('S1', 'S5')])
def test_curves_are_drawn(tmp_path, val_subjects):
  records = [
    {'epoch': e, 'train_loss': 0.1 / e, 'mpjpe': 90 - e, 'p_mpjpe': 60 - e}
    | {'val_mpjpe': 85 - e}
    for e in range(1, 6)
  ]
  path = tmp_path / 'curves.png'
  settings = presets.preset('cmu', val_subjects=val_subjects)
  plot_curves(records, path, config=settings)
  image = matplotlib.image.imread(path)
  assert image.shape[0] > 300 and image.shape[1] > 800
  assert np.ptp(image) > 0.5
  assert [p.name for p in tmp_path.iterdir()] == ['curves.png']
