"""Skeletons other than Human3.6M's, for the tests."""

from semgcn_jax.geometry.skeletons import Skeleton

# Groups of unequal sizes: the wrist with the knuckles, and each finger's rest.
HAND = Skeleton(
  joints=('Wrist',)
  + tuple(f'{finger}{k}' for finger in 'TIMRP' for k in range(4)),
  parents=(-1,)
  + tuple(0 if k == 0 else 4 * f + k for f in range(5) for k in range(4)),
  groups=(
    (0, 1, 5, 9, 13, 17),
    *(tuple(range(4 * f + 2, 4 * f + 5)) for f in range(5)),
  ),
)
CHAIN = Skeleton(joints=tuple('abcde'), parents=(-1, 0, 1, 2, 3))
