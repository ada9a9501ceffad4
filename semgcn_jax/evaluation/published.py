"""Published results on Human3.6M, printed beside ours.

They are in published.json: the paper's (arXiv:1904.03345) from its Tables 1 to
3, and the released code's from its README.
"""

import json
import pathlib
from typing import Any

from semgcn_jax.config import Config, DataConfig, ModelConfig
from semgcn_jax.data.h36m import ACTIONS

_FILE: dict[str, Any] = json.loads(
  pathlib.Path(__file__).with_suffix('.json').read_text()
)


def _column(name: str) -> dict[tuple[str, str], Any]:
  """Returns {(method, input): value}.

  The input is the setting `keypoints`, or 'pictures' where the network finds
  the 2D itself.
  """
  rows = [row for row in _FILE['semgcn'] if name in row]
  return {(row['method'], row['input']): row[name] for row in rows}


# The mean MPJPE in mm, and that of each action (from Table 2).
PAPER: dict[tuple[str, str], float] = _column('paper')
PER_ACTION: dict[tuple[str, str], list[float]] = _column('actions')
# The released code's means over actions in mm, by Protocol 1 and Protocol 2.
RELEASED: dict[tuple[str, str], list[float]] = _column('released')
# Other methods, from Table 2: {method: the MPJPE of each action, then their
# mean}. None is not legible in the copy of the paper at hand.
OTHERS: dict[str, list[float | None]] = _FILE['others']


def row(config: ModelConfig) -> str:
  """Returns a model's name in the paper's tables; '' if it is not there.

  Their only network that sees images has a ResNet-50 (RN) and feature pooling
  (FP).
  """
  if config.backbone:
    parts = config.backbone, config.model, config.conv
    has_all = config.pooled_features and config.non_local
    the_papers = has_all and parts == ('resnet50', 'semgcn', 'channel_wise')
    return 'SemGCN RN w/ FP' if the_papers else ''
  name = {
    'semgcn': {
      ('semantic', True): 'SemGCN',
      ('semantic', False): 'SemGCN w/o non-local',
      ('vanilla', True): 'SemGCN w/o semantic convolution',
      ('vanilla', False): 'ResGCN',
      ('agcn', False): 'aGCN',
      ('gat', False): 'GAT',
    }.get((config.conv, config.non_local), ''),
    'linear': 'FC',
    'st_gcn': 'ST-GCN',
  }.get(config.model, '')
  return f'{name} w/ pose grammar' if config.refine and name else name


def is_standard(config: DataConfig) -> bool:
  """Whether scores are on Human3.6M's published split, with all actions."""
  chosen = config.train_subjects or config.test_subjects or config.actions
  return config.dataset == 'h36m' and not chosen


def references(config: Config) -> tuple[dict[str, float], str]:
  """Finds the published results of the model of a run.

  Returns:
    The paper's MPJPE in mm of each action and of the 'mean of actions', and a
    line on the released code; either is empty where nothing was published.
  """
  if not is_standard(config.data) or config.scored_by != 'mpjpe':
    return {}, ''
  sees = config.model.backbone
  key = row(config.model), 'pictures' if sees else config.data.keypoints
  table = dict(zip(ACTIONS, PER_ACTION.get(key, ()), strict=False))
  if key in PAPER:
    table['mean of actions'] = PAPER[key]
  line = ''
  if key in RELEASED:
    line = 'released code: MPJPE {:.2f}, P-MPJPE {:.2f}, mean of actions'
    line = line.format(*RELEASED[key])
  return table, line
