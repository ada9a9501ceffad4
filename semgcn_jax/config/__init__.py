"""Every setting: its default, its help text and its range.

`Config` holds six frozen groups, one per file. A function takes the group that
it needs. Field names are unique, so that flags and config.json are flat.
"""

import dataclasses
import difflib
import json
import pathlib
from typing import Any, Self

from semgcn_jax.config.augmentation import AugmentationConfig
from semgcn_jax.config.data import OF_POSES, DataConfig
from semgcn_jax.config.evaluation import EvaluationConfig
from semgcn_jax.config.fields import Group, setting
from semgcn_jax.config.filming import FilmingConfig
from semgcn_jax.config.model import ATTENTION_HEADS, ModelConfig
from semgcn_jax.config.training import NODE_LOSSES, TrainingConfig
from semgcn_jax.errors import (
  SettingError,
  UserError,
  choose,
  listed,
  shortened,
)
from semgcn_jax.files import read_text, write_text
from semgcn_jax.geometry.joint_sets import LIFTED

__all__ = [
  'ATTENTION_HEADS',
  'GROUPS',
  'OF_BACKBONE',
  'OF_POSES',
  'OF_TIME',
  'RENAMED',
  'AugmentationConfig',
  'Config',
  'DataConfig',
  'EvaluationConfig',
  'FilmingConfig',
  'ModelConfig',
  'TrainingConfig',
  'fields_by_group',
  'load',
  'save',
]

# Renamed settings: {old name: new name}.
RENAMED = {
  'lifter': 'init_from',
  'freeze_lifter': 'freeze_init',
  'data_fps': 'fps',
}
# The settings that only `backbone` uses. Without it, `presets.preset` leaves
# them out of a preset.
OF_BACKBONE = (
  *('pooled_features', 'backbone_precision', 'stage', 'backbone_lr'),
  *('keypoint_loss', 'keypoint_weight', 'image_workers', 'image_zoom'),
  *('image_turn', 'image_color'),
)
# Those that only `model=semgcn_temporal` uses, likewise.
OF_TIME = ('receptive_field', 'causal', 'frame_rate')
_OF_FILMED_CLIPS = (
  *('rate_low', 'rate_high', 'film_pan', 'film_follow', 'noise_correlation'),
  *('lasting', 'lost'),
)
# Those that `task=regression` has, of the first three groups and the last.
# `presets.preset` leaves the others out of a preset.
_OF_REGRESSION = (
  *('task', 'dataset', 'data_dir', 'model', 'hid_dim', 'num_layers', 'conv'),
  *('non_local', 'dropout', 'eval_batch_size', 'choose_on', 'norm_poses'),
)
_NOT_OF_REGRESSION = (
  *('window', 'balance', 'stage', 'backbone_lr', 'keypoint_loss'),
  *('keypoint_weight', 'image_workers'),
)
_MOST_WEIGHTS = 2**30  # Over all seeds; 12 GB with Adam's moments.


