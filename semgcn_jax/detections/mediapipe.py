"""Runs MediaPipe's landmarkers: of bodies, with 33 points, and of hands, 21.

The extra `pose` installs it with weights, for Python up to 3.12. A newer one
comes without them, and takes a downloaded model (a `.task` file).
"""

import contextlib
import dataclasses
import functools
import io
import os
import pathlib
import warnings
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from semgcn_jax.detections.persons import Detection, Find
from semgcn_jax.errors import SettingError, UserError, missing_extra, shortened
from semgcn_jax.files import read_bytes
from semgcn_jax.geometry.joint_sets import JOINT_SETS
from semgcn_jax.pictures import images

JOINTS = 'mediapipe'
NEEDED_BY = '`image`, `video`, `camera`:'  # For messages.
_LEAST_VISIBILITY = 0.5
_BEYOND_EDGE = 0.05  # Trust landmarks this far off the image, over body size.
# The visibility required of a knee whose ankle is outside the image; it is
# often a guess, and so are hips without a knee.
_SURE = 0.9
# Pixels; at 32,767, the OpenCV inside of MediaPipe ends the process.
_MAX_SIDE = 8192


@dataclasses.dataclass(frozen=True)
class _Kind:
  """A kind of landmarker.

  Attributes:
    name: Its name, of which MediaPipe's class is made.
    parts: {network of a model: (where the package has it, the mean and the
      range of its input, of 255 levels)}.
  """

  name: str
  parts: dict[str, tuple[str, float, float]] = dataclasses.field(hash=False)

  @property
  def landmarker(self) -> str:
    """What to download, for messages."""
    return f'{self.name.lower()} landmarker'


_POSE = _Kind(
  'Pose',
  {
    'pose_detector.tflite': (
      *('pose_detection/pose_detection.tflite', 127.5, 127.5),
    ),
    'pose_landmarks_detector.tflite': (
      *('pose_landmark/pose_landmark_full.tflite', 0.0, 255.0),
    ),
  },
)
_HAND = _Kind(
  'Hand',
  {
    'hand_detector.tflite': (
      *('palm_detection/palm_detection_full.tflite', 0.0, 255.0),
    ),
    'hand_landmarks_detector.tflite': (
      *('hand_landmark/hand_landmark_full.tflite', 0.0, 255.0),
    ),
  },
)

NAMES = JOINT_SETS[JOINTS].names
_HIPS = [NAMES.index(f'{side}_hip') for side in ('left', 'right')]
_KNEES = [NAMES.index(f'{side}_knee') for side in ('left', 'right')]
_ANKLES = [NAMES.index(f'{side}_ankle') for side in ('left', 'right')]


def check() -> None:
  """Raises a SettingError if the package cannot run with its own weights."""
  for kind in (_POSE, _HAND):
    _, built = _open(kind, False, '', {})
    built.close()


@contextlib.contextmanager
def landmarker(*, tracks: bool = False, model: str = '') -> Iterator[Find]:
  """Builds a function that finds a person in an image, `[H, W, 3]` uint8.

  Args:
    tracks: Whether the images are those of a video, so that the person is
      looked for where they were.
    model: The file of a downloaded model; if empty, that of the package.

  Raises:
    SettingError: MediaPipe is not installed, or has no weights.
    UserError: The model cannot be read.
  """
  with _opened(_POSE, tracks, model) as run:

    def find(picture):
      (height, width), shape = picture.shape[:2], picture.shape
      people = []
      for landmarks in run(picture).pose_landmarks:
        points = [(p.x, p.y, p.visibility) for p in landmarks]
        points = np.array(points) * (width, height, 1)
        keypoints = keep_found(points, shape)
        if (keypoints[:, 2] > 0).any():
          people.append(Detection(keypoints))
      return people

    yield find


@dataclasses.dataclass(frozen=True)
class Hand:
  """A hand in an image.

  Attributes:
    keypoints: Its joints, `[21, 3]`, in the order of `HAND`: pixels, and how
      sure the detector is of the hand.
    is_left: Whether it is a left hand.
  """

  keypoints: np.ndarray
  is_left: bool


@contextlib.contextmanager
def hand_landmarker(
  *, tracks: bool = False, model: str = '', most: int = 4
) -> Iterator[Callable[[np.ndarray], list[Hand]]]:
  """Builds a function that finds hands in an image, `[H, W, 3]` uint8.

  Args:
    tracks: See `landmarker`, and for the errors.
    model: See `landmarker`.
    most: The most hands to find in an image.
  """
  with _opened(_HAND, tracks, model, num_hands=most) as run:

    def find(picture):
      height, width = picture.shape[:2]
      found, hands = run(picture), []
      for landmarks, [side, *_] in zip(
        found.hand_landmarks, found.handedness, strict=True
      ):
        points = [(width * p.x, height * p.y, side.score) for p in landmarks]
        # It takes images for those of a mirror.
        hands.append(Hand(np.array(points), side.category_name == 'Right'))
      return hands

    yield find


@contextlib.contextmanager
def _opened(
  kind: _Kind, tracks: bool, model: str, **options: Any
) -> Iterator[Callable[[np.ndarray], Any]]:
  """Opens a landmarker, as a function of an image; see `landmarker`."""
  mediapipe, built = _open(kind, tracks, model, options)
  count = 0

  def run(picture):
    nonlocal count
    picture = np.ascontiguousarray(images.limited(picture, _MAX_SIDE))
    image = mediapipe.Image(mediapipe.ImageFormat.SRGB, picture)
    count += 1
    with contextlib.ExitStack() as stack:
      if count == 1:
        stack.enter_context(_quiet())
      stack.enter_context(warnings.catch_warnings())
      warnings.simplefilter('ignore', UserWarning)
      # The times must ascend; a model that tracks does not use them.
      if tracks:
        return built.detect_for_video(image, 33 * count)
      return built.detect(image)

  try:
    yield run
  finally:
    with _quiet():
      built.close()


