"""The task of single frames: from the 2D joints of a frame to a pose."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from semgcn_jax.config import Config
from semgcn_jax.config.presets import MODEL_FIELDS
from semgcn_jax.data.image_aligned import center_inputs
from semgcn_jax.data.pairs import Pairs
from semgcn_jax.errors import SettingError
from semgcn_jax.geometry.cameras import Camera
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.models.batches import run_batches
from semgcn_jax.models.forward import make_forward
from semgcn_jax.runs.networks import Network
from semgcn_jax.simulation.film import film
from semgcn_jax.tasks.augmentation import Batch, augment, make_lenses
from semgcn_jax.tasks.films import film_pairs, level_poses
from semgcn_jax.tasks.flips import random_flip

Array = jax.Array
# Maps predicted and true poses to a scalar.
PoseLoss = Callable[[Array, Array], Array]


@dataclasses.dataclass(frozen=True)
class Frames:
  """The task of single frames, and the base of the other tasks.

  Attributes:
    config: The config of the run.
    skeleton: The skeleton of the poses.
    is_large: Whether the layers are too large for packing into long vectors to
      pay off (class attribute).
    needs_residence: Whether all training poses must be on every device (class
      attribute).
    finding: The parts of the network that find 2D joints (class attribute).
  """

  config: Config
  skeleton: Skeleton

  is_large = False
  needs_residence = False
  finding = ()

  @property
  def learns(self) -> tuple[str, ...]:
    """The parts that learn, as named in the output of a run."""
    return ('graph network',)

  @property
  def is_filmed(self) -> bool:
    """Whether poses are filmed by random cameras (`input_joints`)."""
    return bool(self.config.model.input_joints)

  @property
  def samples_per_step(self) -> int:
    """The rows of the training arrays per step, over all devices."""
    return self.config.training.batch_size

  # Feeding and augmentation.

  def check(self, devices: int) -> None:
    """Checks the settings before the data is read.

    Args:
      devices: The number of devices to train on.

    Raises:
      SettingError: The batches do not split over the devices.
    """
    batch_size = self.config.training.batch_size
    if batch_size % devices:
      raise SettingError(
        f'`batch_size={batch_size}`: does not split over {devices} devices; use'
        f' a multiple of {devices}'
      )

  def arrays(self, train: Pairs) -> dict[str, Any]:
    """Returns the arrays of all training poses, to take batches from."""
    if self.is_filmed:
      return {'targets': level_poses(train, self.skeleton)}
    names = ['inputs', 'targets']
    if self.config.augmentation.virtual_cameras:
      names += ['roots', 'cameras']
    return {name: getattr(train, name) for name in names}

  def take(self, arrays: Batch, rows: Array, fps: float) -> Batch:
    """Takes a batch from the arrays, within the training step.

    Args:
      arrays: The arrays of all poses, `[N, ...]`.
      rows: The rows to take, `[B]`.
      fps: The frame rate of the poses, for clips.
    """
    del fps
    return {name: array[rows] for name, array in arrays.items()}

  def make_augment(
    self, cameras: Sequence[Camera], fps: float
  ) -> Callable[[Array, Batch], Batch]:
    """Builds the function (rng, batch) -> batch that augments a batch.

    Args:
      cameras: The cameras of the poses, for virtual ones.
      fps: The frame rate of the poses, for clips.
    """
    if self.is_filmed:
      return functools.partial(self._film, fps=fps)
    augmentation = self.config.augmentation
    return functools.partial(
      augment,
      config=augmentation,
      skeleton=self.skeleton,
      lenses=make_lenses(cameras) if augmentation.virtual_cameras else None,
    )

  def _film(self, rng: Array, batch: Batch, *, fps: float) -> Batch:
    """Films a batch of level poses; with `flip` half of them are mirrored."""
    del fps
    config = self.config
    flip_rng, film_rng = jax.random.split(rng)
    if config.augmentation.flip:
      batch = random_flip(flip_rng, batch, self.skeleton)
    inputs, targets = film(
      film_rng, batch['targets'], self.skeleton, config.model, config.filming
    )
    return {'inputs': inputs, 'targets': targets}

  def loss(self, predicted: Any, batch: Batch, pose_loss: PoseLoss) -> Array:
    """Computes the loss of the predictions for a batch, a scalar."""
    return pose_loss(predicted, batch['targets'])

  # Prediction and scoring.

  def to_score(self, pairs: Pairs) -> Pairs:
    """Converts pairs to those that the network is scored on."""
    if self.config.data.image_aligned:
      pairs = center_inputs(pairs, self.skeleton)
    if self.is_filmed:
      pairs = film_pairs(pairs, self.skeleton, self.config)
    return pairs

  def make_predict(self, num_seeds: int = 1) -> Callable[..., np.ndarray]:
    """Builds the function that predicts the poses of pairs with R seeds.

    Args:
      num_seeds: The number of seeds, R; the variables of several are stacked.

    Returns:
      A function (variables, pairs, batch size) -> predicted, `[R, N, J, D]`;
      see `to_score` and `forward.predict_poses`.
    """
    forward = make_forward(
      self.config.model,
      self.skeleton,
      flip_test=self.config.evaluation.flip_test,
    )

    @jax.jit
    def program(variables, inputs, length):
      if num_seeds == 1:
        return forward(variables, inputs, length)[None]
      return jax.vmap(forward, (0, None, None))(variables, inputs, length)

    def predict(variables, pairs, batch_size):
      # The state may be on several devices, which would only repeat the work.
      variables = jax.device_put(variables, jax.local_devices()[0])

      def run(inputs, length=None):  # Rows first, so that they can be joined.
        return np.asarray(program(variables, inputs, length)).swapaxes(0, 1)

      return self._run(run, pairs, batch_size).swapaxes(0, 1)

    return predict

  def _run(
    self, program: Callable[..., Any], pairs: Pairs, batch_size: int
  ) -> np.ndarray:
    """Runs a program on all pairs, `[N, R, J, D]`."""
    inputs = self._inputs(pairs)
    return run_batches(
      lambda rows: program(inputs[rows]),
      len(pairs),
      (min(batch_size, len(pairs)),),
    )

  def _inputs(self, pairs: Pairs) -> Any:
    """Returns the inputs of the network."""
    return pairs.inputs

  def joints(self, predicted: np.ndarray) -> np.ndarray | None:
    """Returns the predicted 2D joints, or None if they are an input."""
    del predicted
    return None

  # Warm starts.

  def matching(self, source: Network) -> tuple[str, ...]:
    """Lists the settings that a run must share with the one it starts from.

    Args:
      source: The network of `init_from`.

    Raises:
      SettingError: Its task does not fit.
    """
    del source
    return (*MODEL_FIELDS, 'image_aligned')

  def parts(self, source: Network) -> dict[str, dict[str, Any]]:
    """Returns what a run takes over from the one it starts from.

    Returns:
      {the name of a part of the new network: its params and batch_stats}.
    """
    if self.config.model.refine:
      return {'lifter': source.variables}
    variables = source.variables
    return {name: take_part(variables, name) for name in variables['params']}


def take_part(variables: Mapping[str, Any], part: str) -> dict[str, Any]:
  """Takes a part of a network from its params and batch_stats."""
  return {name: tree.get(part, {}) for name, tree in variables.items()}
