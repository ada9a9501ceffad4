"""Published Human3.6M results, printed beside ours.

The paper: arXiv:1904.03345, tables 1 to 3, MPJPE in mm. The released code: the
table of its README, mean over actions, Protocol 1 and Protocol 2 in mm.
"""

from semgcn_jax.config import Config

ACTIONS = (
  *('Directions', 'Discussion', 'Eating', 'Greeting', 'Phoning', 'Photo'),
  *('Posing', 'Purchases', 'Sitting', 'SittingDown', 'Smoking', 'Waiting'),
  *('WalkDog', 'Walking', 'WalkTogether'),
)

# {(row, keypoints): MPJPE of each action}, the paper's Table 2.
PER_ACTION = {
  ('SemGCN', 'gt'): (
    *(37.8, 49.4, 37.6, 40.9, 45.1, 41.4, 40.1, 48.3),
    *(50.1, 42.2, 53.5, 44.3, 40.5, 47.3, 39.0),
  ),
  ('SemGCN', 'sh_ft_h36m'): (
    *(48.2, 60.8, 51.8, 64.0, 64.6, 53.6, 51.1, 67.4),
    *(88.7, 57.7, 73.2, 65.6, 48.9, 64.8, 51.9),
  ),
}

# {(row, keypoints): mean MPJPE}, the paper's Tables 1 and 3.
PAPER = {
  ('SemGCN', 'gt'): 43.8,
  ('SemGCN', 'sh_ft_h36m'): 60.8,
  ('SemGCN w/o non-local', 'gt'): 52.5,
  ('SemGCN w/o semantic convolution', 'gt'): 65.9,
  ('ResGCN', 'gt'): 94.4,
  ('FC', 'gt'): 45.5,
  ('FC', 'sh_ft_h36m'): 62.9,
}

# {(row, keypoints): (Protocol 1, Protocol 2)}, the released code.
RELEASED = {
  ('SemGCN', 'gt'): (40.78, 31.46),
  ('SemGCN', 'sh_ft_h36m'): (61.24, 47.71),
  ('SemGCN w/o non-local', 'gt'): (42.14, 33.53),
  ('FC', 'gt'): (44.40, 35.25),
  ('FC', 'sh_ft_h36m'): (63.48, 48.15),
}


def row(config: Config) -> str:
  """The configuration's name in the paper's Tables 1 and 3; '' for others."""
  if config.model == 'linear':
    return 'FC'
  return {
    ('semantic', True): 'SemGCN',
    ('semantic', False): 'SemGCN w/o non-local',
    ('vanilla', True): 'SemGCN w/o semantic convolution',
    ('vanilla', False): 'ResGCN',
  }.get((config.conv, config.non_local), '')


def references(config: Config) -> tuple[dict[str, float], str]:
  """What was published for a configuration on Human3.6M's standard split.

  Returns:
    {action, or 'mean of actions': the paper's MPJPE in mm}, and a line on the
    released code; both empty where nothing was published.
  """
  another_split = (
    config.train_subjects or config.test_subjects or config.actions
  )
  if config.dataset != 'h36m' or another_split:
    return {}, ''
  key = row(config), config.keypoints
  table = dict(zip(ACTIONS, PER_ACTION.get(key, ()), strict=False))
  if key in PAPER:
    table['mean of actions'] = PAPER[key]
  line = ''
  if key in RELEASED:
    line = 'released code: MPJPE {:.2f}, P-MPJPE {:.2f}, mean of actions'
    line = line.format(*RELEASED[key])
  return table, line
