"""Every setting, in groups: what it does, and what its value may be.

`Config` holds five frozen groups. A function takes the group that it needs. The
names of all fields are unique, so that flags and config.json are flat.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any, Self

from semgcn_jax.errors import SettingError, UserError, choose, listed, shortened
from semgcn_jax.files import read_text, write_text

# The heads of `conv=gat`: as many as GAT (arXiv:1710.10903) has in the layers
# that it adds residuals to.
ATTENTION_HEADS = 4
# The settings that were renamed: {the old name: the new one}.
RENAMED = {'lifter': 'init_from', 'freeze_lifter': 'freeze_init'}


@dataclasses.dataclass(frozen=True)
class Range:
  """The values that a number may have.

  Attributes:
    text: The range in words, for an error message.
    contains: Tells whether a value is in the range; NaN never is.
  """

  text: str
  contains: Callable[[float], bool]


_POSITIVE = Range('above 0, below 2^31', lambda x: 0 < x < 2**31)
_NOT_NEGATIVE = Range('0 or more, below 2^31', lambda x: 0 <= x < 2**31)
_MOST_WEIGHTS = 2**30  # Of all seeds together; with Adam's moments 12 GB.
_SHARE = Range('at least 0, below 1', lambda x: 0 <= x < 1)


def _up_to(high: float) -> Range:
  return Range(f'from 0 to {high}', lambda x: 0 <= x <= high)


def _field(
  default: Any,
  help_text: str,
  within: Range | None = None,
  *,
  choices: tuple[str, ...] = (),
) -> Any:
  """Describes a field of a group.

  Args:
    default: The default, which also tells the type.
    help_text: The sentences that --help shows.
    within: The range of a number; None admits any.
    choices: The values that a word may have; if empty, it may have any.

  Returns:
    The field for a dataclass.
  """
  metadata = {'help': help_text, 'within': within, 'choices': choices}
  return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class _Group:
  """A group of settings, each within its range.

  Raises:
    SettingError: A value is of another type, or out of its range.
  """

  def __post_init__(self):
    for field in dataclasses.fields(self):
      if 'help' in field.metadata:
        _check(field, getattr(self, field.name))


def _check(field: dataclasses.Field, value: Any) -> None:
  """Raises a SettingError if a field cannot have this value."""
  kind, within = type(field.default), field.metadata['within']
  if type(value) is not kind and (kind, type(value)) != (float, int):
    raise SettingError(
      f'`{field.name}={value}`: must be of type {kind.__name__}'
    )
  if within is not None and not within.contains(value):
    raise SettingError(f'`{field.name}={value}`: must be {within.text}')
  if kind is tuple and not all(isinstance(w, str) and w for w in value):
    raise SettingError(f'`{field.name}`: has an empty name, or what is no name')
  if field.metadata['choices']:
    for word in value if kind is tuple else (value,):
      choose(field.name, word, dict.fromkeys(field.metadata['choices']))


@dataclasses.dataclass(frozen=True)
class DataConfig(_Group):
  """The poses that are trained on and scored."""

  dataset: str = _field(
    'synthetic', 'Use synthetic, h36m, cmu, or a dataset of your own.'
  )
  data_dir: str = _field('data', 'Read data_3d_<dataset>.npz in this folder.')
  keypoints: str = _field(
    'gt', 'Read the 2D input from data_2d_<dataset>_<keypoints>.npz.'
  )
  cameras: str = _field(
    '', "Read the cameras from this JSON file, not the dataset's own."
  )
  skeleton: str = _field('h36m', 'Use the skeleton of this name or JSON file.')
  actions: tuple[str, ...] = _field((), 'Use these actions; if empty, all.')
  train_subjects: tuple[str, ...] = _field(
    (), "Train on these subjects; if empty, on the dataset's own."
  )
  test_subjects: tuple[str, ...] = _field(
    (), "Test on these subjects; if empty, on the dataset's own."
  )
  val_subjects: tuple[str, ...] = _field(
    (), 'Keep these training subjects aside, to choose the best epoch on.'
  )
  downsample: int = _field(1, 'Use every n-th frame.', _POSITIVE)
  test_downsample: int = _field(
    0,
    'Test on every n-th frame; 0 takes what --downsample says.',
    _NOT_NEGATIVE,
  )
  image_aligned: bool = _field(
    False, "Scale the targets to the image, as in the paper's section 5.1."
  )


@dataclasses.dataclass(frozen=True)
class ModelConfig(_Group):
  """The network, and the weights that it starts with."""

  model: str = _field(
    'semgcn',
    'Choose the network, with its published sizes.',
    choices=('semgcn', 'linear', 'st_gcn'),
  )
  hid_dim: int = _field(
    128,
    'Set the channels of hidden layers.',
    Range('from 1 to 16384', lambda x: 1 <= x <= 2**14),
  )
  num_layers: int = _field(
    4,
    'Set the number of residual blocks or stages.',
    Range('from 0 to 100', lambda x: 0 <= x <= 100),
  )
  conv: str = _field(
    'semantic',
    "Choose semgcn's graph convolution.",
    choices=('semantic', 'channel_wise', 'vanilla', 'gat', 'agcn'),
  )
  non_local: bool = _field(True, 'Use non-local layers.')
  dropout: float = _field(0.0, 'Drop this share of activations.', _SHARE)
  norm_poses: int = _field(
    0,
    'Normalise about this many poses together (ghost batch norm); 0 takes the'
    ' whole batch.',
    _NOT_NEGATIVE,
  )
  refine: str = _field(
    '',
    'Refine what the model lifts, by a pose grammar.',
    choices=('', 'pose_grammar'),
  )
  input_joints: tuple[str, ...] = _field(
    (),
    'Lift the keypoints of these joint sets, seen by any camera; if empty, the'
    " 2D of the dataset's own cameras.",
    choices=(
      *('h36m', 'coco', 'mpii', 'body_25', 'openpose_18', 'halpe_26'),
      'mediapipe',
    ),
  )
  input_coordinates: str = _field(
    'ray',
    'With --input_joints, turn and scale the 2D to the person (ray), or leave'
    ' it on the screen.',
    choices=('ray', 'screen'),
  )
  input_confidence: bool = _field(
    True, 'With --input_joints, show the network how sure the detector is.'
  )
  input_fov: float = _field(
    55.0,
    "With --input_joints, assume this field of view of an image's longer side,"
    ' in degrees, where it is not known.',
    Range('from 10 to 150', lambda x: 10 <= x <= 150),
  )
  expected_error: bool = _field(
    False, 'Let the network also predict the error of each joint.'
  )
  init_from: str = _field(
    '',
    'Start with the weights of the run in this folder, or of this name in the'
    ' box; needs --refine or --input_joints.',
  )
  freeze_init: bool = _field(
    False, 'Keep the weights of --init_from, and train the refinement alone.'
  )

  def __post_init__(self):
    super().__post_init__()
    if self.norm_poses == 1:
      raise SettingError(
        '`norm_poses=1`: one pose has no variance; use 2 or more'
      )
    heads = ATTENTION_HEADS if self.conv == 'gat' else 1
    if self.model == 'semgcn' and self.hid_dim % heads:
      raise SettingError(
        f'`hid_dim={self.hid_dim}`: must be a multiple of the'
        f' {heads} heads of `conv=gat`'
      )
    if self.init_from and not (self.refine or self.input_joints):
      raise SettingError(
        f'`init_from={self.init_from}`: needs `refine` or `input_joints`; a run'
        ' is continued by `resume`'
      )
    if self.freeze_init and not (self.init_from and self.refine):
      raise SettingError('`freeze_init`: needs `init_from` and `refine`')
    if len({*self.input_joints}) < len(self.input_joints):
      raise SettingError('`input_joints`: names a joint set twice')
    if self.input_joints and self.refine:
      raise SettingError('`input_joints`: cannot be combined with `refine`')

  @property
  def input_channels(self) -> int:
    """The number of channels of the network's input, see filming/inputs.py."""
    return 8 + len(self.input_joints) if self.input_joints else 2


