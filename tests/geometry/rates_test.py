import numpy as np
import pytest

from semgcn_jax.config import Config
from semgcn_jax.errors import SettingError
from semgcn_jax.geometry import rates


@pytest.mark.parametrize('fps', [0.1, 1, 29.97, 10_000, np.float32(25)])
def test_what_is_a_rate(fps):
  assert rates.is_rate(fps)
  rates.check_fps(fps)


@pytest.mark.parametrize(
  'fps', [0, 0.09, 10_001, -5, np.nan, np.inf, True, '30', None, [30.0]]
)
def test_what_is_none(fps):
  assert not rates.is_rate(fps)
  with pytest.raises(
    SettingError, match='`fps=.*0.1 to 10,000 frames per second'
  ):
    rates.check_fps(fps)


def test_settings_are_rates():
  temporal = {'model': 'semgcn_temporal'}
  assert Config().replace(fps=0.0).data.fps == 0  # It is not known.
  assert Config().replace(fps=2400.0).data.fps == 2400
  assert Config().replace(**temporal, frame_rate=1.5).model.frame_rate == 1.5
  for name, value, message in (
    ('fps', 0.01, '0.1 to 10,000'),
    ('frame_rate', 0.5, '1 to 1,000'),
  ):
    with pytest.raises(SettingError, match=f'`{name}={value}`: .*{message}'):
      Config().replace(**temporal, **{name: value})