@dataclasses.dataclass(frozen=True)
class Config(Group):
  """Every setting of a run.

  Raises:
    SettingError: A value is out of its range, or contradicts another.
  """

  preset: str = setting('synthetic', 'Start from the settings of this preset.')
  recipe: str = setting(
    'released',
    'Use the settings of this training recipe, such as that of the released'
    ' code (docs/recipe.md).',
    choices=('released', 'best', 'wild'),
  )
  data: DataConfig = DataConfig()
  model: ModelConfig = ModelConfig()
  training: TrainingConfig = TrainingConfig()
  augmentation: AugmentationConfig = AugmentationConfig()
  filming: FilmingConfig = FilmingConfig()
  evaluation: EvaluationConfig = EvaluationConfig()

  def __post_init__(self):
    super().__post_init__()
    self._check_task()
    if self.model.freeze_init and self.training.weight_decay:
      raise SettingError(
        '`freeze_init`: `weight_decay` would still change the weights; use'
        ' `weight_decay=0`'
      )
    width, layers = self.model.hid_dim, self.model.num_layers
    size = 2 * width**2 * (1 + 2 * layers) * self.training.num_seeds
    if size > _MOST_WEIGHTS:
      raise SettingError(
        f'`hid_dim={width}`: with `num_layers={layers}` and'
        f' `num_seeds={self.training.num_seeds}` there are {size:.1g} weights,'
        f' above the limit of {_MOST_WEIGHTS:.1g}; lower one of the three'
      )
    if not self.model.is_temporal:
      unused = OF_TIME + _OF_FILMED_CLIPS
      self._check_unused(unused, 'model=semgcn_temporal')
    if self.model.input_joints:
      self._check_filming()
    else:
      self._check_unused(_OF_FILMED_CLIPS, 'input_joints')
    if self.model.backbone:
      self._check_backbone()
    else:
      self._check_no_backbone()
    if self.data.has_images:
      self._check_not_augmented('images')
    # A folder of images, or a graph, may have a validation split of its own.
    has_split = self.data.dataset == 'images' or self.data.val_subjects
    has_split = has_split or self.takes == 'nodes'
    if self.evaluation.choose_on == 'val' and not has_split:
      raise SettingError('`choose_on=val`: needs `val_subjects`')

  def _check_task(self) -> None:
    """Raises a SettingError for settings that the task does not have."""
    loss = self.training.loss
    if self.takes != 'nodes':
      if loss in NODE_LOSSES:
        raise SettingError(f'`loss={loss}`: needs `task=regression`')
      return
    if loss not in NODE_LOSSES:
      raise SettingError(
        f'`loss={loss}`: is for poses; with `task=regression`, choose from'
        f' {listed(NODE_LOSSES)}'
      )
    if self.model.model not in ('semgcn', 'linear'):
      raise SettingError(
        f'`model={self.model.model}`: needs a skeleton; with `task=regression`,'
        ' choose semgcn or linear'
      )
    for name, value in only_of_poses(self).items():
      raise SettingError(
        f'`{name}={value}`: is for poses; leave it out with `task=regression`'
      )

  def _check_filming(self) -> None:
    """Raises a SettingError for settings that contradict `input_joints`."""
    self._check_not_augmented(
      '`input_joints`',
      keypoints=self.data.keypoints != 'gt',
      image_aligned=self.data.image_aligned,
      scale_calibration=self.evaluation.scale_calibration,
    )
    if self.data.skeleton == 'h36m':
      for name in self.model.input_joints:
        choose('input_joints', name, dict.fromkeys(LIFTED))
    rates = self.filming.rate_low, self.filming.rate_high
    if not rates[0] <= self.model.frame_rate <= rates[1]:
      raise SettingError(
        f'`frame_rate={self.model.frame_rate}`: clips are filmed at'
        f' {rates[0]} to {rates[1]} frames per second; change `rate_low`'
        ' or `rate_high` too'
      )

  def _check_backbone(self) -> None:
    """Raises a SettingError if a backbone or its stage lacks something."""
    if not self.data.has_images:
      raise SettingError(
        f'`backbone={self.model.backbone}`: needs images; give `image_dir`,'
        ' or `dataset=rendered`'
      )
    if self.training.stage == 'graph' and not self.model.init_from:
      raise SettingError(
        '`stage=graph`: needs a trained 2D network; name its run with'
        ' `init_from`'
      )
    if self.only_2d and not self.training.keypoint_weight:
      raise SettingError(
        '`keypoint_weight=0`: nothing would learn in `stage=keypoints`; give a'
        ' weight above 0'
      )
    if self.data.image_aligned and self.augmentation.image_zoom:
      raise SettingError(
        '`image_zoom`: cannot be combined with `image_aligned`, whose targets'
        ' have the size of the person in the image; leave one out'
      )

  def _check_no_backbone(self) -> None:
    """Raises a SettingError for settings that need a backbone."""
    if self.data.image_dir or self.data.dataset == 'images':
      name = 'image_dir' if self.data.image_dir else 'dataset=images'
      raise SettingError(
        f'`{name}`: needs `backbone`; leave it out to train on the true 2D'
      )
    # Images may still be drawn, although no network sees them.
    drawn = ('crop_size',) * (not self.data.has_images)
    self._check_unused(OF_BACKBONE + drawn, 'backbone')

  def _check_unused(self, names: tuple[str, ...], without: str) -> None:
    """Raises a SettingError for a setting that is not at its default."""
    for group in GROUPS:
      own = getattr(self, group)
      for field in dataclasses.fields(own):
        value = getattr(own, field.name)
        if field.name in names and value != field.default:
          raise SettingError(
            f'`{field.name}={value}`: has no meaning without `{without}`; leave'
            ' it out'
          )

  def _check_not_augmented(self, with_what: str, **others: Any) -> None:
    """Raises a SettingError for augmented poses or another true setting."""
    augmentation = self.augmentation
    others |= {'noise': augmentation.noise, 'missing': augmentation.missing}
    others |= dict.fromkeys(augmentation.virtual_cameras, True)
    for name, is_set in others.items():
      if is_set:
        raise SettingError(
          f'`{name}`: cannot be combined with {with_what}; leave it out'
        )

  @property
  def takes(self) -> str:
    """What the network takes: 'nodes' of any graph, or see `ModelConfig`."""
    return 'nodes' if self.data.task == 'regression' else self.model.takes

  @property
  def only_2d(self) -> bool:
    """Whether only the 2D joints are trained, so that poses are meaningless."""
    return bool(self.model.backbone) and self.training.stage == 'keypoints'

  @property
  def scored_by(self) -> str:
    """The score that ranks epochs."""
    if self.takes == 'nodes':
      return 'rmse'
    return 'pixel_error' if self.only_2d else 'mpjpe'

  @property
  def calibrates(self) -> bool:
    """Whether to rescale predictions, as they have no metric scale."""
    return self.evaluation.scale_calibration or self.data.image_aligned

  def flat(self) -> dict[str, Any]:
    """Returns every setting by name, without the groups."""
    settings = {'preset': self.preset, 'recipe': self.recipe}
    for group in GROUPS:
      settings |= dataclasses.asdict(getattr(self, group))
    return settings

  def replace(self, **settings: Any) -> Self:
    """Returns a copy with these settings, of any group, replaced.

    Raises:
      SettingError: A value is out of its range, or contradicts another.
      TypeError: There is no such setting.
    """
    top = {'preset', 'recipe'} & settings.keys()
    changes: dict[str, Any] = {name: settings.pop(name) for name in top}
    for group in GROUPS:
      old = getattr(self, group)
      names = {field.name for field in dataclasses.fields(old)}
      own = {name: settings.pop(name) for name in names & settings.keys()}
      if own:
        changes[group] = dataclasses.replace(old, **own)
    if settings:
      now = [f'{n}, now called {RENAMED[n]}' for n in settings if n in RENAMED]
      for name in () if now else settings:
        close = difflib.get_close_matches(name, self.flat(), n=1)
        now += [f'{name} (did you mean {close[0]}?)'] if close else []
      raise TypeError(f'no setting {listed(now or settings)}')
    return dataclasses.replace(self, **changes)


