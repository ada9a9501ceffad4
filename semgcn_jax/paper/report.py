"""Writes the report of `reproduce`: report.md, report.json, and figures."""

import json
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from semgcn_jax import config as config_lib
from semgcn_jax.config import Config
from semgcn_jax.config.presets import PRESETS
from semgcn_jax.data.h36m import ACTIONS
from semgcn_jax.errors import SettingError, listed
from semgcn_jax.evaluation import published
from semgcn_jax.evaluation.scores import IMAGE_HEADINGS, rank
from semgcn_jax.files import write_text
from semgcn_jax.geometry.skeletons import Skeleton, load_skeleton
from semgcn_jax.models.build import count_parameters
from semgcn_jax.paper.methods import METHODS, TABLES
from semgcn_jax.runs import folder
from semgcn_jax.text_tables import markdown_table, plain_table
from semgcn_jax.training.curves import plot_comparison, plot_parameters

# {method name: the result of `summarize_run`}.
Rows = dict[str, dict[str, Any]]


def write(workdir: pathlib.Path, command: str) -> str:
  """Writes the report of all finished runs in a folder.

  Args:
    workdir: The folder of the run folders `<preset>/<method>`, and for
      report.md, report.json, curves_<preset>.png and parameters_<preset>.png.
    command: The command line that reproduces the report.

  Returns:
    The errors as text, with one line per method.

  Raises:
    SettingError: The folder cannot be written.
    UserError: The log of a run is damaged.
  """
  runs = _gather(workdir)
  results = {preset: rows for preset, (_, rows) in runs.items()}
  lines = [
    '# The methods of the paper, retrained',
    '',
    f'    {command}',
    '',
    'MPJPE in mm ± standard deviation of the seeds. "Paper" and "released code"'
    ' are what was published for Human3.6M, from ground-truth 2D (from detected'
    ' 2D in parentheses), in Table 2 from pictures; they compare with ours on'
    ' Human3.6M alone. Seconds: of training all seeds, with compiling, without'
    ' evaluation, and without the run that a method goes on from.',
    '',
  ]
  for preset, (config, rows) in runs.items():
    lines.append(f'- `{preset}`: {_describe(config, rows)}')
  for table in TABLES:
    title = f'Table {table}' if table.isdigit() else table.capitalize()
    names = [method.name for method in METHODS if table in method.tables]
    # Single frames are only there for comparison.
    own = [n for n in names if n != 'SemGCN'] if table == 'video' else names
    if any(name in rows for _, rows in runs.values() for name in own):
      lines += ['', f'## {title}', '', *_table(runs, names)]
  try:
    for preset, (config, rows) in runs.items():
      lines += ['', f'## {preset}', '']
      lines += _figures(preset, config, rows, workdir)
      lines += _action_table(rows, config)
    write_text(workdir / 'report.md', '\n'.join(lines) + '\n')
    result = {
      'command': command,
      'presets': {
        preset: {'config': _portable(config), 'methods': rows}
        for preset, (config, rows) in runs.items()
      },
    }
    write_text(workdir / 'report.json', json.dumps(result, indent=2) + '\n')
  except OSError as error:
    raise SettingError(
      f'`workdir={workdir}`: the report cannot be written ({error.strerror})'
    ) from error
  return _plain_table(results)


def _gather(workdir: pathlib.Path) -> dict[str, tuple[Config, Rows]]:
  """Returns {preset: (a config, rows)} of finished runs that predict poses."""
  found = {}
  for preset in PRESETS:
    rows, config = {}, None
    for method in METHODS:
      path = workdir / preset / method.folder
      if not folder.holds_run(path):
        continue
      own = config_lib.load(path / 'config.json')
      epochs = own.training.epochs
      if own.scored_by != 'mpjpe':
        continue  # The rows of its successors include its 2D errors.
      if len(folder.read_log(path)) >= epochs:
        records = folder.read_records(path, epochs)
        skeleton = load_skeleton(str(path / 'skeleton.json'))
        rows[method.name] = summarize_run(own, skeleton, records)
        config = config or own
    if config:
      found[preset] = config, rows
  return found


