import matplotlib.image
import numpy as np

from semgcn_jax.visualize import plot_curves


def test_curves_are_drawn(tmp_path):
  records = [
    {'epoch': e, 'train_loss': 0.1 / e, 'mpjpe': 90 - e, 'p_mpjpe': 60 - e}
    for e in range(1, 6)
  ]
  path = tmp_path / 'curves.png'
  plot_curves(records, path)
  image = matplotlib.image.imread(path)
  assert image.shape[0] > 300 and image.shape[1] > 800
  assert np.ptp(image) > 0.5
  assert [p.name for p in tmp_path.iterdir()] == ['curves.png']
