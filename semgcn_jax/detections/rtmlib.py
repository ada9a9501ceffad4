"""Runs the detectors of rtmlib, which the extra `rtm` installs.

YOLOX finds people and RTMPose their joints, Halpe's 26; or RTMO finds both at
once, COCO's 17. rtmlib downloads their weights at first use.
"""

import contextlib
import importlib
import io
import pathlib
import zipfile
from typing import Any
from urllib.error import URLError

import numpy as np

from semgcn_jax.detections.mediapipe import WHAT, Find
from semgcn_jax.detections.persons import Detection
from semgcn_jax.errors import SettingError, UserError, missing_extra, shortened
from semgcn_jax.files import split_names

_LEAST_SCORE = 0.3  # Of a keypoint that was found.
# The joint sets that the networks know, by their number of joints.
JOINT_SETS = {17: 'coco', 26: 'halpe_26'}
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
    raise missing_extra(WHAT, 'rtmlib', 'rtm', error) from error
  paths = split_names(model, 'detector_model') if model else []
  for path in paths:
    if not pathlib.Path(path).is_file():
      raise SettingError(
        f'`detector_model={model}`: there is no file {path}; give {_FILES}'
      )
  if len(paths) > 2:
    raise SettingError(f'`detector_model={model}`: give {_FILES}')
  if len(paths) == 1:
    return _people_of(_load(rtmlib.RTMO, paths[0], _side(paths[0])), model)
  offered = rtmlib.BodyWithFeet.MODE[_WEIGHTS]
  sources = paths or [offered['det'], offered['pose']]
  sizes = [_side(path) for path in paths] or [
    *(offered['det_input_size'], offered['pose_input_size']),
  ]
  finder = _load(rtmlib.YOLOX, sources[0], sizes[0])
  # The size of this one is width and height.
  poser = _load(rtmlib.RTMPose, sources[1], sizes[1][:: -1 if paths else 1])

  def both(picture):
    boxes = finder(picture)
    # Without boxes, it would take the whole picture for a person.
    return poser(picture, bboxes=boxes) if len(boxes) else ([], [])

  return _people_of(both, model)


def _people_of(network: Any, model: str) -> Find:
  """Wraps a network of rtmlib, which takes BGR images."""

  def find(picture):
    picture = np.ascontiguousarray(picture[..., ::-1])
    try:
      keypoints, scores = network(picture)
    except Exception as error:  # Other networks fail in any way.
      raise UserError(
        f'`detector_model={model}`: does not work ({shortened(error, 80)});'
        f' give {_FILES}, in this order'
      ) from error
    people = []
    for points, score in zip(keypoints, scores, strict=True):
      if len(points) not in JOINT_SETS:
        raise UserError(
          f'`detector_model={model}`: finds {len(points)} joints; give a'
          f' network of {" or ".join(map(str, JOINT_SETS))}'
        )
      found = np.concatenate([points, np.clip(score, 0, 1)[:, None]], axis=1)
      found[found[:, 2] < _LEAST_SCORE] = 0
      if found.any():
        people.append(Detection(found))
    return people

  return find


def _load(network: Any, source: str, size: tuple[int, ...]) -> Any:
  """Loads a network from a file, or downloads it."""
  try:
    with contextlib.redirect_stdout(io.StringIO()):
      return network(source, model_input_size=tuple(size))
  except (URLError, OSError, zipfile.BadZipFile) as error:
    if pathlib.Path(source).is_file():
      raise _unreadable(source, error) from error
    raise UserError(
      f'`detector=rtmlib`: cannot download {source} ({shortened(error, 80)});'
      f' download it elsewhere, unpack it, and name {_FILES} by'
      ' `detector_model=yolox.onnx,rtmpose.onnx`'
    ) from error
  except Exception as error:  # ONNX Runtime raises anything.
    raise _unreadable(source, error) from error


def _side(path: str) -> tuple[int, ...]:
  """Reads the height and the width that a network takes."""
  try:
    import onnxruntime

    session = onnxruntime.InferenceSession(
      path, providers=['CPUExecutionProvider']
    )
    return tuple(int(side) for side in session.get_inputs()[0].shape[2:])
  except Exception as error:  # ONNX Runtime raises anything.
    raise _unreadable(path, error) from error


def _unreadable(path: str, error: Exception) -> UserError:
  """Builds the error for a file that is no such network."""
  return UserError(
    f'`detector_model`: cannot load {path} ({shortened(error, 80)}); give'
    f' {_FILES}'
  )
