"""What a run is: one frozen Config and its presets."""

import dataclasses
import json
import pathlib
from typing import Any

from semgcn_jax.errors import FlagError, UserError, choose, listed
from semgcn_jax.files import write_text

PRECISIONS = ('highest', 'default', 'bfloat16')


def _field(default: Any, comment: str) -> Any:
  """A field whose comment is also the help of its flag."""
  return dataclasses.field(default=default, metadata={'help': comment})


@dataclasses.dataclass(frozen=True)
class Config:
  """Every setting of a run; each field is also a flag of that name.

  Raises:
    FlagError: a value is out of its range.
  """

  preset: str = _field('synthetic', 'Named settings, changed by other flags.')
  recipe: str = _field(
    'released', 'How to train: released or best; brings its settings along.'
  )

  # Data.
  dataset: str = _field(
    'synthetic', 'synthetic, h36m, cmu, or the name of your own.'
  )
  data_dir: str = _field('data', 'Folder of data_3d_<dataset>.npz.')
  keypoints: str = _field('gt', '2D input: data_2d_<dataset>_<keypoints>.npz.')
  cameras: str = _field('', "JSON file of cameras; empty: the dataset's own.")
  skeleton: str = _field('h36m', 'Name, or JSON file, of the skeleton.')
  actions: tuple[str, ...] = _field((), 'Actions to use; empty: all.')
  train_subjects: tuple[str, ...] = _field((), "Empty: the dataset's own.")
  test_subjects: tuple[str, ...] = _field((), "Empty: the dataset's own.")
  val_subjects: tuple[str, ...] = _field(
    (), 'Training subjects that only choose the best epoch.'
  )
  downsample: int = _field(1, 'Use every n-th frame.')
  test_downsample: int = _field(0, 'The same for testing; 0: as downsample.')
  image_aligned: bool = _field(
    False, "Targets scaled to the image, as in the paper's section 5.1."
  )

  # Model.
  model: str = _field(
    'semgcn', 'semgcn, linear or st_gcn; brings its sizes along.'
  )
  hid_dim: int = _field(128, 'Channels of the hidden layers.')
  num_layers: int = _field(4, 'Residual blocks or stages.')
  conv: str = _field(
    'semantic', 'Of semgcn: semantic, channel_wise, vanilla, gat or agcn.'
  )
  non_local: bool = _field(True, 'Use non-local layers.')
  dropout: float = _field(0.0, 'Dropout rate; 0: none.')
  norm_poses: int = _field(
    0, 'Ghost batch norm over about so many poses; 0: over the batch.'
  )
  refine: str = _field('', 'pose_grammar: refines what the model lifts.')
  lifter: str = _field(
    '', 'With --refine: folder of a run whose weights the model starts with.'
  )
  freeze_lifter: bool = _field(
    False, 'With --lifter: trains the refinement alone.'
  )

  # Training.
  epochs: int = _field(30, 'Passes over the training set.')
  batch_size: int = _field(64, 'Poses per step, over all devices.')
  lr: float = _field(1e-3, 'Highest learning rate of Adam.')
  lr_batch: int = _field(
    0, 'Batch size that lr is for, scaled by the root; 0: whatever it is.'
  )
  lr_schedule: str = _field('staircase', 'staircase, or cosine to zero.')
  lr_decay: int = _field(100_000, 'Steps between two decays of the staircase.')
  lr_gamma: float = _field(0.96, 'Factor of each decay.')
  warmup_epochs: float = _field(
    0.0, 'The rate rises linearly over so many, at most half of the run.'
  )
  weight_decay: float = _field(0.0, 'Of AdamW, on kernels; 0: Adam.')
  max_norm: float = _field(1.0, 'Gradients are clipped to this norm; 0: not.')
  loss: str = _field(
    'joints', 'joints (squared), distance or huber; with _bones: eq. 7.'
  )
  averaging: float = _field(
    0.0, 'Decay per 256 poses of the averaged weights; 0: none.'
  )
  choose_on: str = _field(
    'last', 'What says which epoch is best: last, val or test.'
  )
  seed: int = _field(0, 'Of initialisation, shuffling and dropout.')
  num_seeds: int = _field(
    1, 'Independent runs at once, of seed, seed + 1, and so on.'
  )
  precision: str = _field(
    'highest',
    'In training: highest, default (a GPU may use tf32) or bfloat16.',
  )
  device_data: str = _field(
    'auto',
    'Training poses: resident on the devices, streamed to them, or auto.',
  )
  chunk_steps: int = _field(64, 'Steps between two looks of the host.')

  # Augmentation of the training poses; see augment.py.
  flip: bool = _field(False, 'Mirror half of the poses, at random.')
  virtual_turn: float = _field(
    0.0, 'Turn the camera about the vertical by up to so many degrees.'
  )
  virtual_pitch: float = _field(0.0, 'Up or down by up to so many degrees.')
  virtual_shift: float = _field(0.0, 'Along each axis by up to so many metres.')
  virtual_zoom: float = _field(0.0, 'Focal length, by up to this share.')
  noise: float = _field(
    0.0, 'Deviation added to the 2D, in pixels of an image 1000 wide.'
  )
  missing: float = _field(0.0, 'Share of joints put to their parent in 2D.')

  # Evaluation and checkpoints.
  flip_test: bool = _field(False, 'Average with the prediction for the mirror.')
  eval_batch_size: int = _field(1024, 'Poses per evaluation step.')
  scale_calibration: bool = _field(
    False, 'Scale predictions to the canonical bone lengths before scoring.'
  )
  checkpoint_epochs: int = _field(
    1, 'Epochs from one checkpoint to the next; the best has one anyway.'
  )
  keep_checkpoints: int = _field(3, 'Last checkpoints kept beside the best.')

  def __post_init__(self):
    for field in dataclasses.fields(self):
      value, kind = getattr(self, field.name), type(field.default)
      if type(value) is not kind and (kind, type(value)) != (float, int):
        raise FlagError(
          f'--{field.name}={value}: must be of type {kind.__name__}'
        )
    for name in (
      *('downsample', 'hid_dim', 'epochs', 'batch_size', 'lr', 'lr_decay'),
      *('lr_gamma', 'chunk_steps', 'eval_batch_size', 'keep_checkpoints'),
      *('num_seeds', 'checkpoint_epochs'),
    ):
      if not 0 < getattr(self, name) < 2**31:
        raise FlagError(
          f'--{name}={getattr(self, name)}: must be above 0, below 2^31'
        )
    for name in (
      *('test_downsample', 'num_layers', 'max_norm', 'seed', 'lr_batch'),
      *('warmup_epochs', 'weight_decay', 'virtual_shift', 'noise'),
      'norm_poses',
    ):
      if not 0 <= getattr(self, name) < 2**31:
        raise FlagError(
          f'--{name}={getattr(self, name)}: must be 0 or more, below 2^31'
        )
    for name in ('dropout', 'averaging', 'missing'):
      if not 0 <= getattr(self, name) < 1:
        raise FlagError(
          f'--{name}={getattr(self, name)}: must be at least 0, below 1'
        )
    for name, highest in (
      ('virtual_turn', 180),
      ('virtual_pitch', 90),
      ('virtual_zoom', 1),
    ):
      if not 0 <= getattr(self, name) <= highest:
        raise FlagError(
          f'--{name}={getattr(self, name)}: must be from 0 to {highest}'
        )
    for name, known in (
      ('precision', PRECISIONS),
      ('lr_schedule', ('staircase', 'cosine')),
      ('choose_on', ('last', 'val', 'test')),
      ('device_data', ('auto', 'resident', 'streamed')),
      ('recipe', tuple(RECIPES)),
      ('refine', ('', 'pose_grammar')),
    ):
      choose(name, getattr(self, name), dict.fromkeys(known))
    if self.norm_poses == 1:
      raise FlagError('--norm_poses=1: one pose has no variance; use 2 or more')
    if self.lifter and not self.refine:
      raise FlagError('--lifter: is for --refine; --resume goes on with a run')
    if self.freeze_lifter and not self.lifter:
      raise FlagError('--freeze_lifter: needs --lifter')
    if self.freeze_lifter and self.weight_decay:
      raise FlagError(
        '--freeze_lifter: --weight_decay would still change the lifter; use'
        ' --weight_decay=0'
      )
    if self.choose_on == 'val' and not self.val_subjects:
      raise FlagError('--choose_on=val: needs --val_subjects')

  @property
  def virtual_cameras(self) -> tuple[str, ...]:
    """The fields that have poses seen by other cameras than the data's own."""
    names = ('virtual_turn', 'virtual_pitch', 'virtual_shift', 'virtual_zoom')
    return tuple(name for name in names if getattr(self, name))

  @property
  def seeds(self) -> range:
    """The seed of each run."""
    return range(self.seed, self.seed + self.num_seeds)

  def index_of_seed(self, seed: int) -> int:
    """Which of the runs has this seed.

    Raises:
      FlagError: none.
    """
    if seed not in self.seeds:
      seeds = listed(map(str, self.seeds))
      raise FlagError(f'--only_seed={seed}: the run has {seeds}')
    return self.seeds.index(seed)

  @property
  def calibrates(self) -> bool:
    """Image-aligned predictions have no metric scale of their own."""
    return self.scale_calibration or self.image_aligned