def summarize_run(
  config: Config, skeleton: Skeleton, records: list[dict[str, Any]]
) -> dict[str, Any]:
  """Summarizes a finished run for the report.

  Args:
    config: The config of the run.
    skeleton: The skeleton of its poses.
    records: The record of every epoch, from metrics.jsonl.

  Returns:
    A row with these keys; errors are in mm, at the best epoch.
      num_params: The number of parameters.
      seconds: The seconds of training, without evaluation.
      devices: The training devices, in words.
      epoch: The number of the best epoch.
      mpjpe, p_mpjpe: The means over all poses.
      mpjpe_action, p_mpjpe_action: The means over the actions.
      mpjpe_sd and so on: The standard deviation of these four over the seeds.
      pixel_error, pckh: The scores of the 2D, if it is found in images.
      seeds: The MPJPE of each seed.
      actions: {action: MPJPE}.
      curve: {'train_loss', 'mpjpe', 'mpjpe_sd': the values of all epochs}.
  """
  choose_on = config.evaluation.choose_on
  best = min(records, key=lambda record: rank(record, choose_on))
  errors = ('mpjpe', 'p_mpjpe', 'mpjpe_action', 'p_mpjpe_action')
  return {
    'num_params': count_parameters(config.model, skeleton),
    'seconds': sum(record['seconds'] for record in records),
    'devices': _listed_once(r.get('devices', 'unknown') for r in records),
    'epoch': best['epoch'],
    **{name: best[name] for name in errors},
    **{name: best[name] for name in IMAGE_HEADINGS if name in best},
    **{f'{name}_sd': best.get(f'{name}_sd', 0.0) for name in errors},
    'seeds': [seed['mpjpe'] for seed in best.get('seeds', [best])],
    'actions': {
      action: values['mpjpe'] for action, values in best['actions'].items()
    },
    'curve': {
      name: [record.get(name, 0.0) for record in records]
      for name in ('train_loss', 'mpjpe', 'mpjpe_sd')
    },
  }


def _figures(
  preset: str, config: Config, rows: Rows, workdir: pathlib.Path
) -> list[str]:
  """Draws the figures of a preset, and returns the Markdown to show them."""
  lines = []
  first = [method.name for method in METHODS if '1' in method.tables]
  curves = {name: rows[name]['curve'] for name in first if name in rows}
  if curves:
    path = workdir / f'curves_{preset}.png'
    plot_comparison(curves, path, config=config.training)
    lines += [
      "Training and test error of the methods of Table 1, as in the paper's"
      ' Fig. 4:',
      '',
      f'![curves]({path.name})',
      '',
    ]
  path = workdir / f'parameters_{preset}.png'
  plot_parameters(rows, path)
  return [*lines, f'![parameters against error]({path.name})', '']


def _plain_table(results: dict[str, Rows]) -> str:
  """Formats the errors as text, with one line per method."""
  lines = []
  for name in dict.fromkeys(name for rows in results.values() for name in rows):
    cells = [_error(rows.get(name), 'mpjpe') for rows in results.values()]
    lines.append([name, *cells, _both(published.PAPER, name)])
  return plain_table(['', *results, 'the paper (H36M)'], lines)


def _listed_once(names: Iterable[str]) -> str:
  """Joins names with commas, without repeating any."""
  return listed(dict.fromkeys(names))


def _describe(config: Config, rows: Rows) -> str:
  """Describes the runs of a preset in one line."""
  training, dataset = config.training, config.data.dataset
  seeds = 'seeds ' if training.num_seeds > 1 else 'seed '
  seeds += listed(map(str, training.seeds))
  epoch = {
    'last': 'the last',
    'val': 'the best on the validation subjects',
    'test': 'the best on the test set',
  }[config.evaluation.choose_on]
  mean = 'actions' if dataset == 'h36m' else 'all test poses'
  epochs = '1 epoch' if training.epochs == 1 else f'{training.epochs} epochs'
  devices = _listed_once(row['devices'] for row in rows.values())
  return (
    f'{dataset}, recipe {config.recipe}, {epochs}, scored after {epoch}, batch'
    f' {training.batch_size}, precision {training.precision}, {seeds}, on'
    f' {devices}; means over {mean}'
  )


