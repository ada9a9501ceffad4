"""Scores what the flags of evaluate.py name, and prints the errors."""

import pathlib
from typing import Any

from semgcn_jax.commands.flags.evaluate import Flags
from semgcn_jax.evaluation.evaluate import evaluate
from semgcn_jax.evaluation.predictions import predict_clips
from semgcn_jax.evaluation.real import format_real, read_real, score_real
from semgcn_jax.evaluation.wild import format_wild, read_wild, score_wild
from semgcn_jax.figures.poses import draw_grid
from semgcn_jax.figures.style import DPI
from semgcn_jax.files import write_json, write_output
from semgcn_jax.inference.lifter import Lifter
from semgcn_jax.inference.placing import require_h36m
from semgcn_jax.motion.upright import make_scenes
from semgcn_jax.runs.networks import restore_network


def main(flags: Flags) -> None:
  """Scores the checkpoint that the flags name."""
  if flags.wild:
    lifter = _lifter(flags, 'wild')
    arrays = read_wild(pathlib.Path(flags.wild))
    result = score_wild(
      lifter, arrays, use_focal=flags.use_focal, solve=flags.solve
    )
    print(format_wild(result))
  elif flags.real:
    lifter = _lifter(flags, 'real')
    clips = read_real(pathlib.Path(flags.real))
    result = score_real(
      lifter, clips, use_focal=flags.use_focal, solve=flags.solve
    )
    print(format_real(result))
  else:
    chosen: dict[str, Any] = {
      'averaged': flags.weights == 'averaged',
      'seed': flags.only_seed,
    }
    args = flags.checkpoint, flags.which, flags.given
    if flags.figure:
      clips = predict_clips(*args, **chosen)
      figure = draw_grid(make_scenes(clips))
      write_output(
        pathlib.Path(flags.figure),
        lambda path: figure.savefig(path, format='png', dpi=DPI),
        'figure',
      )
    result = evaluate(*args, **chosen, beside=flags.baselines)
  if flags.output:
    write_json(result, pathlib.Path(flags.output))


def _lifter(flags: Flags, setting_name: str) -> Lifter:
  """Makes a lifter of the checkpoint, for keypoints that a setting names."""
  network = restore_network(
    flags.checkpoint, flags.which, averaged=flags.weights == 'averaged'
  )
  require_h36m(network.skeleton, setting_name)
  return Lifter.of(network, flags.only_seed, flags.checkpoint)
