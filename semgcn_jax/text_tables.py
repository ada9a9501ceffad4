"""Formats tables for a terminal and in Markdown."""

import io
from collections.abc import Sequence

import rich.console
import rich.table


def plain_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  """Formats a table for a terminal, all but the first column flush right."""
  table = rich.table.Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
  for number, heading in enumerate(headings):
    side = 'right' if number else 'left'
    table.add_column(heading, justify=side, no_wrap=True)
  for row in rows:
    table.add_row(*row)
  # Rich would crop a table that is wider than the terminal.
  console = rich.console.Console(
    file=io.StringIO(), width=10_000, color_system=None, markup=False
  )
  with console.capture() as captured:
    console.print(table)
  return '\n'.join(line.rstrip() for line in captured.get().splitlines())


def markdown_table(
  headings: Sequence[str], rows: Sequence[Sequence[str]]
) -> list[str]:
  """Formats a table in Markdown, and returns its lines."""
  lines = [headings, ['---'] * len(headings), *rows]
  return [f'| {" | ".join(cells)} |' for cells in lines]
