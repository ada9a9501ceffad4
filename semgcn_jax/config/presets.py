"""Named settings: recipes, presets, and the published sizes of the models."""

from typing import Any

from semgcn_jax import weights
from semgcn_jax.config import (
  OF_BACKBONE,
  OF_TIME,
  Config,
  load,
)
from semgcn_jax.errors import SettingError, UserError, choose
from semgcn_jax.geometry.joint_sets import LIFTED, joint_sets_of
from semgcn_jax.geometry.skeletons import H36M, load_skeleton

# The settings of each `recipe`, which a preset or the user may override; see
# docs/recipe.md.
RECIPES: dict[str, dict[str, Any]] = {
  # The released code chooses the best epoch on the test set.
  'released': {'choose_on': 'test'},
  'best': {
    'lr': 5e-3,
    'lr_batch': 256,
    'lr_schedule': 'cosine',
    'warmup_epochs': 1.0,
    'loss': 'distance',
    'averaging': 0.999,
    'norm_poses': 256,
    'flip': True,
    'flip_test': True,
    'virtual_turn': 180.0,
    'choose_on': 'last',
  },
  # Any camera and any detector; see docs/wild.md.
  'wild': {
    'input_joints': LIFTED,
    'expected_error': True,
    'lr': 5e-3,
    'lr_batch': 1024,
    'lr_schedule': 'cosine',
    'warmup_epochs': 4.0,
    'loss': 'distance_bones',
    'averaging': 0.999,
    'norm_poses': 256,
    'weight_decay': 0.1,
    'flip': True,
    'flip_test': True,
    'choose_on': 'last',
  },
}

_H36M = {'dataset': 'h36m', 'batch_size': 64, 'epochs': 30}
_CMU = {'dataset': 'cmu', 'batch_size': 256, 'epochs': 30}
# The paper's configuration 2, as far as specified (section 5.1).
_IMAGES = {
  'backbone': 'resnet50',
  'backbone_precision': 'bfloat16',
  'conv': 'channel_wise',
  'loss': 'joints_bones',
  'keypoint_loss': 'heatmap',
  'batch_size': 64,
  'epochs': 10,
  'lr_schedule': 'cosine',
  'warmup_epochs': 1.0,
  'averaging': 0.99,
  'eval_batch_size': 128,
  'choose_on': 'last',
}
_VIDEO = {
  'dataset': 'cmu',
  'recipe': 'wild',
  'model': 'semgcn_temporal',
  'batch_size': 8192,
  'lr_batch': 8192,
  'lr': 2e-3,
  'norm_poses': 64,  # Clips.
  'epochs': 12,
  'passes': 56,
  'warmup_epochs': 0.1,
  'flip_test': False,  # It gains less than 1%, and doubles the time.
  # Other bodies, cameras and mistakes than in single frames, see docs/wild.md.
  'balance': 0.25,
  'bone_scale': 0.07,
  'part_scale': 0.07,
  'detected_bodies': 0.25,
  'film_roll': 6.0,
  'side_swaps': 0.02,
  'rate_low': 7.0,
}
PRESETS: dict[str, dict[str, Any]] = {
  # A demo that needs no files and takes minutes on a laptop.
  'synthetic': {'recipe': 'best', 'hid_dim': 64, 'epochs': 12},
  # Human3.6M as released: from ground-truth 2D, and from the detections of a
  # stacked hourglass fine-tuned on it.
  'h36m': _H36M,
  'h36m_sh': _H36M | {'keypoints': 'sh_ft_h36m', 'epochs': 100},
  # The paper's "Protocol #2": another split, scored after alignment.
  'h36m_protocol2': _H36M
  | {
    'train_subjects': ('S1', 'S5', 'S6', 'S7', 'S8', 'S9'),
    'test_subjects': ('S11',),
    'test_downsample': 64,
  },
  # The benchmark on the CMU Motion Capture Database.
  'cmu': _CMU,
  # The same data by a better recipe.
  'h36m_best': _H36M | {'recipe': 'best', 'batch_size': 256},
  'cmu_best': _CMU | {'recipe': 'best', 'epochs': 50},
  'cmu_wild': _CMU
  | {
    'recipe': 'wild',
    'batch_size': 1024,
    'epochs': 3000,
    'test_downsample': 4,
  },
  # The same on clips, for videos and live streams; see docs/video.md.
  'cmu_video': _VIDEO | {'causal': False},
  'cmu_stream': _VIDEO | {'causal': True, 'epochs': 6, 'passes': 60},
  # From images (docs/image.md): rendered people at the paper's size; walking
  # ones, small enough for minutes on a CPU; and Human3.6M's.
  'rendered': _IMAGES | {'dataset': 'rendered', 'rendered_train': 20_000},
  'rendered_small': _IMAGES
  | {
    'dataset': 'rendered',
    'crop_size': 64,
    'rendered_train': 4500,
    'rendered_test': 500,
    'rendered_azimuth': 30.0,
    'actions': ('Walking',),
    'backbone': 'tiny',
    'backbone_precision': 'highest',
    'hid_dim': 64,
    'num_layers': 2,
    'keypoint_weight': 1.0,
    'backbone_lr': 5e-3,
    'lr': 1e-2,
    'batch_size': 8,
    'epochs': 9,
    'chunk_steps': 1,  # See `step.make_train_chunk`.
    'checkpoint_epochs': 3,
  },
  'h36m_images': _IMAGES
  | {'dataset': 'h36m', 'image_dir': 'data/images', 'downsample': 5},
  # Any features at the nodes of a graph; see docs/graphs.md.
  'regression': {
    'task': 'regression',
    'loss': 'mse',
    'hid_dim': 128,
    'num_layers': 1,
    'dropout': 0.3,
    'epochs': 60,
    'lr': 2e-3,
    'lr_schedule': 'cosine',
    'warmup_epochs': 1.0,
    'weight_decay': 0.01,
    'averaging': 0.999,
    'choose_on': 'last',
  },
}

