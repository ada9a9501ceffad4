"""Retrains the methods of the paper's tables and compares them.

python experiments/reproduce.py --tables=1,3 --preset=cmu_best
"""

import pathlib
import shlex
import sys

from absl import flags

from semgcn_jax import cli
from semgcn_jax.config import Config
from semgcn_jax.reproduce import reproduce

cli.define_config_flags()
cli.define_cache_flag()
_TABLES = flags.DEFINE_list('tables', ['1', '3'], 'Of the paper: 1, 3.')
_WORKDIR = flags.DEFINE_string('workdir', 'runs/reproduce', 'Gets the report.')
# They are of a machine, not of the result.
_FOLDERS = ('workdir', 'data_dir', 'compilation_cache', 'cameras', 'skeleton')


def main():
  cli.use_compilation_cache()
  overrides = cli.config_flags()
  presets = overrides.pop('preset', Config.preset).split(',')
  words = [
    flag.serialize()
    for flag in flags.FLAGS.get_key_flags_for_module(sys.argv[0])
    if flag.present and flag.name not in _FOLDERS
  ]
  reproduce(
    presets,
    _TABLES.value,
    overrides,
    pathlib.Path(_WORKDIR.value),
    shlex.join(['python', 'experiments/reproduce.py', *words]),
  )


if __name__ == '__main__':
  cli.run(main)
