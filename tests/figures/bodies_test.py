"""Solid bodies drawn into axes."""

import numpy as np
import pytest
import rigged
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb

from semgcn_jax.figures.bodies import Bodies
from semgcn_jax.figures.palette import SOLID
from semgcn_jax.figures.poses import seen_from
from semgcn_jax.figures.style import new_figure
from semgcn_jax.motion.rig import JOINTS, fit

VIEW = (25.0, 12.0)


@pytest.fixture(scope='module')
def motion():
  return fit(rigged.clip('Walking 1'), 25, first=3)


def drawn(motion, frame, names):
  """Draws into axes of 4 m, `[H, W, 3]`, and returns where points are seen."""
  figure = new_figure(4, 4)
  figure.set_layout_engine('none')
  axes = figure.add_axes((0, 0, 1, 1))
  axes.set_axis_off()
  middle = seen_from(motion.root[0], VIEW)
  axes.set(
    xlim=(middle[0] - 2, middle[0] + 2), ylim=(middle[1] - 2, middle[1] + 2)
  )
  Bodies({'1': motion}).draw(axes, frame, names, VIEW)
  canvas = FigureCanvasAgg(figure)
  canvas.draw()
  image = np.asarray(canvas.buffer_rgba())[..., :3] / 255
  size = len(image)

  def pixel(point):
    x, y = (seen_from(point, VIEW) - middle + 2) / 4 * size
    return image[int(size - y), int(x)]

  return image, pixel


def test_each_side_has_its_color(motion):
  image, pixel = drawn(motion, 3, ['1'])
  places = rigged.places(motion)[0]

  def hue(color):
    """Which of red, green and blue is strongest."""
    return int(np.argmax(color))

  for part, joint in (('left', 'LElbow'), ('right', 'RKnee')):
    color = pixel(places[JOINTS.index(joint)])
    other = 'right' if part == 'left' else 'left'
    assert hue(color) in (hue(to_rgb(SOLID[part])), hue(to_rgb(SOLID[other])))
    assert np.ptp(color) > 0.2
  head = pixel(places[JOINTS.index('Head')])
  assert np.ptp(head) < 0.05 and head.max() < 0.95  # Gray.
  # A shadow is on the floor, and nothing far away.
  levels = image.reshape(-1, 3).mean(axis=1)
  assert (np.abs(levels - 0.84) < 0.02).sum() > 50
  assert (image[:20] == 1).all()


def test_nobody_is_drawn_without_a_name(motion):
  image, _ = drawn(motion, 3, [])
  assert (image == 1).all()


def test_frames_count_from_the_first_of_the_clip(motion):
  first, _ = drawn(motion, 3, ['1'])
  later, _ = drawn(motion, 15, ['1'])
  assert (np.abs(first - later).sum(axis=-1) > 0.3).sum() > 100
