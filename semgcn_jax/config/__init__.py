"""Every setting, in groups: what it does, and what its value may be.

`Config` holds six frozen groups, a file for each. A function takes the group
that it needs. The names of all fields are unique, so that flags and config.json
are flat.
"""

import dataclasses
import json
import pathlib
from typing import Any, Self

from semgcn_jax.config.augmentation import AugmentationConfig
from semgcn_jax.config.data import OF_POSES, DataConfig
from semgcn_jax.config.evaluation import EvaluationConfig
from semgcn_jax.config.fields import Group, setting
from semgcn_jax.config.filming import FilmingConfig
from semgcn_jax.config.model import ATTENTION_HEADS, ModelConfig
from semgcn_jax.config.training import TrainingConfig
from semgcn_jax.errors import SettingError, UserError, listed, shortened
from semgcn_jax.files import read_text, write_text

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

# The settings that were renamed: {the old name: the new one}.
RENAMED = {
  'lifter': 'init_from',
  'freeze_lifter': 'freeze_init',
  'data_fps': 'fps',
}
# The settings that have a meaning with `backbone` alone. With another network
# `presets.preset` leaves out those of a preset.
OF_BACKBONE = (
  *('pooled_features', 'backbone_precision', 'stage', 'backbone_lr'),
  *('keypoint_loss', 'keypoint_weight', 'image_workers', 'image_zoom'),
  *('image_turn', 'image_color'),
)
# Those that have one with `model=semgcn_temporal` alone, likewise.
OF_TIME = ('receptive_field', 'causal', 'frame_rate')
_OF_FILMED_CLIPS = (
  *('rate_low', 'rate_high', 'film_pan', 'film_follow', 'noise_correlation'),
  *('lasting', 'lost'),
)
_MOST_WEIGHTS = 2**30  # Of all seeds together; with Adam's moments 12 GB.