def _open(
  kind: _Kind, tracks: bool, model: str, options: dict[str, Any]
) -> tuple[Any, Any]:
  """Opens MediaPipe's landmarker; returns the package, too.

  See `landmarker` for the arguments and the errors.
  """
  # MediaPipe and TensorFlow Lite log a lot that users need not see.
  os.environ.setdefault('GLOG_minloglevel', '3')
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  with warnings.catch_warnings():
    warnings.simplefilter('ignore', UserWarning)
    try:
      import mediapipe  # pyright: ignore[reportMissingImports]
      from mediapipe.tasks.python import BaseOptions, vision  # pyright: ignore[reportMissingImports]

      content = _read_model(model, kind) if model else _bundled_model(kind)
      mode = vision.RunningMode.VIDEO if tracks else vision.RunningMode.IMAGE
      with _quiet():
        made = getattr(vision, f'{kind.name}LandmarkerOptions')(
          base_options=BaseOptions(model_asset_buffer=content),
          running_mode=mode,
          **options,
        )
        landmarker = getattr(vision, f'{kind.name}Landmarker')
        return mediapipe, landmarker.create_from_options(made)
    except UserError:
      raise
    # A broken installation raises anything, at import and when it is used.
    except Exception as error:
      if model and not isinstance(error, ImportError):
        raise UserError(
          f'`detector_model={model}`: MediaPipe cannot load it'
          f' ({shortened(error, 120)}); give a {kind.landmarker} (.task)'
        ) from error
      raise missing_extra(NEEDED_BY, 'MediaPipe', 'pose', error) from error


@functools.cache
def _read_model(path: str, kind: _Kind) -> bytes:
  """Reads a downloaded model."""
  try:
    content = read_bytes(pathlib.Path(path))
    with zipfile.ZipFile(io.BytesIO(content)) as file:
      if missing := kind.parts.keys() - file.namelist():
        raise UserError(
          f'`detector_model={path}`: has no {min(missing)}; give a'
          f' {kind.landmarker} (.task)'
        )
      if damaged := file.testzip():
        raise UserError(
          f'`detector_model={path}`: {damaged} in it is damaged; download it'
          ' again'
        )
    return content
  except OSError as error:
    raise UserError(f'`detector_model={path}`: {error.strerror}') from error
  except zipfile.BadZipFile as error:
    raise UserError(
      f'`detector_model={path}`: is no .task file; give a {kind.landmarker} of'
      ' MediaPipe'
    ) from error


@functools.cache
def _bundled_model(kind: _Kind = _POSE) -> bytes:
  """Bundles the networks in MediaPipe's package, as a .task file does.

  They lack the metadata that the landmarker needs.

  Raises:
    SettingError: The package has no networks.
    Exception: Of any kind, if the installation is broken.
  """
  import mediapipe  # pyright: ignore[reportMissingImports]

  folder = pathlib.Path(mediapipe.__file__).parent / 'modules'
  other = ', or give `detector=rtmlib`' if kind == _POSE else ''
  if not all((folder / path).is_file() for path, _, _ in kind.parts.values()):
    raise SettingError(
      f'{NEEDED_BY} the MediaPipe {mediapipe.__version__} that is installed has'
      f' no weights; download a {kind.landmarker} (.task) and name it by'
      f' `detector_model`{other}'
    )
  from mediapipe.tasks.python.metadata.metadata_writers import (  # pyright: ignore[reportMissingImports]
    metadata_writer,
  )

  file = io.BytesIO()
  with zipfile.ZipFile(file, 'w') as bundle:
    for name, (path, mean, spread) in kind.parts.items():
      network = bytearray((folder / path).read_bytes())
      writer = metadata_writer.MetadataWriter.create(network)
      writer.add_general_info(name)
      writer.add_image_input([mean], [spread])
      bundle.writestr(name, writer.populate()[0])
  return file.getvalue()


def keep_found(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
  """Zeroes the landmarks that were not really found.

  MediaPipe always places all 33, even far outside the image, and is often sure
  of hips that are not in it.

  Args:
    points: Pixels and visibility, `[33, 3]`.
    shape: The height and the width of the image.

  Returns:
    The keypoints, `[33, 3]`.
  """
  x, y, visibility = points.T
  visible = visibility >= _LEAST_VISIBILITY
  size = np.ptp(points[visible, :2], axis=0).max() if visible.any() else 0.0

  def within(beyond):
    in_x = (x >= -beyond) & (x < shape[1] + beyond)
    return in_x & (y >= -beyond) & (y < shape[0] + beyond)

  inside = within(0.0)
  found = visible & within(_BEYOND_EDGE * size)
  found[_KNEES] &= inside[_ANKLES] | (visibility[_KNEES] >= _SURE)
  if not found[_KNEES].any():
    found[_HIPS] = False
  return np.where(found[:, None], points, 0)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Discards what native code writes to standard error."""
  try:
    kept = os.dup(2)
  except OSError:  # There is none.
    yield
    return
  nowhere = os.open(os.devnull, os.O_WRONLY)
  os.dup2(nowhere, 2)
  try:
    yield
  finally:
    os.dup2(kept, 2)
    os.close(kept)
    os.close(nowhere)
