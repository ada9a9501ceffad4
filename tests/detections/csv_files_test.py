"""DeepLabCut's CSV, of one or several individuals."""

import csv

import numpy as np
import pytest
from filmed import keypoints_of

from semgcn_jax.detections.clip_files import find_clips, read_clips
from semgcn_jax.errors import UserError
from semgcn_jax.geometry.joint_sets import JOINT_SETS

SIZE = (1280, 720)


def write(path, people, names):
  """Writes `{individual: keypoints [T, J, 3]}` as DeepLabCut does."""
  heads = [
    (person, part, coord)
    for person in people
    for part in names
    for coord in ('x', 'y', 'likelihood')
  ]
  with open(path, 'w', newline='') as file:
    writer = csv.writer(file)
    writer.writerow(['scorer'] + ['DLC'] * len(heads))
    if len(people) > 1:
      writer.writerow(['individuals'] + [head[0] for head in heads])
    writer.writerow(['bodyparts'] + [head[1] for head in heads])
    writer.writerow(['coords'] + [head[2] for head in heads])
    arrays = list(people.values())
    for frame in range(len(arrays[0])):
      cells = np.concatenate([a[frame].ravel() for a in arrays])
      writer.writerow([frame, *('' if np.isnan(c) else c for c in cells)])
  return path


def test_people_by_name_and_track(tmp_path):
  keypoints = keypoints_of(5)
  keypoints[2, 9] = np.nan
  order = np.random.default_rng(0).permutation(17)
  people = {
    'ann': keypoints[:, order],
    'bob': keypoints[:, order] + (300, 0, 0),
  }
  names = [JOINT_SETS['coco'].names[i] for i in order]
  for count in (1, 2):
    some = dict([*people.items()][:count])
    path = write(tmp_path / f'{count}DLC.csv', some, names)
    assert find_clips(path) == {f'{count}DLC': [path]}
    (clip,) = read_clips('a', [path], image_size=SIZE)
    assert clip.joint_set == 'coco' and len(clip.people) == count
    for person, shift in zip(clip.people, (0, 300), strict=False):
      wanted = np.nan_to_num(keypoints + (shift, 0, 0))
      np.testing.assert_allclose(person.keypoints, wanted)


def test_other_tables_are_refused(tmp_path):
  path = tmp_path / 'a.csv'
  for text in ('', 'x,y\n1,2\n', 'scorer,a\nbodyparts,nose\ncoords,x\n0,5\n'):
    path.write_text(text)
    with pytest.raises(UserError, match=r'a\.csv: not a .*CSV file of DeepLab'):
      read_clips('a', [path], image_size=SIZE)
