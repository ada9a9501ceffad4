import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn import make_scenes

from semgcn_jax.simulation import pixels, scenes

SIZE = 32
LIGHT = np.array((0.48, -0.64, -0.6))


def scene(*parts):
  """A scene of white parts before a black wall; y points down.

  A part is a dict of fields of `Scenes`, of which those that are not given have
  plain values.
  """
  plain = dict(
    radii=(0.3, 0.3),
    across=((1, 0, 0), (0, 1, 0)),
    stretch=(1, 1),
    colors=np.ones((3, 3)),
    cut=2,
    stripes=(0, 0),
  )
  fields = {
    name: np.stack([np.asarray((plain | part)[name], float) for part in parts])
    for name in (*plain, 'starts', 'ends')
  }
  fields |= dict(
    zoom=2.0,
    light=LIGHT,
    lights=(0.6, 0.3, 0.1),
    planes=((0, -1, 0), (0, 0, -1)),
    offsets=(-1.0, -6.0),
    axes=np.array((((1, 0, 0), (0, 0, 1)), ((1, 0, 0), (0, 1, 0)))),
    tones=np.zeros((2, 2, 3)),
    waves=np.zeros((4, 5)),
    sharp=(1, 1),
    tint=np.ones(3),
    noise=0.0,
  )
  return scenes.Scenes(
    **{name: jnp.asarray(x, jnp.float32)[None] for name, x in fields.items()},
    seed=jnp.zeros(1, jnp.uint32),
  )


def rays():
  """The rays of 4 places in each pixel, `[S, S, 4, 3]`."""
  step = (np.arange(2 * SIZE) + 0.5) / SIZE - 1
  y, x = np.meshgrid(step / 2, step / 2, indexing='ij')
  fine = np.stack([x, y, np.ones_like(x)], axis=-1)
  fine = fine.reshape(SIZE, 2, SIZE, 2, 3).swapaxes(1, 2)
  return fine.reshape(SIZE, SIZE, 4, 3)


def shade(normal, ray):
  """Lambert's law for the lights of `scene`, without shadows."""
  view = -(normal * ray).sum(-1) / np.linalg.norm(ray, axis=-1)
  return (
    0.6 * np.maximum(normal @ LIGHT, 0)
    + 0.3 * (0.7 - 0.3 * normal[..., 1])
    + 0.1 * np.maximum(view, 0)
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  'part',
  [
    dict(starts=(0.1, 0.2, 3), ends=(0.1, 0.2, 3), radii=(0.5, 0.5)),
    dict(starts=(-0.5, 0.3, 2.6), ends=(0.5, -0.2, 3.6), radii=(0.35, 0.2)),
    dict(starts=(0.2, 0.1, 2.5), ends=(0.25, 0.1, 4), radii=(0.3, 0.28)),
    dict(
      starts=(-0.3, 0, 3),
      ends=(0.4, 0, 3.5),
      radii=(0.3, 0.25),
      across=((0, 1, 0), (0, 0, 1)),
      stretch=(1.8, 0.7),
    ),
  ],
  ids=['ball', 'cone', 'end-on', 'stretched'],
)
def test_parts_are_unions_of_balls_with_lamberts_shading(part):
  picture = pixels.draw(scene(part), SIZE)[0].astype(float) / 255
  ray = rays()
  # Meets many balls, one by one, in space squeezed to make them round.
  squeeze = np.eye(3)
  for axis, factor in zip(
    part.get('across', ()), part.get('stretch', ()), strict=True
  ):
    squeeze += (1 / factor - 1) * np.outer(axis, axis)
  start, end = (squeeze @ part[name] for name in ('starts', 'ends'))
  first, last = part['radii']
  direction = ray @ squeeze
  best, normal = np.full(ray.shape[:-1], np.inf), np.zeros(ray.shape)
  for s in np.linspace(0, 1, 800):
    centre, radius = start + s * (end - start), first + s * (last - first)
    a, b = (direction**2).sum(-1), direction @ centre
    q = b * b - a * (centre @ centre - radius**2)
    depth = np.where(q >= 0, (b - np.sqrt(np.maximum(q, 0))) / a, np.inf)
    closer = depth < best
    best = np.where(closer, depth, best)
    away = (
      direction * np.where(closer, depth, 0)[..., None] - centre
    ) @ squeeze
    normal = np.where(closer[..., None], away, normal)
  length = np.linalg.norm(normal, axis=-1, keepdims=True)
  normal /= np.maximum(length, 1e-9)
  hits = np.isfinite(best)
  assert hits.any() and not hits.all()
  inside, outside = hits.all(axis=-1), ~hits.any(axis=-1)
  assert not picture[outside].any()
  expected = shade(normal, ray).mean(axis=-1)
  error = np.abs(picture[inside] - expected[inside, None])
  assert error.max() < 0.02 and picture[inside].std() > 0.05


