"""What users import: the public names, with their types and shapes."""

import inspect
import re

import beartype
import jax
import jaxtyping
import numpy as np
import pytest
from tiny import TINY

import semgcn_jax
from semgcn_jax.detections.clips import Person
from semgcn_jax.inference.predictor import make_predictor
from semgcn_jax.models.build import build, example_input

# Checks shapes and types of arrays where they are annotated.
checked = jaxtyping.jaxtyped(typechecker=beartype.beartype)
SIZE = np.array((1280, 720))


def keypoints(*leading):
  rng = np.random.default_rng(0)
  return rng.uniform(300, 700, (*leading, 17, 3)) * (1, 1, 1e-3)


def variables_of(config):
  example = example_input(config.model, semgcn_jax.H36M)
  model = build(config.model, semgcn_jax.H36M)
  zeros = np.zeros(example.shape, example.dtype)
  return jax.jit(model.init)(jax.random.PRNGKey(0), zeros)


def test_every_public_name_is_there_and_described():
  assert dir(semgcn_jax) == sorted(semgcn_jax.__all__)
  for name in semgcn_jax.__all__:
    assert getattr(semgcn_jax, name) is not None
    if not name.startswith('_'):
      assert re.search(rf'\b{name}\b', semgcn_jax.__doc__), name
  with pytest.raises(AttributeError, match='no attribute .nothing.'):
    _ = semgcn_jax.nothing


def test_functions_of_the_face_are_annotated():
  for name in semgcn_jax.__all__:
    value = getattr(semgcn_jax, name)
    methods = [value]
    if inspect.isclass(value):
      methods = [
        method
        for method in vars(value).values()
        if inspect.isfunction(method) and not method.__name__.startswith('_')
      ]
    for function in filter(inspect.isfunction, methods):
      signature = inspect.signature(function)
      assert signature.return_annotation is not inspect.Signature.empty, name
      for parameter in signature.parameters.values():
        if parameter.name != 'self':
          assert parameter.annotation is not inspect.Parameter.empty, name


@pytest.mark.parametrize('leading', [(), (3,), (2, 3), (0,)])
def test_shapes_of_what_is_lifted(leading):
  lifter = semgcn_jax.Lifter.load('cmu')
  given = keypoints(*leading), SIZE
  poses = checked(semgcn_jax.Lifter.__call__)(lifter, *given)
  assert poses.shape == (*leading, 16, 3)
  lifted = lifter.lift(*given)
  checked(semgcn_jax.Lifted)(**vars(lifted))
  with pytest.raises(jaxtyping.TypeCheckError):
    checked(semgcn_jax.Lifted)(poses, np.zeros((*leading, 15), 'f'), 0)
  places = checked(semgcn_jax.Lifter.place)(
    lifter, poses, *given, field_of_view=60
  )
  assert places.shape == (*leading, 3)


def test_shapes_of_predictions_and_of_pictures():
  predictor = make_predictor(
    TINY, semgcn_jax.H36M, variables_of(TINY), batch_sizes=[4]
  )
  call = checked(type(predictor).__call__)
  assert call(predictor, np.zeros((6, 16, 2), 'f')).shape == (6, 16, 3)
  with pytest.raises(jaxtyping.TypeCheckError):
    call(predictor, np.zeros((16, 2), 'f'))
  lifter = semgcn_jax.ImageLifter(
    semgcn_jax.H36M, 32, lambda crops: np.zeros((len(crops), 16, 5), 'f')
  )
  poses, joints = checked(semgcn_jax.ImageLifter.__call__)(
    lifter, np.zeros((3, 32, 32, 3), np.uint8)
  )
  assert poses.shape == (3, 16, 3) and joints.shape == (3, 16, 2)


def test_shapes_of_a_person():
  frames = np.arange(4)
  fields = {
    'keypoints': keypoints(4)[:, :16],
    'poses': np.zeros((4, 16, 3)),
    'errors': np.zeros((4, 16)),
    'places': np.zeros((4, 3)),
  }
  checked(Person)('1', frames, **fields)
  with pytest.raises(jaxtyping.TypeCheckError):
    checked(Person)('1', frames, **fields | {'places': np.zeros((5, 3))})