# What --recipe brings along; other flags change it. docs/recipe.md.
RECIPES: dict[str, dict[str, Any]] = {
  # The best epoch is chosen on the test set, as the released code does.
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
}

_H36M = {'dataset': 'h36m', 'batch_size': 64, 'epochs': 30}
PRESETS: dict[str, dict[str, Any]] = {
  # A demonstration without any file, in minutes on a laptop.
  'synthetic': {'recipe': 'best', 'hid_dim': 64, 'epochs': 12},
  # Human3.6M as released: ground-truth 2D, and stacked hourglass detections
  # fine-tuned on it.
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
  'cmu': {'dataset': 'cmu', 'batch_size': 256, 'epochs': 30},
  # The same data by a better recipe.
  'h36m_best': _H36M | {'recipe': 'best', 'batch_size': 256},
  'cmu_best': {
    'dataset': 'cmu',
    'recipe': 'best',
    'batch_size': 256,
    'epochs': 50,
  },
}


# What --model brings along; other flags change it.
PUBLISHED_SIZES: dict[str, dict[str, Any]] = {
  'semgcn': {'hid_dim': 128, 'num_layers': 4, 'dropout': 0.0},
  # Martinez et al., as released beside SemGCN.
  'linear': {'hid_dim': 1024, 'num_layers': 2, 'dropout': 0.5},
  'st_gcn': {'hid_dim': 128, 'num_layers': 4, 'dropout': 0.0},
}