@pytest.mark.slow
def test_what_is_nearer_hides_what_is_behind():
  red, green = (np.tile(np.eye(3)[c], (3, 1)) for c in (0, 1))
  for depth, channel in ((2.0, 0), (4.0, 1)):
    picture = pixels.draw(
      scene(
        dict(starts=(-0.5, 0, 3), ends=(0.5, 0, 3), colors=green),
        dict(starts=(0, -0.5, depth), ends=(0, 0.5, depth), colors=red),
      ),
      SIZE,
    )[0]
    assert picture[SIZE // 2, SIZE // 2].argmax() == channel
    assert picture[..., 0].any() and picture[..., 1].any()


def test_y_points_down_and_x_to_the_right():
  ball = dict(starts=(0.4, 0.8, 3), ends=(0.4, 0.8, 3), radii=(0.1, 0.1))
  seen = np.argwhere(pixels.draw(scene(ball), SIZE)[0].any(axis=-1))
  row, column = (seen + 0.5).mean(axis=0) / SIZE * 2 - 1
  np.testing.assert_allclose(
    (column, row), (2 * 0.4 / 3, 2 * 0.8 / 3), atol=0.03
  )


@pytest.mark.slow
def test_colours_change_at_the_cut_and_stripes_alternate():
  part = dict(
    starts=(-0.9, 0, 3),
    ends=(0.9, 0, 3),
    radii=(0.2, 0.2),
    colors=np.eye(3),
    cut=0.5,
    stripes=(2.5, 0),
  )
  row = pixels.draw(scene(part), 128)[0, 64].argmax(axis=-1)
  # The front is at the depth 2.8, from column 23 to 105, and has 2.25 stripes
  # to the middle of the line.
  assert set(row[24:62]) == {0, 1} and set(row[66:102]) == {2}
  assert (np.diff(row[24:62]) != 0).sum() == 4


@pytest.mark.slow
def test_bodies_cast_shadows():
  ball = dict(starts=(0, 0, 3), ends=(0, 0, 3), radii=(0.2, 0.2))
  lit = dataclasses.replace(
    scene(ball),
    light=jnp.array([[0.0, -1, 0]]),
    tones=jnp.ones((1, 2, 2, 3)),
    offsets=jnp.array([[-0.5, -6.0]]),
  )
  picture = pixels.draw(lit, 128)[0, ..., 0].astype(float) / 255
  # The floor is 0.5 below the camera, so that its point under the ball is seen
  # at y = 2 * 0.5 / 3 of the half picture.
  row = int(64 * (1 + 2 * 0.5 / 3))
  assert picture[row, 64] < 0.45 < 0.85 < picture[row, 2]


@pytest.fixture(scope='module')
def people():
  """Scenes and views of twelve people."""
  return make_scenes()


@pytest.mark.slow
def test_the_same_scene_has_the_same_pixels(people):
  first, again = (pixels.draw(people[0], SIZE) for _ in range(2))
  assert first.shape == (12, SIZE, SIZE, 3) and first.dtype == np.uint8
  np.testing.assert_array_equal(first, again)
  some = jax.tree.map(lambda array: array[3:8], people[0])
  np.testing.assert_array_equal(pixels.draw(some, SIZE), first[3:8])


@pytest.mark.slow
def test_joints_lie_on_the_body(people):
  scene, views = people
  gone = dataclasses.replace(
    scene, starts=scene.starts + 100, ends=scene.ends + 100
  )
  with_body, without = (pixels.draw(s, SIZE).astype(int) for s in (scene, gone))
  changed = np.abs(with_body - without).max(axis=-1) > 2
  column, row = np.moveaxis(((views.screen + 1) * SIZE / 2).astype(int), -1, 0)
  assert changed[np.arange(12)[:, None], row, column].mean() > 0.97
  assert changed.mean() < 0.5  # There is much that is not the body.