def only_of_poses(config: Config) -> dict[str, Any]:
  """Returns the settings that differ from their default, and a graph lacks."""
  found = {}
  for group in GROUPS:
    own = getattr(config, group)
    for field in dataclasses.fields(own):
      has = field.name in _OF_REGRESSION or (
        group == 'training' and field.name not in _NOT_OF_REGRESSION
      )
      if not has and getattr(own, field.name) != field.default:
        found[field.name] = getattr(own, field.name)
  return found


# The groups of `Config`, and their titles in --help.
GROUPS = {
  'data': 'Data',
  'model': 'Model',
  'training': 'Training',
  'augmentation': 'Augmentation of the training poses',
  'filming': 'Random bodies, cameras and detectors, with --input_joints',
  'evaluation': 'Evaluation',
}


def fields_by_group() -> dict[str, list[dataclasses.Field]]:
  """Returns the fields of every group by its title in --help."""
  own = [f for f in dataclasses.fields(Config) if f.name not in GROUPS]
  return {'Presets': own} | {
    title: list(dataclasses.fields(getattr(Config, name)))
    for name, title in GROUPS.items()
  }


def save(config: Config, path: pathlib.Path) -> None:
  """Writes the config as flat JSON."""
  write_text(path, json.dumps(config.flat(), indent=2) + '\n')


def load(path: pathlib.Path) -> Config:
  """Reads the config that `save` wrote.

  Raises:
    UserError: The file is missing, or holds no config.
  """
  try:
    saved: dict[str, Any] = json.loads(read_text(path))
    renamed = {RENAMED[n]: saved.pop(n) for n in RENAMED if n in saved}
    settings = renamed | saved
    for name, value in settings.items():
      if isinstance(value, list):
        settings[name] = tuple(value)
    return Config().replace(**settings)
  except OSError as error:
    raise UserError(
      f'{path}: {error.strerror}; name the folder of a run, such as'
      ' runs/synthetic'
    ) from error
  except (
    *(ValueError, TypeError, AttributeError, UserError, RecursionError),
    *(LookupError, ArithmeticError),
  ) as error:
    raise UserError(
      f'{path}: not the config of a run ({shortened(error, 200)})'
    ) from error
