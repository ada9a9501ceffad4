"""What a network is trained for: single frames, clips, or pictures.

A task knows how poses are fed to training and varied there, how predictions
are made and scored, and what a run may take over from another. Everything else
asks the task of a config, and need not know which one it is.
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
