"""The tasks of networks: single frames, clips, or images.

A task knows how poses are fed and augmented, how predictions are made and
scored, and what a run can take over from another. All other code asks the task
of a config, and need not know which one it is.
"""

from semgcn_jax.config import Config
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.tasks.clips import Clips
from semgcn_jax.tasks.frames import Frames
from semgcn_jax.tasks.pictures import Pictures

__all__ = ['TASKS', 'Clips', 'Frames', 'Pictures', 'make_task']

# By the values of `ModelConfig.task`.
TASKS = {'frames': Frames, 'clips': Clips, 'pictures': Pictures}


def make_task(config: Config, skeleton: Skeleton) -> Frames:
  """Makes the task of a config for poses of a skeleton."""
  return TASKS[config.model.task](config, skeleton)
