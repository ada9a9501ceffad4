"""Trains a model: `python experiments/train.py`, see --help for the flags."""

import dataclasses
import pathlib

from absl import flags

from semgcn_jax import cli, processes
from semgcn_jax import config as config_lib
from semgcn_jax.train import train_and_evaluate
from semgcn_jax.workdir import holds_run

cli.define_config_flags()
cli.define_cache_flag()
cli.define_process_flags()
flags.DEFINE_string('workdir', None, 'Run folder; default runs/<preset>.')
flags.DEFINE_bool('resume', False, 'Go on with the run in --workdir.')


def main():
  cli.join_processes()
  cli.use_compilation_cache()
  given = cli.config_flags()
  preset = given.get('preset', config_lib.Config.preset)
  workdir = pathlib.Path(flags.FLAGS.workdir or f'runs/{preset}')
  resume = flags.FLAGS.resume
  if resume and holds_run(workdir):
    saved = config_lib.load(workdir / 'config.json')
    config = dataclasses.replace(saved, **given)
  else:
    config = cli.config_from_flags()
  with processes.ending_together():
    train_and_evaluate(config, workdir, resume=resume)


if __name__ == '__main__':
  cli.run(main)
