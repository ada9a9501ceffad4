"""Retrains the methods of the paper's tables and compares them.

python experiments/reproduce.py --tables=1,3 --preset=cmu_best
"""

import pathlib

from absl import flags

from semgcn_jax import cli
from semgcn_jax.config import Config
from semgcn_jax.errors import FlagError
from semgcn_jax.reproduce import reproduce

cli.define_config_flags()
cli.define_cache_flag()
_TABLES = flags.DEFINE_list('tables', ['1', '3'], 'Of the paper: 1, 3.')
_WORKDIR = flags.DEFINE_string('workdir', 'runs/reproduce', 'Gets the report.')


def main():
  cli.use_compilation_cache()
  overrides = cli.config_flags()
  presets = overrides.pop('preset', Config.preset).split(',')
  try:
    tables = [int(table) for table in _TABLES.value]
  except ValueError as error:
    raise FlagError('--tables: give numbers, such as 1,3') from error
  reproduce(presets, tables, overrides, pathlib.Path(_WORKDIR.value))


if __name__ == '__main__':
  cli.run(main)
