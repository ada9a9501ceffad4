import jax
import jax.numpy as jnp
import numpy as np
import optax

from semgcn_jax.training.packing import map_like, packing

TREE = {
  'a': {'kernel': jnp.arange(6.0).reshape(2, 3), 'bias': jnp.array([7.0, 8])},
  'b': {'scale': jnp.array(9.0), 'kernel': jnp.array([[[10.0]]])},
}


def test_packing_and_back():
  pack, unpack = packing(TREE)
  vectors = pack(TREE)
  # Leaves in the order of their names.
  np.testing.assert_array_equal(vectors['kernel'], [0, 1, 2, 3, 4, 5, 10])
  np.testing.assert_array_equal(vectors['rest'], [7, 8, 9])
  back = unpack(vectors)
  assert jax.tree.structure(back) == jax.tree.structure(TREE)
  jax.tree.map(np.testing.assert_array_equal, back, TREE)


def test_gradients_come_packed():
  pack, unpack = packing(TREE)
  grads = jax.grad(
    lambda v: sum(jnp.sum(x**2) for x in jax.tree.leaves(unpack(v)))
  )
  packed = grads(pack(TREE))
  jax.tree.map(
    np.testing.assert_array_equal,
    packed,
    jax.tree.map(lambda x: 2 * x, pack(TREE)),
  )


def test_a_tree_without_kernels_is_one_vector():
  pack, unpack = packing({'norm': {'mean': jnp.ones(3)}})
  assert list(pack({'norm': {'mean': jnp.ones(3)}})) == ['rest']
  assert unpack({'rest': jnp.zeros(3)})['norm']['mean'].shape == (3,)


def test_the_moments_of_an_optimizer_are_packed_like_the_parameters():
  pack, unpack = packing(TREE)
  tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1))
  state = tx.init(TREE)
  packed = map_like(pack, state, TREE)
  expected = tx.init(pack(TREE))
  assert jax.tree.structure(packed) == jax.tree.structure(expected)
  back = map_like(unpack, packed, pack(TREE))
  jax.tree.map(np.testing.assert_array_equal, back, state)
