"""The report of `reproduce`: report.md, report.json, and its figures."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from semgcn_jax import published, visualize
from semgcn_jax.config import Config
from semgcn_jax.errors import listed
from semgcn_jax.evaluate import write_json

# {preset: {method: of `reproduce.summarize_run`}}.
Results = dict[str, dict[str, dict[str, Any]]]


def write(
  results: Results,
  tables: dict[int, Sequence[str]],
  settings: dict[str, Config],
  command: str,
  workdir: pathlib.Path,
) -> None:
  """Writes the report of what is finished, each file under a temporary name.

  Args:
    results: of the finished runs.
    tables: {table of the paper: its methods}.
    settings: {preset: the config of one of its runs}.
    command: that makes it all.
    workdir: the folder.
  """
  device = jax.devices()[0].device_kind
  lines = [
    '# The methods of the paper, retrained',
    '',
    f'    {command}',
    '',
    'MPJPE in mm. "Paper" and "released code" are what was published for'
    ' Human3.6M, from ground-truth 2D (from detected 2D in parentheses); they'
    ' compare with ours on Human3.6M alone. Ours: mean over all test poses ±'
    ' standard deviation of the seeds; seconds: of training all seeds.',
    '',
  ]
  for preset in results:
    lines += [f'- `{preset}`: {_describe(settings[preset], device)}']
  for table, names in tables.items():
    lines += ['', f'## Table {table}', '', *_table(results, names)]
  for preset, rows in results.items():
    lines += ['', f'## {preset}', '']
    if 1 in tables:
      curves = {name: rows[name]['curve'] for name in tables[1] if name in rows}
      if curves:
        path = workdir / f'curves_{preset}.png'
        visualize.plot_comparison(curves, path, config=settings[preset])
        lines += [
          'Training and test error of the methods of Table 1, as in the'
          f" paper's Fig. 4:\n\n![curves]({path.name})",
          '',
        ]
    path = workdir / f'parameters_{preset}.png'
    visualize.plot_parameters(rows, path)
    lines += [f'![parameters against error]({path.name})', '']
    lines += _action_table(rows, settings[preset])
  text = '\n'.join(lines) + '\n'
  temporary = workdir / 'report.tmp'
  temporary.write_text(text)
  temporary.replace(workdir / 'report.md')
  result = {
    'command': command,
    'device': device,
    'presets': {
      preset: {
        'config': _portable(settings[preset]),
        'methods': rows,
      }
      for preset, rows in results.items()
    },
  }
  write_json(result, workdir / 'report.json')


def plain_table(results: Results) -> str:
  """The errors as text, a line per method."""
  names = dict.fromkeys(name for rows in results.values() for name in rows)
  width = max(map(len, names)) + 2
  lines = [' ' * width + ''.join(f'{preset:>18}' for preset in results)]
  for name in names:
    cells = [_error(rows.get(name)) for rows in results.values()]
    lines.append(f'{name:{width}}' + ''.join(f'{c:>18}' for c in cells))
  return '\n'.join(lines)


def _describe(config: Config, device: str) -> str:
  seeds = 'seeds ' if config.num_seeds > 1 else 'seed '
  seeds += listed(map(str, config.seeds))
  return (
    f'{config.dataset}, recipe {config.recipe}, {config.epochs} epochs, batch'
    f' {config.batch_size}, precision {config.precision}, {seeds}, on'
    f' {jax.device_count()} {device}'
  )


def _table(results: Results, names: Sequence[str]) -> list[str]:
  """The lines of a table of the paper, with our columns."""
  headings = ['method', 'parameters', 'paper', 'released code']
  for preset in results:
    headings += [f'{preset}: MPJPE', 'P-MPJPE', 'seconds']
  lines = _header(headings)
  for name in names:
    rows = [each.get(name) for each in results.values()]
    finished = next((row for row in rows if row), None)
    if finished is None:
      continue
    paper = [published.PAPER.get((name, k)) for k in ('gt', 'sh_ft_h36m')]
    released = [
      published.RELEASED.get((name, k), [None])[0] for k in ('gt', 'sh_ft_h36m')
    ]
    cells = [name, f'{finished["num_params"]:,}', _both(paper), _both(released)]
    for row in rows:
      cells += [_error(row), _error(row, 'p_mpjpe')]
      cells += [f'{row["seconds"]:.0f}' if row else '']
    lines.append(_line(cells))
  return lines


def _action_table(rows: dict[str, dict[str, Any]], config: Config) -> list[str]:
  """The lines of our Table 2, with the published rows on Human3.6M."""
  names = list(next(iter(rows.values()))['actions'])
  lines = _header(['MPJPE by action', *names, 'mean'])
  if config.dataset == 'h36m' and set(names) == set(published.ACTIONS):
    others = published.OTHERS | {
      f'{method}, the paper ({keypoints})': (
        *errors,
        published.PAPER[method, keypoints],
      )
      for (method, keypoints), errors in published.PER_ACTION.items()
    }
    for name, errors in others.items():
      of_action = dict(zip(published.ACTIONS, errors[:-1], strict=True))
      cells = [of_action[action] for action in names] + [errors[-1]]
      cells = ['' if cell is None else f'{cell:.1f}' for cell in cells]
      lines.append(_line([name, *cells]))
  for name, row in rows.items():
    errors = [row['actions'][action] for action in names]
    cells = [f'{error:.1f}' for error in [*errors, np.mean(errors)]]
    lines.append(_line([name, *cells]))
  return lines


def _header(headings: Sequence[str]) -> list[str]:
  return [_line(headings), _line(['---'] * len(headings))]


def _line(cells: Sequence[str]) -> str:
  return f'| {" | ".join(cells)} |'


def _both(values: Sequence[float | None]) -> str:
  """From ground-truth 2D, and from detected 2D in parentheses."""
  truth, detected = values
  if truth is None:
    return ''
  return f'{truth:.1f}' + (f' ({detected:.1f})' if detected else '')


def _error(row: dict[str, Any] | None, name: str = 'mpjpe') -> str:
  if row is None:
    return ''
  if len(row['seeds']) == 1:
    return f'{row[name]:.1f}'
  return f'{row[name]:.1f} ± {row[name + "_sd"]:.1f}'


def _portable(config: Config) -> dict[str, Any]:
  """The config without the folders of a machine."""
  fields = dataclasses.asdict(config)
  return {k: v for k, v in fields.items() if k not in ('data_dir', 'lifter')}
