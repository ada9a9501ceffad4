import pytest
from released import KINDS, make_state

from semgcn_jax.export.torch_names import entries


@pytest.mark.parametrize('kind', KINDS)
def test_order_of_the_optimizer_is_that_of_the_state_dict(kind):
  settings, _ = make_state(kind)
  names = [entry.torch for entry in entries(settings.model)]
  assert len(set(names)) == len(names)
  if kind == 'semgcn':
    assert names[:5] == [
      *('gconv_input.0.gconv.W', 'gconv_input.0.gconv.e'),
      *('gconv_input.0.gconv.bias', 'gconv_input.0.bn.weight'),
      'gconv_input.0.bn.bias',
    ]
