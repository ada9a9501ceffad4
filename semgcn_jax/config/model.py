"""The settings of the network."""

import dataclasses

from semgcn_jax.config.fields import (
  FRAME_RATE,
  NOT_NEGATIVE,
  POSITIVE,
  SHARE,
  Group,
  Range,
  between,
  setting,
)
from semgcn_jax.errors import SettingError
from semgcn_jax.geometry.joint_sets import LIFTED

# The heads of `conv=gat`: those of GAT's layers with residuals
# (arXiv:1710.10903).
ATTENTION_HEADS = 4

_ODD = Range(
  'an odd number from 3 to 501', lambda x: 3 <= x <= 501 and x % 2 == 1
)


@dataclasses.dataclass(frozen=True)
class ModelConfig(Group):
  """The network and its initial weights."""

  model: str = setting(
    'semgcn',
    'Choose the network, with its published sizes.',
    choices=('semgcn', 'semgcn_temporal', 'linear', 'st_gcn'),
  )
  hid_dim: int = setting(
    128, 'Set the channels of hidden layers.', between(1, 2**14)
  )
  num_layers: int = setting(
    4, 'Set the number of residual blocks or stages.', between(0, 100)
  )
  conv: str = setting(
    'semantic',
    "Choose semgcn's graph convolution.",
    choices=(
      *('semantic', 'channel_wise', 'vanilla', 'gat', 'agcn', 'modulated'),
    ),
  )
  non_local: bool = setting(True, 'Use non-local layers.')
  receptive_field: int = setting(
    27, 'With --model=semgcn_temporal, see this many frames per pose.', _ODD
  )
  causal: bool = setting(
    False,
    'With --model=semgcn_temporal, see no later frames, as live streams need.',
  )
  frame_rate: float = setting(
    10.0,
    'With --model=semgcn_temporal, see frames at about this rate.',
    FRAME_RATE,
  )
  dropout: float = setting(0.0, 'Drop this fraction of activations.', SHARE)
  norm_poses: int = setting(
    0,
    'Normalize about this many poses or windows of clips together (ghost batch'
    ' norm); 0 takes the whole batch.',
    NOT_NEGATIVE,
  )
  refine: str = setting(
    '', 'Refine the lifted poses this way.', choices=('', 'pose_grammar')
  )
  input_joints: tuple[str, ...] = setting(
    (),
    f'Lift keypoints of these joint sets ({", ".join(LIFTED)}, or those of the'
    " skeleton's file), from any camera; if empty, the dataset's own 2D.",
  )
  input_coordinates: str = setting(
    'ray',
    'With --input_joints, rotate and scale the 2D to the person (ray), or not'
    ' (screen).',
    choices=('ray', 'screen'),
  )
  input_confidence: bool = setting(
    True, "With --input_joints, feed it the detector's confidences."
  )
  input_fov: float = setting(
    55.0,
    'With --input_joints, assume this field of view of the longer image side'
    ' where it is unknown, in degrees.',
    between(10, 150),
  )
  expected_error: bool = setting(
    False, 'Let the network also predict the error of each joint.'
  )
  error_scale: float = setting(
    1.0,
    'Multiply the expected errors of predictions by this; export.py --calibrate'
    ' finds it.',
    POSITIVE,
  )
  init_from: str = setting(
    '',
    'Start from the weights in this run folder, or bundled under this name;'
    ' needs --refine, --input_joints or --backbone.',
  )
  freeze_init: bool = setting(
    False, 'Freeze the weights of --init_from, and train only the refinement.'
  )
  backbone: str = setting(
    '',
    'Find the 2D joints in images with this network; if empty, they are given.',
    choices=('', 'resnet50', 'resnet18', 'tiny'),
  )
  pooled_features: bool = setting(
    True,
    'With --backbone, give the graph network the features around each joint,'
    ' too.',
  )
  backbone_weights: str = setting(
    '',
    'Start the backbone from the weights in this npz, which convert_torch.py'
    " makes from torchvision's.",
  )
  backbone_precision: str = setting(
    'highest',
    "Compute the backbone in float32 (highest), in the device's preferred"
    ' precision (default), or in bfloat16.',
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
        f'`hid_dim={self.hid_dim}`: must be a multiple of the {heads} heads of'
        ' `conv=gat`'
      )
    if self.init_from and not (
      self.refine or self.input_joints or self.backbone
    ):
      raise SettingError(
        f'`init_from={self.init_from}`: needs `refine`, `input_joints` or'
        ' `backbone`; to continue a run, use `resume`'
      )
    if self.backbone_weights and not self.backbone:
      raise SettingError('`backbone_weights`: needs `backbone`')
    if self.backbone_weights and self.init_from:
      raise SettingError(
        '`backbone_weights`: `init_from` brings a backbone; give only one'
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
  def takes(self) -> str:
    """What the network takes: single 'frames', 'clips', or 'pictures'."""
    if self.backbone:
      return 'pictures'
    return 'clips' if self.is_temporal else 'frames'

  @property
  def is_temporal(self) -> bool:
    """Whether the network takes clips instead of single frames."""
    return self.model == 'semgcn_temporal'

  @property
  def input_channels(self) -> int:
    """The number of input channels, see models/inputs.py."""
    return 8 + len(self.input_joints) if self.input_joints else 2