@dataclasses.dataclass(frozen=True)
class TrainingConfig(_Group):
  """The loss, the optimizer and the loop."""

  epochs: int = _field(
    30, 'Pass over the training set this many times.', _POSITIVE
  )
  batch_size: int = _field(
    64, 'Take this many poses a step, over all devices.', _POSITIVE
  )
  lr: float = _field(1e-3, 'Set the highest learning rate of Adam.', _POSITIVE)
  lr_batch: int = _field(
    0,
    'Take --lr as given for this batch size, and scale it to --batch_size by'
    ' the square root of their ratio; 0 does not scale it.',
    _NOT_NEGATIVE,
  )
  lr_schedule: str = _field(
    'staircase',
    'Lower the learning rate by a staircase, or by a cosine to zero.',
    choices=('staircase', 'cosine'),
  )
  lr_decay: int = _field(
    100_000,
    'Go down one stair of the staircase every n-th training step.',
    _POSITIVE,
  )
  lr_gamma: float = _field(
    0.96, 'Multiply the learning rate by this at each stair.', _POSITIVE
  )
  warmup_epochs: float = _field(
    0.0,
    'First raise the learning rate linearly, over this many epochs, at most'
    ' half of all.',
    _NOT_NEGATIVE,
  )
  weight_decay: float = _field(
    0.0, 'Decay kernels by this, as AdamW does; 0 is Adam.', _NOT_NEGATIVE
  )
  max_norm: float = _field(
    1.0, 'Clip gradients to this norm; 0 does not clip.', _NOT_NEGATIVE
  )
  loss: str = _field(
    'joints',
    'Train on the squared errors of the joints (joints), their distances, or'
    ' the Huber loss of those; with _bones, count the bones too (paper eq. 7).',
    choices=(
      *('joints', 'joints_bones', 'distance', 'distance_bones'),
      *('huber', 'huber_bones'),
    ),
  )
  averaging: float = _field(
    0.0,
    'Average the weights over the steps, with this decay per 256 poses; 0'
    ' does not average.',
    _SHARE,
  )
  seed: int = _field(
    0, 'Seed the initial weights, shuffling and dropout.', _NOT_NEGATIVE
  )
  num_seeds: int = _field(
    1,
    'Train this many independent runs at once, with the seeds --seed,'
    ' --seed + 1, and so on.',
    Range('from 1 to 1024', lambda x: 1 <= x <= 1024),
  )
  precision: str = _field(
    'highest',
    'Train in float32 (highest), in what the device prefers (default, tf32 on'
    ' GPUs), or in bfloat16.',
    choices=('highest', 'default', 'bfloat16'),
  )
  device_data: str = _field(
    'auto',
    'Keep the training poses resident on the devices, stream them there, or'
    ' decide by the memory (auto).',
    choices=('auto', 'resident', 'streamed'),
  )
  chunk_steps: int = _field(
    64, 'Run this many training steps in one compiled call.', _POSITIVE
  )
  checkpoint_epochs: int = _field(
    1, 'Save every n-th epoch; the best is saved in any case.', _POSITIVE
  )
  keep_checkpoints: int = _field(
    3, 'Keep this many of the last checkpoints, beside the best.', _POSITIVE
  )

  @property
  def seeds(self) -> range:
    """The seed of each independent run."""
    return range(self.seed, self.seed + self.num_seeds)

  def index_of_seed(self, seed: int) -> int:
    """Finds the independent run of a seed.

    Returns:
      Its index, from 0.

    Raises:
      SettingError: There is no such run.
    """
    if seed not in self.seeds:
      seeds = listed(map(str, self.seeds))
      raise SettingError(
        f'there is no seed {seed}: the run has {seeds}; take one of these'
      )
    return self.seeds.index(seed)


