import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_loops import random
from skeletons import CHAIN

from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.models.roi_align import mean_bone_length
from semgcn_jax.models.roi_align import roi_align as eager_roi_align

roi_align = jax.jit(eager_roi_align, static_argnames='samples')

# Centers and side of a box on the normalised picture: inside, over edges, over
# a corner, wholly outside, just outside, tiny, and larger than the picture.
BOXES = (
  [(0.1, -0.2, 0.5), (-0.95, 0.3, 0.4), (0.2, 0.98, 0.3), (1, 1, 0.7)]
  + [(3, 0, 0.5), (0, -2.5, 0.2), (1.3, 0.1, 0.2), (-0.4, 0.6, 1e-4)]
  + [(0, 0, 5), (0.3, -0.7, 2.2), (-1.1, -1.05, 0.6), (0, 0, 0)]
)


def roi_align_by_loops(features, center, side, samples):
  """Averages over one box of one picture, as RoIAlign is defined."""
  height, width, channels = features.shape
  total = np.zeros(channels)
  for i in range(samples):
    for k in range(samples):
      x = center[0] - side / 2 + (k + 0.5) * side / samples
      y = center[1] - side / 2 + (i + 0.5) * side / samples
      column, row = (x + 1) / 2 * width - 0.5, (y + 1) / 2 * height - 0.5
      if not (-1 <= column <= width and -1 <= row <= height):
        continue
      column, row = min(max(column, 0), width - 1), min(max(row, 0), height - 1)
      left, top = int(column), int(row)
      right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
      u, v = column - left, row - top
      total += (1 - u) * (1 - v) * features[top, left]
      total += u * (1 - v) * features[top, right]
      total += (1 - u) * v * features[bottom, left]
      total += u * v * features[bottom, right]
  return total / samples**2


def boxes_of_pictures():
  """The centers and sides of the boxes, of which each is in its own picture."""
  boxes = np.array(BOXES, np.float32)
  return boxes[:, None, :2], boxes[:, 2]


@pytest.mark.parametrize('size', [(8, 8), (5, 7), (1, 1)])
@pytest.mark.parametrize('samples', [1, 2, 3])
def test_by_loops(size, samples):
  centers, sides = boxes_of_pictures()
  features = random(len(sides), *size, 3)
  y = roi_align(features, centers, sides, samples=samples)
  assert y.shape == (len(sides), 1, 3) and y.dtype == jnp.float32
  expected = [
    roi_align_by_loops(picture, center[0], side, samples)
    for picture, center, side in zip(
      features, centers.astype(float), sides.astype(float), strict=True
    )
  ]
  np.testing.assert_allclose(y[:, 0], expected, rtol=0, atol=1e-5)