def _table(
  runs: dict[str, tuple[Config, Rows]], names: Sequence[str]
) -> list[str]:
  """Formats a table of the paper, with our columns."""
  columns = {}  # {heading: {method name: cell}}.
  for preset, (config, all_rows) in runs.items():
    rows = {name: all_rows[name] for name in names if name in all_rows}
    # On Human3.6M, published errors are means over actions.
    of = '_action' if config.data.dataset == 'h36m' else ''
    texts = {
      f'mpjpe{of}': 'MPJPE',
      f'p_mpjpe{of}': 'P-MPJPE',
      'pixel_error': IMAGE_HEADINGS['pixel_error'],
    }
    for error, text in texts.items():
      if any(error in row for row in rows.values()):
        columns[f'{preset}: {text}'] = {
          name: _error(row, error) for name, row in rows.items()
        }
    if rows:
      columns[f'{preset}: seconds'] = {
        name: f'{row["seconds"]:.0f}' for name, row in rows.items()
      }
  released = {key: values[0] for key, values in published.RELEASED.items()}
  lines = []
  for name in names:
    # Presets have backbones of different sizes.
    counts = dict.fromkeys(
      f'{rows[name]["num_params"]:,}'
      for _, rows in runs.values()
      if name in rows
    )
    if not counts:
      continue
    cells = [name, ' / '.join(counts)]
    cells += [_both(published.PAPER, name), _both(released, name)]
    cells += [column.get(name, '') for column in columns.values()]
    lines.append(cells)
  headings = ['method', 'parameters', 'paper', 'released code', *columns]
  return markdown_table(headings, lines)


def _action_table(rows: Rows, config: Config) -> list[str]:
  """Formats our Table 2, with the published rows on Human3.6M."""
  names = list(next(iter(rows.values()))['actions'])
  lines = []
  if published.is_standard(config.data):
    others = published.OTHERS | {
      f'{method}, the paper ({source})': (
        *errors,
        published.PAPER[method, source],
      )
      for (method, source), errors in published.PER_ACTION.items()
    }
    for name, errors in others.items():
      of_action = dict(zip(ACTIONS, errors[:-1], strict=True))
      cells = [of_action[action] for action in names] + [errors[-1]]
      cells = ['' if cell is None else f'{cell:.1f}' for cell in cells]
      lines.append([name, *cells])
  for name, row in rows.items():
    errors = [row['actions'][action] for action in names]
    cells = [f'{error:.1f}' for error in [*errors, np.mean(errors)]]
    lines.append([name, *cells])
  return markdown_table(['MPJPE by action', *names, 'mean'], lines)


def _both(table: dict[tuple[str, str], float], name: str) -> str:
  """Formats errors from ground-truth 2D (or images), and (detected 2D)."""
  truth = table.get((name, 'gt'), table.get((name, 'pictures')))
  detected = table.get((name, 'sh_ft_h36m'))
  if truth is None:
    return ''
  return f'{truth:.1f}' + (f' ({detected:.1f})' if detected else '')


def _error(row: dict[str, Any] | None, name: str) -> str:
  """Formats an error of a row, with the deviation over several seeds."""
  if row is None or name not in row:
    return ''
  if len(row['seeds']) == 1 or f'{name}_sd' not in row:
    return f'{row[name]:.1f}'
  return f'{row[name]:.1f} ± {row[name + "_sd"]:.1f}'


def _portable(config: Config) -> dict[str, Any]:
  """Returns the settings without the folders of this machine."""
  fields = config.flat()
  for name in ('cameras', 'skeleton', 'backbone_weights', 'rendered_motions'):
    fields[name] = pathlib.Path(fields[name]).name
  folders = ('data_dir', 'image_dir', 'init_from')
  return {k: v for k, v in fields.items() if k not in folders}
