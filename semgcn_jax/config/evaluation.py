"""The settings of evaluation."""

import dataclasses

from semgcn_jax.config.fields import POSITIVE, Group, setting


@dataclasses.dataclass(frozen=True)
class EvaluationConfig(Group):
  """How to score poses and to choose the best epoch."""

  flip_test: bool = setting(
    False, 'Average each prediction with that for the mirrored pose.'
  )
  eval_batch_size: int = setting(
    1024, 'Score this many poses per batch.', POSITIVE
  )
  scale_calibration: bool = setting(
    False, 'Scale predictions to the canonical bone lengths before scoring.'
  )
  choose_on: str = setting(
    'last',
    'Take the last epoch as the best (last), or the one with the lowest error'
    ' on the validation subjects (val) or on the test set (test).',
    choices=('last', 'val', 'test'),
  )
