"""Lifted poses in notebooks."""

import dataclasses
import html
import re
import sys
import types

import numpy as np
import pytest
from filmed import keypoints_of

from semgcn_jax import Lifter, SettingError
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.inference.lifted import Lifted

SIZE = (1280, 720)


@pytest.fixture(scope='module')
def lifted():
  return Lifter.load('cmu').lift(keypoints_of(6), SIZE, 'coco')


def page_of(text):
  """The page in the frame that a notebook shows."""
  match = re.fullmatch(r'<iframe srcdoc="([^"]*)" .*></iframe>', text, re.S)
  assert match, text[:100]
  return html.unescape(match[1])


def test_the_last_value_of_a_cell_is_a_page(lifted):
  page = page_of(lifted._repr_html_())
  assert page.startswith('<!DOCTYPE html>') and 'three' in page
  assert re.search(r'"size": ?\[1280, ?720\]', page)


def test_time_is_the_last_axis(lifted):
  clip = lifted.clip()
  assert [len(person.frames) for person in clip.people] == [6]
  np.testing.assert_array_equal(clip.people[0].poses, lifted.poses)
  assert clip.people[0].keypoints.shape == (6, 16, 3)
  assert clip.image_size == SIZE
  # Or each pose is a person of one picture.
  people = lifted.clip(people=True).people
  assert [person.frames.tolist() for person in people] == [[0]] * 6
  np.testing.assert_array_equal(people[2].poses[0], lifted.poses[2])
  several = Lifted(np.zeros((2, 5, 16, 3)), np.full((2, 5, 16), np.nan), 0)
  assert [len(p.frames) for p in several.clip().people] == [5, 5]
  one = Lifted(np.zeros((16, 3)), np.zeros(16), 0)
  assert [len(p.frames) for p in one.clip().people] == [1]


def test_an_empty_result_is_a_page_without_people():
  empty = Lifter.load('cmu').lift(np.zeros((0, 17, 3)), SIZE)
  assert page_of(empty._repr_html_())
  assert empty.clip().people[0].poses.shape == (0, 16, 3)


def test_sides_that_were_exchanged_are_drawn_as_lifted(lifted):
  exchanged = np.zeros(6, bool)
  exchanged[2] = True
  other = dataclasses.replace(lifted, exchanged=exchanged)
  [person] = other.clip().people
  [before] = lifted.clip().people
  order = H36M.mirror_order
  np.testing.assert_allclose(person.keypoints[2], before.keypoints[2][order])
  np.testing.assert_array_equal(person.keypoints[3], before.keypoints[3])


def test_show_needs_a_notebook(lifted, monkeypatch):
  monkeypatch.setitem(sys.modules, 'IPython.display', None)
  with pytest.raises(SettingError, match='`show`: needs a notebook'):
    lifted.show()


def test_show_displays_the_page(lifted, monkeypatch):
  shown = []
  display = types.SimpleNamespace(HTML=lambda text: text, display=shown.append)
  monkeypatch.setitem(sys.modules, 'IPython', types.ModuleType('IPython'))
  monkeypatch.setitem(sys.modules, 'IPython.display', display)
  lifted.show(height=321)
  assert 'height="321"' in shown[0] and page_of(shown[0])