@dataclasses.dataclass(frozen=True)
class Config(Group):
  """Every setting of a run.

  Raises:
    SettingError: A value is out of its range, or two contradict each other.
  """

  preset: str = setting('synthetic', 'Start from the settings of this preset.')
  recipe: str = setting(
    'released',
    'Train as the authors released it, or by the best recipe; brings its'
    ' settings along (docs/recipe.md).',
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
        f' `num_seeds={self.training.num_seeds}` these are {size:.1g} weights,'
        f' above the bound of {_MOST_WEIGHTS:.1g}; lower one of the three'
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
      self._check_images()
    folder = self.data.dataset == 'images'  # Its files say what is for that.
    if self.evaluation.choose_on == 'val' and not (
      folder or self.data.val_subjects
    ):
      raise SettingError('`choose_on=val`: needs `val_subjects`')

  def _check_filming(self) -> None:
    """Raises a SettingError for what does not suit filmed poses."""
    taken = {
      'skeleton': self.data.skeleton != 'h36m',
      'keypoints': self.data.keypoints != 'gt',
      'noise': self.augmentation.noise,
      'missing': self.augmentation.missing,
      'image_aligned': self.data.image_aligned,
      'scale_calibration': self.evaluation.scale_calibration,
    } | dict.fromkeys(self.augmentation.virtual_cameras, True)
    for name, is_set in taken.items():
      if is_set:
        raise SettingError(
          f'`{name}`: cannot be combined with `input_joints`; leave it out'
        )
    rates = self.filming.rate_low, self.filming.rate_high
    if not rates[0] <= self.model.frame_rate <= rates[1]:
      raise SettingError(
        f'`frame_rate={self.model.frame_rate}`: clips are filmed at'
        f' {rates[0]} to {rates[1]} frames a second; change `rate_low` or'
        ' `rate_high` too'
      )

  def _check_backbone(self) -> None:
    """Raises a SettingError where a backbone or a stage lacks something."""
    if not self.data.has_images:
      raise SettingError(
        f'`backbone={self.model.backbone}`: needs pictures; give `image_dir`,'
        ' or `dataset=rendered`'
      )
    if self.training.stage == 'graph' and not self.model.init_from:
      raise SettingError(
        '`stage=graph`: needs 2D joints that are trained; name their run by'
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
        ' have the size of the person in the picture; leave one out'
      )

  def _check_no_backbone(self) -> None:
    """Raises a SettingError for what would be ignored without a backbone."""
    if self.data.image_dir or self.data.dataset == 'images':
      name = 'image_dir' if self.data.image_dir else 'dataset=images'
      raise SettingError(
        f'`{name}`: needs `backbone`; leave it out to train on the true 2D'
      )
    # Pictures may be drawn, although no network looks at them.
    drawn = ('crop_size',) * (not self.data.has_images)
    self._check_unused(OF_BACKBONE + drawn, 'backbone')

  def _check_unused(self, names: tuple[str, ...], without: str) -> None:
    """Raises a SettingError for settings that differ from their defaults."""
    for group in GROUPS:
      own = getattr(self, group)
      for field in dataclasses.fields(own):
        value = getattr(own, field.name)
        if field.name in names and value != field.default:
          raise SettingError(
            f'`{field.name}={value}`: has no meaning without `{without}`; leave'
            ' it out'
          )

  def _check_images(self) -> None:
    """Raises a SettingError for what pictures cannot be combined with."""
    taken = {
      'noise': self.augmentation.noise,
      'missing': self.augmentation.missing,
    } | dict.fromkeys(self.augmentation.virtual_cameras, True)
    for name, is_set in taken.items():
      if is_set:
        raise SettingError(
          f'`{name}`: cannot be combined with pictures; leave it out'
        )

  @property
  def only_2d(self) -> bool:
    """Whether the 2D joints alone are trained, so that poses mean nothing."""
    return bool(self.model.backbone) and self.training.stage == 'keypoints'

  @property
  def scored_by(self) -> str:
    """The score that tells how good an epoch is."""
    return 'pixel_error' if self.only_2d else 'mpjpe'

  @property
  def calibrates(self) -> bool:
    """Whether predictions are scaled, having no metric scale of their own."""
    return self.evaluation.scale_calibration or self.data.image_aligned

  def flat(self) -> dict[str, Any]:
    """Lists every setting by its name, without the groups."""
    settings = {'preset': self.preset, 'recipe': self.recipe}
    for group in GROUPS:
      settings |= dataclasses.asdict(getattr(self, group))
    return settings

  def replace(self, **settings: Any) -> Self:
    """Copies the config with some settings, of any group, replaced.

    Raises:
      SettingError: A value is out of its range, or contradicts another.
      TypeError: There is no such setting.
    """
    changes: dict[str, Any] = {
      name: settings.pop(name)
      for name in ('preset', 'recipe')
      if name in settings
    }
    for group in GROUPS:
      old = getattr(self, group)
      names = {field.name for field in dataclasses.fields(old)}
      own = {name: settings.pop(name) for name in names & settings.keys()}
      if own:
        changes[group] = dataclasses.replace(old, **own)
    if settings:
      raise TypeError(f'no setting {listed(settings)}')
    return dataclasses.replace(self, **changes)


# The groups of `Config`, and the titles that --help gives them.
GROUPS = {
  'data': 'Data',
  'model': 'Model',
  'training': 'Training',
  'augmentation': 'Augmentation of the training poses',
  'filming': 'Random bodies, cameras and detectors, with --input_joints',
  'evaluation': 'Evaluation',
}


def fields_by_group() -> dict[str, list[dataclasses.Field]]:
  """Lists the fields of every group, under its title."""
  config = Config()
  own = [f for f in dataclasses.fields(Config) if f.name not in GROUPS]
  groups = {
    title: list(dataclasses.fields(getattr(config, name)))
    for name, title in GROUPS.items()
  }
  return {'Presets': own} | groups


def save(config: Config, path: pathlib.Path) -> None:
  """Writes the config as JSON, with a key for each setting."""
  write_text(path, json.dumps(config.flat(), indent=2) + '\n')


def load(path: pathlib.Path) -> Config:
  """Reads the config that `save` wrote.

  Raises:
    UserError: There is no such file, or it does not hold a config.
  """
  try:
    saved: dict[str, Any] = json.loads(read_text(path))
    settings = {
      RENAMED.get(name, name): tuple(value)
      if isinstance(value, list)
      else value
      for name, value in saved.items()
    }
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
