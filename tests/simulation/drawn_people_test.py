import dataclasses

import numpy as np
from filmed import moving

from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.simulation import drawn_people
from semgcn_jax.simulation.draws import Draws


def test_nobody_is_in_both_splits():
  seen = {
    train: drawn_people.numbers(Draws((0, int(train)), range(500)), train=train)
    for train in (True, False)
  }
  assert not set(seen[True]) & set(seen[False])
  assert len(set(seen[True])) > 400
  looks = {
    train: drawn_people.make(0, numbers) for train, numbers in seen.items()
  }
  for name in ('bones', 'girth', 'colors'):
    rows = {
      train: {tuple(row.ravel()) for row in getattr(look, name)}
      for train, look in looks.items()
    }
    assert not rows[True] & rows[False]


def test_a_person_stays_the_same():
  first, second = (
    drawn_people.make(7, numbers)
    for numbers in (np.array([8, 3]), np.array([3]))
  )
  for field in dataclasses.fields(drawn_people.People):
    np.testing.assert_array_equal(
      getattr(first, field.name)[1:], getattr(second, field.name)
    )
  assert 0 <= first.colors.min() and first.colors.max() <= 1
  other = drawn_people.make(8, np.array([3]))
  assert not np.array_equal(other.colors, second.colors)


def test_bodies_get_other_sizes():
  poses = moving(25)
  someone = drawn_people.make(0, np.arange(25))
  new = drawn_people.reshape(poses, someone)
  np.testing.assert_array_equal(new[:, 0], poses[:, 0])
  for parent, child in H36M.bones:
    old_bone = poses[:, child] - poses[:, parent]
    new_bone = new[:, child] - new[:, parent]
    factor = np.linalg.norm(new_bone, axis=-1) / np.linalg.norm(
      old_bone, axis=-1
    )
    np.testing.assert_allclose(factor, someone.bones[:, child], rtol=1e-5)
    np.testing.assert_allclose(new_bone, old_bone * factor[:, None], atol=1e-5)
  for left, right in zip(H36M.left, H36M.right, strict=True):
    np.testing.assert_array_equal(
      someone.bones[:, left], someone.bones[:, right]
    )
  assert 0.87 < someone.bones.min() and someone.bones.max() < 1.13
