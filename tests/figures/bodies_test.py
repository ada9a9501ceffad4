"""Solid bodies drawn into axes."""

import numpy as np
import pytest
import rigged
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb

from semgcn_jax.figures.bodies import _SHADOW, Bodies
from semgcn_jax.figures.palette import SOLID
from semgcn_jax.figures.poses import seen_from
from semgcn_jax.figures.style import new_figure
from semgcn_jax.motion.rig import JOINTS, Motion, fit

VIEW = (25.0, 12.0)


@pytest.fixture(scope='module')
def motion():
  return fit(rigged.clip('Walking 1'), 25, first=3)


def drawn(motion, frame, names, view=VIEW):
  """Draws into axes of 4 m; returns the image, and the color at a point."""
  figure = new_figure(4, 4)
  figure.set_layout_engine('none')
  axes = figure.add_axes((0, 0, 1, 1))
  axes.set_axis_off()
  middle = seen_from(motion.root[0], view)
  axes.set(
    xlim=(middle[0] - 2, middle[0] + 2), ylim=(middle[1] - 2, middle[1] + 2)
  )
  Bodies({'1': motion}).draw(axes, frame, names, view)
  canvas = FigureCanvasAgg(figure)
  canvas.draw()
  image = np.asarray(canvas.buffer_rgba())[..., :3] / 255
  size = len(image)

  def pixel(point):
    x, y = (seen_from(point, view) - middle + 2) / 4 * size
    return image[int(size - y), int(x)]

  return image, pixel


def test_each_side_has_its_color(motion):
  # Arms and legs spread, seen from the front, hide nothing.
  turns = np.zeros((1, len(JOINTS), 4))
  turns[..., 3] = 1
  spread = Motion(motion.offsets, turns, motion.root[:1], 25)
  image, pixel = drawn(spread, 0, ['1'], (0.0, 0.0))
  places = dict(zip(JOINTS, rigged.places(spread)[0], strict=True))

  def hue(color):
    return np.array(color) / np.max(color)

  for part, side in (('left', 'L'), ('right', 'R')):
    color = hue(to_rgb(SOLID[part]))
    for joint in ('Elbow', 'Knee'):
      seen = hue(pixel(places[f'{side}{joint}']))
      # Light and reflections change a color a little.
      assert np.abs(seen - color).max() < 0.3, (side, joint, seen, color)
  head = pixel(places['Head'])
  assert np.ptp(head) < 0.05 and head.max() < 0.95  # Gray.
  assert (image[:20] == 1).all()


def test_people_throw_shadows(motion):
  image, _ = drawn(motion, 3, ['1'])
  shadow = np.abs(image - to_rgb(_SHADOW)).max(axis=-1) < 0.01
  assert shadow.sum() > 50
  # They lie below the middle of the person, at the height of the floor.
  assert np.nonzero(shadow)[0].min() > len(image) / 2


def test_nobody_is_drawn_without_a_name(motion):
  image, _ = drawn(motion, 3, [])
  assert (image == 1).all()


def test_frames_count_from_the_first_of_the_clip(motion):
  first, _ = drawn(motion, 3, ['1'])
  later, _ = drawn(motion, 15, ['1'])
  assert (np.abs(first - later).sum(axis=-1) > 0.3).sum() > 100
