import numpy as np
import pytest

from semgcn_jax.data.synthetic import generate
from semgcn_jax.geometry.skeletons import H36M, bone_vectors
from semgcn_jax.simulation import test_films
from semgcn_jax.simulation.points import joint_of, side_pairs


@pytest.fixture(scope='module')
def clip():
  """A clip of the synthetic motion, `[12, 16, 3]`, z up."""
  clips = generate(0)['S1']
  return np.asarray(clips[next(iter(clips))][:12], float)


@pytest.fixture(scope='module')
def filmed(clip):
  return test_films.film(np.random.default_rng([3, 7, 1]), clip)


def test_published_films_stay_as_they_are(filmed):
  """What the first release of these films has, for the same random numbers."""
  assert filmed['size'].tolist() == [[1280, 720]] * 12
  np.testing.assert_allclose(filmed['focal'], 1397.48645, rtol=1e-6)
  np.testing.assert_allclose(filmed['pitch'], 4.7085695, rtol=1e-6)
  for name, expected in (
    ('root', (0.8694468, -0.0204089, 3.7095068)),
    ('targets', (-0.0797358, 0.4272951, -0.1525807)),
    ('clean', (889.590515, 176.458374, 1.0)),
    ('noisy', (894.147644, 202.959885, 0.6500311)),
  ):
    first = filmed[name][0] if name == 'root' else filmed[name][0, 5]
    np.testing.assert_allclose(first, expected, rtol=1e-6, atol=1e-6)


def test_people_keep_their_bones_and_fill_the_image(clip, filmed):
  lengths = [
    np.sort(np.linalg.norm(bone_vectors(poses, H36M), axis=-1))
    for poses in (clip, filmed['targets'])
  ]
  np.testing.assert_allclose(*lengths, atol=1e-5)
  low, high = (
    function(filmed['clean'][..., :2], axis=(0, 1))
    for function in (np.min, np.max)
  )
  share = ((high - low) / filmed['size'][0]).max()
  assert 0.45 - 0.02 < share < 0.95 + 0.02
  assert (low >= 0).all() and (high <= filmed['size'][0]).all()


def test_sequences_cover_a_clip():
  clip = np.arange(203)
  cut = list(test_films.cut(np.random.default_rng(0), clip))
  joined = np.concatenate(cut)
  np.testing.assert_array_equal(joined, clip[: len(joined)])
  assert len(clip) - len(joined) < 10
  assert all(10 <= len(part) <= 50 for part in cut)


def test_sides_and_joints_of_points():
  names = ('nose', 'left_ear', 'right_hip', 'right_ear', 'left_hip')
  assert side_pairs(names) == ((1, 3), (4, 2))
  joints = [H36M.joints[joint_of(name)] for name in names]
  assert joints == ['Head', 'Head', 'RHip', 'Head', 'LHip']
