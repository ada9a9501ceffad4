"""Published results on Human3.6M, printed beside ours.

Those of the paper, arXiv:1904.03345, are from its Tables 1 to 3: MPJPE in mm.
Those of the released code are from the table of its README: means over actions,
by Protocol 1 and Protocol 2, in mm.
"""

from semgcn_jax.config import Config, DataConfig, ModelConfig
from semgcn_jax.data.h36m import ACTIONS

# The tables are by the row and its input, which is the setting `keypoints`, or
# 'pictures' where the network finds the 2D itself.

# From the paper's Table 2: {(row, input): the MPJPE of each action}.
PER_ACTION = {
  ('SemGCN', 'gt'): (
    *(37.8, 49.4, 37.6, 40.9, 45.1, 41.4, 40.1, 48.3),
    *(50.1, 42.2, 53.5, 44.3, 40.5, 47.3, 39.0),
  ),
  ('SemGCN', 'sh_ft_h36m'): (
    *(48.2, 60.8, 51.8, 64.0, 64.6, 53.6, 51.1, 67.4),
    *(88.7, 57.7, 73.2, 65.6, 48.9, 64.8, 51.9),
  ),
  ('SemGCN RN w/ FP', 'pictures'): (
    *(47.3, 60.7, 51.4, 60.5, 61.1, 49.9, 47.3, 68.1),
    *(86.2, 55.0, 67.8, 61.0, 42.1, 60.6, 45.3),
  ),
}

# From the paper's Table 2, other methods: {method: the MPJPE of each action,
# then their mean}. None means not legible in the copy of the paper at hand.
OTHERS = {
  'Ionescu et al., PAMI 2016': (
    *(132.7, 183.6, 132.3, None, 162.1, 205.9, 150.6, 171.3),
    *(151.6, 243.0, 162.1, 170.7, 177.1, 96.6, 127.9, 162.1),
  ),
  'Tekin et al., CVPR 2016': (
    *(102.4, 147.2, 88.8, None, 118.0, 182.7, 112.4, 129.2),
    *(138.9, 224.9, 118.4, 138.8, 126.3, 55.1, 65.8, 125.0),
  ),
  'Zhou et al., CVPR 2016': (
    *(87.4, 109.3, 87.1, None, None, 143.3, 106.9, 99.8),
    *(124.5, 199.2, 107.4, 118.1, 114.2, 79.4, 97.7, 113.0),
  ),
  'Du et al., ECCV 2016': (
    *(85.1, 112.7, 104.9, None, 139.1, 135.9, 105.9, 166.2),
    *(117.5, 226.9, 120.0, 117.7, 137.4, 99.3, 106.5, 126.5),
  ),
  'Chen & Ramanan, CVPR 2017': (
    *(89.9, 97.6, 89.9, None, 107.3, 139.2, 93.6, 136.0),
    *(133.1, 240.1, 106.6, 106.2, 87.0, 114.0, 90.5, 114.1),
  ),
  'Pavlakos et al., CVPR 2017': (
    *(67.4, 71.9, None, None, 72.0, 77.0, 65.0, 68.3),
    *(83.7, 96.5, 71.7, 65.8, 74.9, 59.1, 63.2, 71.9),
  ),
  'Mehta et al., 3DV 2017': (
    *(52.6, 64.1, None, None, 71.6, 79.5, 52.8, 68.6),
    *(91.8, 118.4, 65.7, 63.5, 49.4, 76.4, 53.5, 68.6),
  ),
  'Zhou et al., ICCV 2017': (
    *(54.8, 60.7, None, None, None, 65.5, 53.8, 55.6),
    *(75.2, 111.6, 64.1, 66.0, 51.4, 63.2, 55.3, 64.9),
  ),
  'Martinez et al., ICCV 2017': (
    *(51.8, 56.2, None, None, 69.5, 78.4, 55.2, 58.1),
    *(74.0, 94.6, 62.3, 59.1, 65.1, 49.5, 52.4, 62.9),
  ),
  'Sun et al., ICCV 2017': (
    *(52.8, None, None, None, 61.8, 53.1, 53.6, 71.7),
    *(86.7, 61.5, 67.2, 53.4, 47.1, 61.6, 53.4, 59.1),
  ),
  'Fang et al., AAAI 2018': (
    *(50.1, 54.3, None, None, 66.6, 73.3, 53.4, 55.7),
    *(72.8, 88.6, 60.3, 57.7, 62.7, 47.5, 50.6, 60.4),
  ),
  'Yang et al., CVPR 2018': (
    *(51.5, 58.9, None, None, 62.1, 65.4, 49.8, 52.7),
    *(69.2, 85.2, 57.4, 58.4, 43.6, 60.1, 47.7, 58.6),
  ),
  'Hossain & Little, ECCV 2018': (
    *(48.4, 50.7, None, None, 63.1, 72.6, 53.0, 51.7),
    *(66.1, 80.9, 59.0, 57.3, 62.4, 46.6, 49.6, 58.3),
  ),
}

# From the paper's Tables 1 to 3: {(row, input): the mean MPJPE}.
PAPER = {
  ('SemGCN', 'gt'): 43.8,
  ('SemGCN', 'sh_ft_h36m'): 60.8,
  ('SemGCN w/o non-local', 'gt'): 52.5,
  ('SemGCN w/o semantic convolution', 'gt'): 65.9,
  ('ResGCN', 'gt'): 94.4,
  ('FC', 'gt'): 45.5,
  ('FC', 'sh_ft_h36m'): 62.9,
  ('aGCN', 'gt'): 82.9,
  ('GAT', 'gt'): 82.9,
  ('ST-GCN', 'gt'): 57.4,
  ('FC w/ pose grammar', 'gt'): 43.3,
  ('FC w/ pose grammar', 'sh_ft_h36m'): 60.4,
  ('SemGCN w/ pose grammar', 'gt'): 42.5,
  ('SemGCN w/ pose grammar', 'sh_ft_h36m'): 59.8,
  ('SemGCN RN w/ FP', 'pictures'): 57.6,
}

# From the released code: {(row, input): (Protocol 1, Protocol 2)}.
RELEASED = {
  ('SemGCN', 'gt'): (40.78, 31.46),
  ('SemGCN', 'sh_ft_h36m'): (61.24, 47.71),
  ('SemGCN w/o non-local', 'gt'): (42.14, 33.53),
  ('FC', 'gt'): (44.40, 35.25),
  ('FC', 'sh_ft_h36m'): (63.48, 48.15),
}


def row(config: ModelConfig) -> str:
  """Names a model as the paper's tables do; '' if they do not.

  Of the networks that see pictures they have one: with a ResNet-50 (RN) and
  feature pooling (FP).
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
  """Tells whether scores are on Human3.6M's published split, of all actions."""
  another_split = (
    config.train_subjects or config.test_subjects or config.actions
  )
  return config.dataset == 'h36m' and not another_split


def references(config: Config) -> tuple[dict[str, float], str]:
  """Finds what was published for the model of a run.

  It is of Human3.6M's standard split, and of models that predict poses, as one
  of the stage `keypoints` does not yet.

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
