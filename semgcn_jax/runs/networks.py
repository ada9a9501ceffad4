"""Trained networks: those of runs, and the bundled ones."""

import dataclasses
import pathlib
from typing import Any

import jax

from semgcn_jax import config as config_lib
from semgcn_jax import weights
from semgcn_jax.config import Config, TrainingConfig
from semgcn_jax.errors import SettingError
from semgcn_jax.geometry.graphs import load_graph
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.models.build import abstract_variables
from semgcn_jax.runs.progress import Progress
from semgcn_jax.runs.weights import FILE, read_weights


@dataclasses.dataclass(frozen=True)
class Network:
  """A trained network, restored from a run.

  Attributes:
    config: The config of the run.
    skeleton: The skeleton of the poses.
    variables: The params and batch_stats; those of several seeds are stacked.
    progress: How far the run had come.
  """

  config: Config
  skeleton: Skeleton
  variables: dict[str, Any]
  progress: Progress

  def of_seed(self, seed: int | None = None) -> dict[str, Any]:
    """Returns the variables of one seed; None is the first.

    Raises:
      SettingError: The run has no such seed.
    """
    seed = self.config.training.seed if seed is None else seed
    return take_seed(self.variables, self.config.training, seed)


def take_seed(tree: Any, config: TrainingConfig, seed: int) -> Any:
  """Returns the arrays of one seed; those of several are stacked, `[R, ...]`.

  Raises:
    SettingError: The run has no such seed.
  """
  index = config.index_of_seed(seed)
  if config.num_seeds == 1:
    return tree
  return jax.tree.map(lambda x: x[index], tree)


def restore_network(
  checkpoint: str | pathlib.Path,
  which: str = 'best',
  *,
  averaged: bool = True,
) -> Network:
  """Restores the network of a run, or bundled weights.

  Args:
    checkpoint: The name of bundled weights, or a run folder.
    which: 'best', 'last' or the number of an epoch.
    averaged: Whether to take the averaged weights, if the run has some.

  Raises:
    SettingError: There is no such checkpoint.
    UserError: There is no run, no checkpoint at all, or it is damaged.
  """
  workdir = weights.find(checkpoint)
  config = config_lib.load(workdir / 'config.json')
  skeleton = load_graph(str(workdir / 'skeleton.json'))
  training = config.training
  if (workdir / FILE).exists():
    if which not in ('best', 'last'):
      raise SettingError(f'`which={which}`: {workdir} has only one epoch')
    # Tests compare the bundled ones with their models.
    abstract = None
    if not weights.are_bundled(workdir):
      abstract = abstract_variables(config.model, skeleton)
    variables, epoch = read_weights(workdir, abstract, skeleton)
    return Network(config, skeleton, variables, Progress(epoch))
  # Orbax takes long to import, and bundled weights do not need it.
  from semgcn_jax.runs.checkpoints import restore_variables

  variables, progress = restore_variables(
    workdir,
    which,
    abstract_variables(config.model, skeleton, training.num_seeds),
    averaged=averaged and training.averaging > 0,
  )
  return Network(config, skeleton, variables, progress)