# What --lifter brings along, of the run it names.
MODEL_FIELDS = ('model', 'hid_dim', 'num_layers', 'conv', 'non_local')


def preset(name: str, **overrides: Any) -> Config:
  """The preset's Config with some fields replaced.

  Raises:
    FlagError: unknown preset, or a value out of its range.
    UserError: the run that `lifter` names is none.
  """
  chosen = choose('preset', name, PRESETS)
  recipe = overrides.get('recipe', chosen.get('recipe', Config.recipe))
  fields = choose('recipe', recipe, RECIPES) | chosen
  if overrides.get('val_subjects'):
    fields['choose_on'] = 'val'
  sizes = PUBLISHED_SIZES.get(overrides.get('model'), {})
  if overrides.get('lifter') and overrides.get('refine'):
    own = load(pathlib.Path(overrides['lifter']) / 'config.json')
    sizes = {name: getattr(own, name) for name in (*MODEL_FIELDS, 'dropout')}
  return Config(preset=name, **fields | sizes | overrides)


def save(config: Config, path: pathlib.Path) -> None:
  """Writes the config as JSON."""
  write_text(path, json.dumps(dataclasses.asdict(config), indent=2) + '\n')


def load(path: pathlib.Path) -> Config:
  """Reads what `save` wrote.

  Raises:
    UserError: no such file, or not a config.
  """
  try:
    # The released recipe was the only one before it had this field.
    fields = {'choose_on': 'test'} | json.loads(path.read_text())
    return Config(
      **{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    )
  except OSError as error:
    raise UserError(
      f'{path}: {error.strerror}; name the folder of a run, such as'
      ' runs/synthetic'
    ) from error
  except (ValueError, TypeError, AttributeError, UserError) as error:
    raise UserError(f'{path}: not the config of a run ({error})') from error
