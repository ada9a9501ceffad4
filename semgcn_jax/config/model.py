"""The settings of the network."""

import dataclasses

from semgcn_jax.config.fields import (
  NOT_NEGATIVE,
  RATE,
  SHARE,
  Group,
  Range,
  setting,
)
from semgcn_jax.errors import SettingError
from semgcn_jax.geometry.joint_sets import LIFTED

# The heads of `conv=gat`: as many as GAT (arXiv:1710.10903) has in the layers
# that it adds residuals to.
ATTENTION_HEADS = 4


@dataclasses.dataclass(frozen=True)
class ModelConfig(Group):
  """The network, and the weights that it starts with."""

  model: str = setting(
    'semgcn',
    'Choose the network, with its published sizes.',
    choices=('semgcn', 'semgcn_temporal', 'linear', 'st_gcn'),
  )
  hid_dim: int = setting(
    128,
    'Set the channels of hidden layers.',
    Range('from 1 to 16384', lambda x: 1 <= x <= 2**14),
  )
  num_layers: int = setting(
    4,
    'Set the number of residual blocks or stages.',
    Range('from 0 to 100', lambda x: 0 <= x <= 100),
  )
  conv: str = setting(
    'semantic',
    "Choose semgcn's graph convolution.",
    choices=('semantic', 'channel_wise', 'vanilla', 'gat', 'agcn'),
  )
  non_local: bool = setting(True, 'Use non-local layers.')
  receptive_field: int = setting(
    27,
    'With --model=semgcn_temporal, let a pose depend on this many frames.',
    Range(
      'an odd number from 3 to 501',
      lambda x: 3 <= x <= 501 and x % 2 == 1,
    ),
  )
  causal: bool = setting(
    False,
    'With --model=semgcn_temporal, let a pose depend on no later frames, as a'
    ' live stream needs it.',
  )
  frame_rate: float = setting(
    10.0,
    'With --model=semgcn_temporal, take about this many frames a second.',
    RATE,
  )
  dropout: float = setting(0.0, 'Drop this share of activations.', SHARE)
  norm_poses: int = setting(
    0,
    'Normalise about this many poses, or windows of clips, together (ghost'
    ' batch norm); 0 takes the whole batch.',
    NOT_NEGATIVE,
  )
  refine: str = setting(
    '',
    'Refine what the model lifts, by a pose grammar.',
    choices=('', 'pose_grammar'),
  )
  input_joints: tuple[str, ...] = setting(
    (),
    'Lift the keypoints of these joint sets, seen by any camera; if empty, the'
    " 2D of the dataset's own cameras.",
    choices=LIFTED,
  )
  input_coordinates: str = setting(
    'ray',
    'With --input_joints, turn and scale the 2D to the person (ray), or leave'
    ' it on the screen.',
    choices=('ray', 'screen'),
  )
  input_confidence: bool = setting(
    True, 'With --input_joints, show the network how sure the detector is.'
  )
  input_fov: float = setting(
    55.0,
    "With --input_joints, assume this field of view of an image's longer side,"
    ' in degrees, where it is not known.',
    Range('from 10 to 150', lambda x: 10 <= x <= 150),
  )
  expected_error: bool = setting(
    False, 'Let the network also predict the error of each joint.'
  )
  init_from: str = setting(
    '',
    'Start with the weights of the run in this folder, or of this name in the'
    ' box; needs --refine, --input_joints or --backbone.',
  )
  freeze_init: bool = setting(
    False, 'Keep the weights of --init_from, and train the refinement alone.'
  )
  backbone: str = setting(
    '',
    'Find the 2D joints in pictures by this network; if empty, they are given.',
    choices=('', 'resnet50', 'resnet18', 'tiny'),
  )
  pooled_features: bool = setting(
    True,
    'With --backbone, show the graph network the features around each joint,'
    ' beside its 2D.',
  )
  backbone_weights: str = setting(
    '',
    'Start the backbone with the weights in this npz, which convert_torch.py'
    " makes of torchvision's.",
  )
  backbone_precision: str = setting(
    'highest',
    'Compute the backbone in float32 (highest), in what the device prefers'
    ' (default), or in bfloat16.',
    choices=('highest', 'default', 'bfloat16'),
  )

  def __post_init__(self):
    super().__post_init__()
    if self.norm_poses == 1:
      raise SettingError(
        '`norm_poses=1`: one pose has no variance; use 2 or more'
      )
    heads = ATTENTION_HEADS if self.conv == 'gat' else 1
    if self.model.startswith('semgcn') and self.hid_dim % heads:
      raise SettingError(
        f'`hid_dim={self.hid_dim}`: must be a multiple of the'
        f' {heads} heads of `conv=gat`'
      )
    if self.init_from and not (
      self.refine or self.input_joints or self.backbone
    ):
      raise SettingError(
        f'`init_from={self.init_from}`: needs `refine`, `input_joints` or'
        ' `backbone`; a run is continued by `resume`'
      )
    if self.backbone_weights and not self.backbone:
      raise SettingError('`backbone_weights`: needs `backbone`')
    if self.backbone_weights and self.init_from:
      raise SettingError(
        '`backbone_weights`: `init_from` brings a backbone; give one of both'
      )
    for name in ('refine', 'input_joints', 'expected_error'):
      if self.backbone and getattr(self, name):
        raise SettingError(f'`{name}`: cannot be combined with `backbone`')
    for name in ('refine', 'backbone'):
      if self.is_temporal and getattr(self, name):
        raise SettingError(
          f'`{name}`: cannot be combined with `model=semgcn_temporal`'
        )
    if self.is_temporal and self.hid_dim % 4:
      raise SettingError(
        f'`hid_dim={self.hid_dim}`: must be a multiple of 4 with'
        ' `model=semgcn_temporal`'
      )
    if self.freeze_init and not (self.init_from and self.refine):
      raise SettingError('`freeze_init`: needs `init_from` and `refine`')
    if len({*self.input_joints}) < len(self.input_joints):
      raise SettingError('`input_joints`: names a joint set twice')
    if self.input_joints and self.refine:
      raise SettingError('`input_joints`: cannot be combined with `refine`')

  @property
  def task(self) -> str:
    """What the network takes: single 'frames', 'clips', or 'pictures'."""
    if self.backbone:
      return 'pictures'
    return 'clips' if self.is_temporal else 'frames'

  @property
  def is_temporal(self) -> bool:
    """Whether the network takes clips, not single frames."""
    return self.model == 'semgcn_temporal'

  @property
  def input_channels(self) -> int:
    """The number of channels of the network's input, see models/inputs.py."""
    return 8 + len(self.input_joints) if self.input_joints else 2
