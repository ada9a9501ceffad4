"""Retrains the methods in the paper's tables, and compares them."""

import dataclasses

from semgcn_jax.commands.flags.shared import CacheFlags
from semgcn_jax.commands.parsing import EVERY_SETTING
from semgcn_jax.config import Config
from semgcn_jax.config.fields import setting
from semgcn_jax.config.presets import PRESETS
from semgcn_jax.errors import choose


@dataclasses.dataclass(frozen=True)
class Flags(CacheFlags):
  """The flags of the command; --preset may list several."""

  settings = EVERY_SETTING
  tables: tuple[str, ...] = setting(
    ('1', '3'),
    'Retrain the methods in these tables of the paper: 1 and 3 (given the 2D)'
    ' or 2 (from images); or newer ones: video (see time), or convolutions.',
  )
  workdir: str = setting(
    'runs/reproduce', 'Keep the runs and the report in this folder.'
  )

  @property
  def presets(self) -> list[str]:
    """The presets to train with."""
    return self.given.get('preset', Config.preset).split(',')

  def validate(self) -> None:
    """Checks what can be checked before anything is read."""
    for name in self.presets:
      choose('preset', name, PRESETS)