@dataclasses.dataclass(frozen=True)
class AugmentationConfig(_Group):
  """The ways of varying training poses; see training/augmentation.py."""

  flip: bool = _field(False, 'Mirror half of the poses, at random.')
  virtual_turn: float = _field(
    0.0,
    'Turn the camera about the vertical by up to this many degrees.',
    _up_to(180),
  )
  virtual_pitch: float = _field(
    0.0, 'Pitch the camera up or down by up to this many degrees.', _up_to(90)
  )
  virtual_shift: float = _field(
    0.0,
    'Shift the camera along each axis by up to this many metres.',
    _NOT_NEGATIVE,
  )
  virtual_zoom: float = _field(
    0.0, 'Change the focal length by up to this share.', _up_to(1)
  )
  noise: float = _field(
    0.0,
    'Add noise of this standard deviation to the 2D, in pixels of an image that'
    ' is 1,000 wide.',
    _NOT_NEGATIVE,
  )
  missing: float = _field(
    0.0,
    'Put this share of the 2D joints where their parents are, as if they were'
    ' not detected.',
    _SHARE,
  )

  @property
  def virtual_cameras(self) -> tuple[str, ...]:
    """The settings in use that let other cameras than the data's see a pose."""
    names = ('virtual_turn', 'virtual_pitch', 'virtual_shift', 'virtual_zoom')
    return tuple(name for name in names if getattr(self, name))


