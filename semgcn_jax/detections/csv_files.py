"""Reads keypoints from the CSV files of DeepLabCut.

Three or four lines head a file: scorer, individuals (if there are several),
bodyparts and coords. Each further line is a frame.
"""

import csv
import pathlib

import numpy as np

from semgcn_jax.detections.persons import Detection, check_coordinates
from semgcn_jax.errors import UserError, shortened
from semgcn_jax.files import read_text


def read_csv(path: pathlib.Path) -> dict[int, list[Detection]]:
  """Reads the people in each frame of a CSV file of DeepLabCut.

  Returns:
    {number of a frame: its people}, with the names of their keypoints. With
    several individuals, each is tracked.

  Raises:
    UserError: The file cannot be read, or is not DeepLabCut's.
  """
  try:
    lines = list(csv.reader(read_text(path, 'utf-8-sig').splitlines()))
  except OSError as error:
    raise UserError(f'{path}: {error.strerror}') from error
  except (ValueError, csv.Error) as error:
    raise UserError(f'{path}: not CSV ({shortened(error, 100)})') from error
  heads = {line[0]: line[1:] for line in lines[:4] if line}
  parts, coords = heads.get('bodyparts'), heads.get('coords')
  if not parts or not coords:
    raise UserError(
      f'{path}: not a CSV file of DeepLabCut, whose first lines are scorer,'
      ' bodyparts and coords; docs/using.md shows how to convert others'
    )
  people = heads.get('individuals') or [''] * len(parts)
  tracks = {name: number for number, name in enumerate(dict.fromkeys(people))}
  rows = lines[3 + ('individuals' in heads) :]
  try:
    table = [[float(cell or 'nan') for cell in row[1:]] for row in rows if row]
    numbers = [int(float(row[0])) for row in rows if row]
    columns = list(zip(people, parts, coords, strict=True))
    cells = np.array(table, float).reshape(len(table), len(columns))
    points = {name: _person(cells, columns, name) for name in tracks}
  except (ValueError, LookupError, OverflowError) as error:
    raise UserError(
      f'{path}: not a whole CSV file of DeepLabCut ({shortened(error, 100)})'
    ) from error
  return {
    number: [
      Detection(points[name][1][row], track, points[name][0])
      for name, track in tracks.items()
      if (points[name][1][row, :, 2] > 0).any()
    ]
    for row, number in enumerate(numbers)
  }


def _person(
  cells: np.ndarray, columns: list[tuple[str, str, str]], name: str
) -> tuple[tuple[str, ...], np.ndarray]:
  """Returns the names and keypoints, `[T, J, 3]`, of an individual."""
  own = {c[1:]: index for index, c in enumerate(columns) if c[0] == name}
  parts = tuple(dict.fromkeys(part for part, _ in own))
  sure = np.ones(len(cells))
  points = np.zeros((len(cells), len(parts), 3))
  for index, part in enumerate(parts):
    points[:, index, 0] = cells[:, own[part, 'x']]
    points[:, index, 1] = cells[:, own[part, 'y']]
    found = own.get((part, 'likelihood'))
    points[:, index, 2] = sure if found is None else cells[:, found]
  points[~np.isfinite(points).all(axis=-1)] = 0
  return parts, check_coordinates(points)