def test_all_joints_of_a_picture_have_its_side():
  features, centers = random(2, 3, 6, 6, 4), random(2, 3, 5, 2) * 0.4
  sides = np.linspace(0.2, 1, 6, dtype=np.float32).reshape(2, 3)
  y = roi_align(features, centers, sides)
  assert y.shape == (2, 3, 5, 4)
  for i, k in np.ndindex(2, 3):
    for j in range(5):
      box = centers[i, k, j].astype(float), float(sides[i, k])
      expected = roi_align_by_loops(features[i, k], *box, 2)
      np.testing.assert_allclose(y[i, k, j], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize('size', [(8, 8), (5, 7)])
@pytest.mark.parametrize('samples', [1, 2])
def test_equals_torchvision(size, samples):
  torch = pytest.importorskip('torch', reason='needs the torch extra')
  ops = pytest.importorskip('torchvision', reason='no torchvision').ops
  centers, sides = boxes_of_pictures()
  features = random(len(sides), *size, 3)
  cells = np.array(size[::-1])
  middle = (centers[:, 0] + 1) / 2 * cells
  half = sides[:, None] / 4 * cells
  rois = np.concatenate(
    [np.arange(len(sides))[:, None], middle - half, middle + half], axis=1
  )
  expected = ops.roi_align(
    torch.from_numpy(features).permute(0, 3, 1, 2),
    torch.from_numpy(rois.astype(np.float32)),
    output_size=1,
    sampling_ratio=samples,
    aligned=True,
  )
  y = roi_align(features, centers, sides, samples=samples)
  np.testing.assert_allclose(
    y[:, 0], expected.numpy()[..., 0, 0], rtol=0, atol=1e-5
  )


def test_a_constant_map_stays_constant_within_its_edges():
  features = np.full((1, 4, 4, 2), 7, np.float32)
  centers = np.random.default_rng(0).uniform(-1, 1, (1, 50, 2))
  y = roi_align(features, centers, np.full(1, 0.4))
  np.testing.assert_allclose(y, 7, rtol=1e-6)


def test_a_ramp_gives_the_center():
  x = (np.arange(8, dtype=np.float32) + 0.5) / 4 - 1
  features = np.stack(np.meshgrid(x, x), axis=-1)[None]
  centers = np.random.default_rng(0).uniform(-0.6, 0.6, (1, 20, 2))
  y = roi_align(features, centers, np.full(1, 0.3))
  np.testing.assert_allclose(y, centers, rtol=0, atol=1e-6)


@pytest.mark.parametrize('argument', [0, 1, 2])
def test_gradients_by_finite_differences(argument):
  features, centers = random(1, 3, 4, 2), random(1, 3, 2, seed=1) * 0.6
  arguments = [features, centers, np.array([0.7], np.float32)]

  @jax.jit
  def total(x):
    given = [x if i == argument else a for i, a in enumerate(arguments)]
    return jnp.sum(jnp.sin(roi_align(*given)))

  x = arguments[argument]
  gradient = np.asarray(jax.grad(total)(x))
  assert (gradient != 0).any()
  for place in np.ndindex(x.shape):
    step = np.zeros_like(x)
    step[place] = 1e-3
    slope = float(total(x + step) - total(x - step)) / 2e-3
    assert gradient[place] == pytest.approx(slope, rel=1e-2, abs=2e-3)


def test_narrow_features_are_summed_wide():
  features = random(1, 16, 16, 4)
  centers, sides = random(1, 6, 2) * 0.4, np.full(1, 1.5, np.float32)
  expected = roi_align(features, centers, sides, samples=8)
  narrow = jnp.asarray(features, jnp.bfloat16)
  y = roi_align(narrow, centers, sides, samples=8)
  assert y.dtype == jnp.float32
  np.testing.assert_allclose(y, expected, rtol=0, atol=4e-3)

  def total(*arguments):
    return jnp.sum(roi_align(*arguments))

  gradients = jax.jit(jax.grad(total, (0, 1, 2)))(narrow, centers, sides)
  assert [x.dtype.name for x in gradients] == ['bfloat16', 'float32', 'float32']
  assert all(np.isfinite(np.asarray(x, np.float32)).all() for x in gradients)


def test_mean_bone_length_by_loops():
  joints = random(3, 16, 2)
  expected = np.zeros(3)
  for child, parent in enumerate(H36M.parents):
    if parent >= 0:
      expected += np.hypot(*(joints[:, child] - joints[:, parent]).T) / 15
  y = mean_bone_length(joints, H36M)
  np.testing.assert_allclose(y, expected, rtol=1e-6)


def test_mean_bone_length_has_a_gradient_at_zero_length():
  gradient = jax.jit(
    jax.grad(functools.partial(mean_bone_length, skeleton=CHAIN))
  )
  joints = jnp.zeros((CHAIN.num_joints, 2))
  np.testing.assert_array_equal(gradient(joints), 0)
  bones = CHAIN.num_joints - 1
  (leaf,) = set(range(CHAIN.num_joints)) - set(CHAIN.parents)
  moved = np.asarray(gradient(joints.at[leaf].set(jnp.array([3.0, 4.0]))))
  np.testing.assert_allclose(moved[leaf], [0.6 / bones, 0.8 / bones], rtol=1e-6)