@dataclasses.dataclass(frozen=True)
class FilmingConfig(_Group):
  """The random bodies, cameras and detectors that `input_joints` trains on."""

  mix_limbs: float = _field(
    0.0,
    'Take limbs from another pose in this share of the poses, the legs and the'
    ' arms each for themselves.',
    _up_to(1),
  )
  body_scale: float = _field(
    0.05, 'Make bodies taller or shorter by up to this share.', _up_to(1)
  )
  bone_scale: float = _field(
    0.05, 'Make each bone longer or shorter by up to this share.', _up_to(1)
  )
  limb_turn: float = _field(
    20.0,
    'Turn limbs and head at each joint, in half of the poses, by angles of this'
    ' standard deviation in degrees.',
    _up_to(90),
  )
  film_tilt: float = _field(
    6.0,
    'Let cameras look down by this many degrees, on average.',
    Range('from -60 to 60', lambda x: -60 <= x <= 60),
  )
  film_pitch: float = _field(
    14.0,
    'Let them look up and down from there, with this standard deviation in'
    ' degrees.',
    _up_to(60),
  )
  film_roll: float = _field(
    4.0, 'Roll cameras, with this standard deviation in degrees.', _up_to(60)
  )
  film_fov_low: float = _field(
    30.0,
    'Give the longer side of an image at least this field of view, in degrees.',
    Range('from 5 to 150', lambda x: 5 <= x <= 150),
  )
  film_fov_high: float = _field(
    85.0,
    'Give it at most this field of view.',
    Range('from 5 to 150', lambda x: 5 <= x <= 150),
  )
  film_aspect: float = _field(
    1.8,
    'Let one side of an image be up to so many times as long as the other.',
    Range('from 1 to 10', lambda x: 1 <= x <= 10),
  )
  film_size_low: float = _field(
    0.35, 'Let a person fill at least this share of the image.', _up_to(1)
  )
  film_size_high: float = _field(
    1.0, 'Let a person fill at most this share of the image.', _up_to(1)
  )
  film_crop: float = _field(
    0.1, 'Let this share of the images cut a person off.', _up_to(1)
  )
  film_off_axis: float = _field(
    0.1,
    'Let this share of the images be cut from larger ones, so that their middle'
    ' is not the optical axis.',
    _up_to(1),
  )
  known_focal: float = _field(
    0.25, 'Tell the network the focal length of this share.', _up_to(1)
  )
  mark_offset: float = _field(
    0.018,
    'Mark points beside the joints, by offsets of this standard deviation along'
    ' each axis, in metres.',
    _up_to(0.2),
  )
  clean: float = _field(
    0.2, 'Find the points of this share of the poses exactly.', _up_to(1)
  )
  detector_noise: float = _field(
    0.015,
    'Add noise of this standard deviation along each axis to the points, as a'
    ' share of the size of the person in the image.',
    _up_to(0.2),
  )
  outliers: float = _field(
    0.02, 'Let this share of the points be six times as far off.', _up_to(1)
  )
  swaps: float = _field(
    0.01, 'Exchange left and right of this share of the pairs.', _up_to(1)
  )
  gaps: float = _field(0.03, 'Do not find this share of the points.', _up_to(1))
  limb_gaps: float = _field(
    0.1, 'Do not find one limb, or the face, of this share.', _up_to(1)
  )
  lower_gaps: float = _field(
    0.2,
    'Find neither hips, knees nor ankles of this share of the poses.',
    _up_to(1),
  )

  def __post_init__(self):
    super().__post_init__()
    for low, high in (
      ('film_fov_low', 'film_fov_high'),
      ('film_size_low', 'film_size_high'),
    ):
      if getattr(self, low) > getattr(self, high):
        raise SettingError(f'`{low}={getattr(self, low)}`: is above `{high}`')
    if self.film_size_low <= 0:
      raise SettingError('`film_size_low=0`: must be above 0')


@dataclasses.dataclass(frozen=True)
class EvaluationConfig(_Group):
  """The way of scoring poses, and of choosing the best epoch."""

  flip_test: bool = _field(
    False, 'Average each prediction with that for the mirrored pose.'
  )
  eval_batch_size: int = _field(
    1024, 'Score this many poses a step.', _POSITIVE
  )
  scale_calibration: bool = _field(
    False, 'Scale predictions to the canonical bone lengths before scoring.'
  )
  choose_on: str = _field(
    'last',
    'Take the last epoch as the best (last), or the one with the lowest error'
    ' on the validation subjects (val) or on the test set (test).',
    choices=('last', 'val', 'test'),
  )


@dataclasses.dataclass(frozen=True)
class Config(_Group):
  """Every setting of a run.

  Raises:
    SettingError: A value is out of its range, or two contradict each other.
  """

  preset: str = _field('synthetic', 'Start from the settings of this preset.')
  recipe: str = _field(
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
    if self.model.input_joints:
      self._check_filming()
    if self.evaluation.choose_on == 'val' and not self.data.val_subjects:
      raise SettingError('`choose_on=val`: needs `val_subjects`')

  def _check_filming(self) -> None:
    """Raises a SettingError for what filmed poses cannot be combined with."""
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
