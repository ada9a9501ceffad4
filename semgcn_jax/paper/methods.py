"""The methods in the paper's Tables 1 to 3, and some that are newer."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Method:
  """A method: a row of the paper's tables.

  Attributes:
    name: The name of the method, as in `evaluation.published` if present.
    tables: The tables that contain it, keys of `TABLES`.
    fields: Its settings, on top of those of `source`.
    source: The name of the method whose run it starts from; '' for none.
  """

  name: str
  tables: tuple[str, ...]
  fields: dict[str, Any]
  source: str = ''

  @property
  def folder(self) -> str:
    """The name of its run folder."""
    words = {'w/o': 'without', 'w/': 'with'}
    name = self.name.lower().replace(',', '').split()
    return '_'.join(words.get(word, word) for word in name)


_SEMGCN = {'model': 'semgcn'}
_RESGCN = _SEMGCN | {'conv': 'vanilla', 'non_local': False}
_REFINED = {'refine': 'pose_grammar', 'freeze_init': True}
_2D = _SEMGCN | {'conv': 'channel_wise', 'stage': 'keypoints'}
_GRAPH = {'stage': 'graph'}
_NO_FP = _GRAPH | {'pooled_features': False}
# The backbone has nearly converged: smaller steps suffice; see docs/image.md.
_ALL = {'stage': 'end_to_end', 'backbone_lr': 3e-4, 'keypoint_weight': 0.02}
# Clips need consecutive frames in the test set, too.
_TEMPORAL = {
  'model': 'semgcn_temporal',
  'receptive_field': 27,
  'test_downsample': 1,
}
# A method comes after its source.
METHODS = (
  Method('ResGCN', ('1',), _RESGCN),
  Method(
    'SemGCN w/o semantic convolution', ('1',), _SEMGCN | {'conv': 'vanilla'}
  ),
  Method(
    'SemGCN w/o non-local',
    ('1', 'convolutions'),
    _SEMGCN | {'non_local': False},
  ),
  Method('SemGCN', ('1', '3', 'video', 'convolutions'), _SEMGCN),
  Method('Modulated GCN', ('convolutions',), _SEMGCN | {'conv': 'modulated'}),
  Method(
    'Modulated GCN w/o non-local',
    ('convolutions',),
    _SEMGCN | {'conv': 'modulated', 'non_local': False},
  ),
  Method('aGCN', ('3',), _RESGCN | {'conv': 'agcn'}),
  # Its width is the one that gives the published number of parameters.
  Method('GAT', ('3',), _RESGCN | {'conv': 'gat', 'hid_dim': 136}),
  Method('ST-GCN', ('3',), {'model': 'st_gcn'}),
  Method('FC', ('3',), {'model': 'linear'}),
  Method('FC w/ pose grammar', ('3',), _REFINED, source='FC'),
  Method('SemGCN w/ pose grammar', ('3',), _REFINED, source='SemGCN'),
  Method('SemGCN, 27 frames', ('video',), _TEMPORAL),
  Method('SemGCN, 27 frames, causal', ('video',), _TEMPORAL | {'causal': True}),
  # From images: a ResNet (RN), without and with feature pooling (FP).
  Method('2D network', ('2',), _2D),
  Method('SemGCN frozen RN w/o FP', ('2',), _NO_FP, source='2D network'),
  Method('SemGCN frozen RN w/ FP', ('2',), _GRAPH, source='2D network'),
  Method('SemGCN RN w/ FP', ('2',), _ALL, source='SemGCN frozen RN w/ FP'),
)
# {table: whether its methods see images}. The rows of Table 2 that are given
# the 2D are in the others. The last two tables are not the paper's.
TABLES = {
  '1': False,
  '2': True,
  '3': False,
  'video': False,
  'convolutions': False,
}
# The settings that distinguish methods, which the user cannot give.
DIFFERING = (
  *('model', 'conv', 'non_local', 'refine', 'init_from'),
  *('stage', 'pooled_features', 'receptive_field', 'causal'),
)


def named(name: str) -> Method:
  """Returns the method of this name, which must exist."""
  return next(method for method in METHODS if method.name == name)
