"""Prints scores as a table, with one line per action."""

from typing import Any

from semgcn_jax.config import Config
from semgcn_jax.evaluation import regression, scores
from semgcn_jax.evaluation.published import references
from semgcn_jax.text_tables import plain_table


def format_table(
  result: dict[str, Any], published: dict[str, float] | None = None
) -> str:
  """Formats a result as a table.

  Args:
    result: The result of `scores.score_predictions`.
    published: The published MPJPE in mm of each action, to print beside it.
  """
  rows = []
  headings = _of(result, scores.HEADINGS | scores.IMAGE_HEADINGS)

  def add(name, values, count=''):
    cells = [f'{values[key]:.2f}' if key in values else '' for key in headings]
    cells.append(str(count))
    if published:
      cells.append(f'{published[name]:.1f}' if name in published else '')
    rows.append([name, *cells])

  for name, values in result['actions'].items():
    add(name, values, values['num_poses'])
  means = {name: result[f'{name}_action'] for name in ('mpjpe', 'p_mpjpe')}
  add('mean of actions', means)
  add('all poses', result, result['num_poses'])
  if 'seeds' in result:
    deviations = {name: result[f'{name}_sd'] for name in ('mpjpe', 'p_mpjpe')}
    add(f'± of {len(result["seeds"])} seeds', deviations)
  titles = ['', *headings.values(), 'poses']
  return plain_table(titles + ['published'] * bool(published), rows)


def format_baselines(result: dict[str, Any], config: Config) -> str:
  """Formats the overall scores of baselines above those of the network."""
  if config.takes == 'nodes':
    headings = regression.HEADINGS
  else:
    headings = {name: scores.HEADINGS[name] for name in ('mpjpe', 'p_mpjpe')}
  rows = result['baselines'] | {config.model.model: result}
  lines = [
    [name, *(f'{values[key]:.4g}' for key in headings)]
    for name, values in rows.items()
  ]
  return '\n' + plain_table(['', *headings.values()], lines)


def format_motion(result: dict[str, Any]) -> str:
  """Formats the errors of motion as one line."""
  headings = _of(result, scores.MOTION_HEADINGS)
  return ', '.join(f'{t} {result[name]:.2f}' for name, t in headings.items())


def _of(result: dict[str, Any], headings: dict[str, str]) -> dict[str, str]:
  """Returns the headings of the scores that a result has."""
  return {name: text for name, text in headings.items() if name in result}


def print_result(result: dict[str, Any], config: Config) -> None:
  """Prints the table of an epoch beside the published results of its model."""
  if config.takes == 'nodes':
    print(f'\nepoch {result["epoch"]}:')
    print(regression.format_table(result))
    return
  published, released = references(config)
  print(f'\nepoch {result["epoch"]}, errors in mm, PCK and AUC in percent:')
  if 'pck_threshold' in result:
    limit = result['pck_threshold']
    print(f'PCK and AUC: up to {limit:.3g} mm, a sixth of the mean reach')
  print(format_table(result, published))
  if config.only_2d:
    print('the graph network is untrained, so only the 2D is meaningful')
  if 'mpjve' in result:
    print('motion in mm, from frame to frame: ' + format_motion(result))
  if released:
    print(released)
