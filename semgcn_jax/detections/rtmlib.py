"""Runs the detectors of rtmlib, which the extra `rtm` installs.

YOLOX finds people and RTMPose their joints, Halpe's 26; or RTMO finds both at
once, COCO's 17. rtmlib downloads their weights at first use.
"""

import contextlib
import importlib
import io
import pathlib
from typing import Any

import numpy as np

from semgcn_jax.detections.mediapipe import NEEDED_BY
from semgcn_jax.detections.persons import Detection, Find
from semgcn_jax.errors import SettingError, UserError, missing_extra, shortened
from semgcn_jax.files import split_paths

_LEAST_SCORE = 0.3  # Of a keypoint that was found.
# The joint sets of the networks, keys of `joint_sets.JOINT_SETS`.
JOINTS_BY_NUMBER = {17: 'coco', 26: 'halpe_26'}
_WEIGHTS = 'balanced'  # Of what rtmlib offers.
_FILES = 'the .onnx of YOLOX and of RTMPose (or that of RTMO alone)'


def detector(model: str = '') -> Find:
  """Builds a function that finds the people in an image, `[H, W, 3]` uint8.

  Args:
    model: The ONNX files of YOLOX and RTMPose, joined by a comma, or that of
      RTMO; if empty, rtmlib downloads the first two.

  Raises:
    SettingError: rtmlib is not installed, or files are missing.
    UserError: The weights cannot be downloaded or loaded.
  """
  try:
    rtmlib: Any = importlib.import_module('rtmlib')
  except Exception as error:  # A broken installation raises anything.
    raise missing_extra(NEEDED_BY, 'rtmlib', 'rtm', error) from error
  paths = split_paths(model, ('.onnx',), 'detector_model') if model else ()
  for path in paths:
    if not path.is_file():
      raise SettingError(
        f'`detector_model={model}`: there is no file {path}; give {_FILES}'
      )
  if len(paths) > 2:
    raise SettingError(f'`detector_model={model}`: give {_FILES}')
  if len(paths) == 1:
    height, width = _input_size(paths[0])
    return _people_of(_load(rtmlib.RTMO, paths[0], (height, width)))
  if paths:
    finder = _load(rtmlib.YOLOX, paths[0], _input_size(paths[0]))
    # The size of this one is width and height.
    height, width = _input_size(paths[1])
    poser = _load(rtmlib.RTMPose, paths[1], (width, height))
  else:
    offered = rtmlib.BodyWithFeet.MODE[_WEIGHTS]
    finder = _load(rtmlib.YOLOX, offered['det'], offered['det_input_size'])
    poser = _load(rtmlib.RTMPose, offered['pose'], offered['pose_input_size'])

  def both(picture):
    boxes = finder(picture)
    # Without boxes, it would take the whole picture for a person.
    return poser(picture, bboxes=boxes) if len(boxes) else ([], [])

  return _people_of(both)


def _people_of(network: Any) -> Find:
  """Wraps a network of rtmlib, which takes BGR images."""

  def find(picture):
    keypoints, scores = network(np.ascontiguousarray(picture[..., ::-1]))
    people = []
    for points, score in zip(keypoints, scores, strict=True):
      if len(points) not in JOINTS_BY_NUMBER:
        raise UserError(
          f'`detector_model`: finds {len(points)} joints; give a network of'
          f' {" or ".join(map(str, JOINTS_BY_NUMBER))}'
        )
      found = np.concatenate([points, np.clip(score, 0, 1)[:, None]], axis=1)
      found[found[:, 2] < _LEAST_SCORE] = 0
      if found.any():
        people.append(Detection(found))
    return people

  return find


def _load(
  network: Any, source: pathlib.Path | str, size: tuple[int, int]
) -> Any:
  """Loads a network from a file, or downloads it from an address, and tries it.

  Args:
    network: The class of the network in rtmlib.
    source: The file or the address.
    size: The size of its input, as the class takes it.
  """
  try:
    with contextlib.redirect_stdout(io.StringIO()):
      loaded = network(str(source), model_input_size=size)
    loaded(np.zeros((64, 64, 3), np.uint8))
    return loaded
  # ONNX Runtime has many errors, and rtmlib fails anyhow on another network.
  except Exception as error:
    if isinstance(source, pathlib.Path):
      raise _unfit(source, error) from error
    raise UserError(
      f'`detector=rtmlib`: cannot download {source} ({shortened(error, 80)});'
      f' download it elsewhere, unpack it, and name {_FILES} by'
      ' `detector_model=yolox.onnx,rtmpose.onnx`'
    ) from error


def _input_size(path: pathlib.Path) -> tuple[int, int]:
  """Reads the height and the width of the images that a network takes."""
  import onnxruntime

  try:
    session = onnxruntime.InferenceSession(
      str(path), providers=['CPUExecutionProvider']
    )
    _, _, height, width = session.get_inputs()[0].shape
    return int(height), int(width)
  except Exception as error:  # ONNX Runtime has many, without a common class.
    raise _unfit(path, error) from error


def _unfit(path: pathlib.Path, error: Exception) -> UserError:
  """Builds the error for a file that is no such network."""
  return UserError(
    f'`detector_model`: cannot use {path} ({shortened(error, 80)}); give'
    f' {_FILES}, in this order'
  )