# The default sizes of each `model`.
PUBLISHED_SIZES: dict[str, dict[str, Any]] = {
  'semgcn': {'hid_dim': 128, 'num_layers': 4, 'dropout': 0.0},
  'semgcn_temporal': {'hid_dim': 128, 'num_layers': 4, 'dropout': 0.0},
  # The network of Martinez et al. (arXiv:1705.03098), as released with SemGCN.
  'linear': {'hid_dim': 1024, 'num_layers': 2, 'dropout': 0.5},
  'st_gcn': {'hid_dim': 128, 'num_layers': 4, 'dropout': 0.0},
}

# The settings that `init_from` copies from its run. With `backbone` they are
# free, and the graph network starts afresh if one differs.
MODEL_FIELDS = (
  *('model', 'hid_dim', 'num_layers', 'conv', 'non_local', 'input_joints'),
  *('input_coordinates', 'input_confidence', 'input_fov', 'expected_error'),
)


def preset(name: str, **settings: Any) -> Config:
  """Builds the Config of a preset, a key of `PRESETS`, with settings replaced.

  Settings of the preset that the task or the skeleton does not have are left
  out.

  Raises:
    SettingError: There is no such preset, or a value is out of its range.
    UserError: The folder that `init_from` names holds no run, or the file of
      `skeleton` no skeleton.

  Examples:
    >>> from semgcn_jax import preset
    >>> config = preset('synthetic', epochs=3, hid_dim=32)
    >>> config.training.epochs, config.model.hid_dim, config.data.dataset
    (3, 32, 'synthetic')
  """
  if settings.get('task') == 'regression' and name == Config.preset:
    name = 'regression'
  chosen = choose('preset', name, PRESETS)
  recipe = settings.get('recipe', chosen.get('recipe', Config.recipe))
  fields = choose('recipe', recipe, RECIPES) | chosen
  if settings.get('val_subjects'):
    fields['choose_on'] = 'val'
  both = fields | settings
  is_temporal = both.get('model') == 'semgcn_temporal'
  unused = () if both.get('backbone') else OF_BACKBONE
  unused += () if is_temporal else OF_TIME
  if both.get('task') == 'regression':
    # What a preset for poses has, a graph does not.
    fields = PRESETS['regression'] | {'recipe': recipe}
  else:
    skeleton = load_skeleton(both.get('skeleton', 'h36m'))
    if not skeleton.left:
      unused += ('flip', 'flip_test')  # There are no sides to exchange.
    if skeleton != H36M:
      # It may not stand upright, nor have the parts of a person.
      unused += ('virtual_turn', 'mix_limbs', 'part_scale', 'detected_bodies')
      if 'input_joints' in fields:
        fields['input_joints'] = tuple(joint_sets_of(skeleton))
  fields = {name: v for name, v in fields.items() if name not in unused}
  sizes = PUBLISHED_SIZES.get(settings.get('model', ''), {})
  goes_on = settings.get('refine') or both.get('input_joints')
  if settings.get('init_from') and goes_on:
    try:
      source = weights.find(settings['init_from'])
    except UserError as error:
      raise SettingError(f'`init_from`: {error}') from error
    own = load(source / 'config.json').flat()
    sizes = {name: own[name] for name in (*MODEL_FIELDS, 'dropout')}
    if own['model'] == 'semgcn_temporal':
      sizes |= {name: own[name] for name in OF_TIME if name not in chosen}
    elif is_temporal:
      del sizes['model']  # It may start from a network of single frames.
  return Config().replace(preset=name, **fields | sizes | settings)
