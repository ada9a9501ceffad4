"""The tasks of networks: single frames, clips, images, or any graph.

A task knows how poses are fed and augmented, how predictions are made and
scored, and what a run can take over from another. All other code asks the task
of a config, and need not know which one it is.
"""

from typing import Any

from semgcn_jax.config import Config
from semgcn_jax.tasks.clips import Clips
from semgcn_jax.tasks.frames import Frames
from semgcn_jax.tasks.pictures import Pictures
from semgcn_jax.tasks.regression import Regression

__all__ = ['TASKS', 'Clips', 'Frames', 'Pictures', 'Regression', 'make_task']

# By the values of `Config.takes`.
TASKS = {
  'frames': Frames,
  'clips': Clips,
  'pictures': Pictures,
  'nodes': Regression,
}


def make_task(config: Config, skeleton: Any) -> Frames:
  """Makes the task of a config for poses of a skeleton, or for a graph."""
  return TASKS[config.takes](config, skeleton)
