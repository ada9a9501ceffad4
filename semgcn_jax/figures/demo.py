"""Builds a demo page: users drag or play keypoints, and the 3D pose follows.

The page contains the network as ONNX, and the ONNX Runtime for browsers. A
network for streams runs at its frame rate, with its state in the page.
"""

import base64
import dataclasses
import gzip
import pathlib

import numpy as np

from semgcn_jax.detections.clips import Clip, Person
from semgcn_jax.errors import UserError
from semgcn_jax.figures.page import as_json, page_html
from semgcn_jax.files import read_bytes
from semgcn_jax.geometry.joint_sets import JOINT_SETS
from semgcn_jax.motion.path import SOLE
from semgcn_jax.motion.upright import make_scenes

_SIZE = (720, 900)
# The runtime without WebGPU: a script and the WebAssembly that it starts.
RUNTIME = ('ort.wasm.bundle.min.mjs', 'ort-wasm-simd-threaded.wasm')
# COCO's keypoints of someone walking, relative to the image size.
_WALKER = """0.50 0.16  0.51 0.14  0.49 0.14  0.53 0.15  0.47 0.15
  0.57 0.25  0.43 0.25  0.62 0.37  0.39 0.37  0.64 0.48  0.40 0.48
  0.54 0.52  0.46 0.52  0.57 0.70  0.42 0.68  0.55 0.88  0.37 0.83"""


def read_runtime(folder: pathlib.Path) -> dict[str, bytes]:
  """Reads the files `RUNTIME` in a folder.

  Raises:
    UserError: One is missing.
  """
  try:
    return {name: read_bytes(folder / name) for name in RUNTIME}
  except OSError as error:
    raise UserError(
      f'{folder}: {error.strerror}; name the folder dist of the npm package'
      ' onnxruntime-web'
    ) from error


@dataclasses.dataclass(frozen=True)
class Demo:
  """What the page runs, and on what.

  Attributes:
    model: The ONNX file of a lifter.
    joint_set: The joint set that it takes.
    rate: The frames per second of the recording, or of the stream.
    state: The size of the state of a stream; 0 for single frames.
    recording: Keypoints to play, `[T, K, 3]`, pixels and confidence; None
      shows someone walking, who does not move.
    image_size: The width and height of their images, pixels.
  """

  model: bytes
  joint_set: str = 'coco'
  rate: float = 1.0
  state: int = 0
  recording: np.ndarray | None = None
  image_size: tuple[int, int] = _SIZE

  @property
  def keypoints(self) -> np.ndarray:
    """The keypoints that the page begins with, `[T, K, 3]`."""
    if self.recording is not None:
      return self.recording
    shares = np.array(_WALKER.split(), float).reshape(17, 2)
    return np.insert(shares * self.image_size, 2, 1.0, axis=-1)[None]


def demo_html(demo: Demo, runtime: dict[str, bytes], title: str) -> str:
  """Builds the page.

  Args:
    demo: What it runs.
    runtime: The files that `read_runtime` returns.
    title: The title of the page.
  """
  known = JOINT_SETS[demo.joint_set]
  settings = {
    'recording': demo.keypoints.round(2).tolist(),
    'names': known.names,
    'sources': known.sources,
    'size': demo.image_size,
    'rate': demo.rate,
    'state': demo.state,
    'sole': SOLE,
  }
  # The page lifts the keypoints when it opens.
  zeros = np.zeros((1, 16, 3))
  person = Person('1', np.arange(1), zeros + 1, zeros, errors=zeros[..., 0])
  clip = Clip('demo', (person,), fps=1.0, image_size=demo.image_size)
  [scene] = make_scenes([clip], pitch=0.0)
  note = (
    'Drag a keypoint; double-click to hide or show it. The camera is level.'
  )
  return page_html(
    [dataclasses.replace(scene, note=note)],
    title=title,
    demo={
      'settings': as_json(settings),
      'model': _packed(demo.model),
      'runtime': _packed(runtime[RUNTIME[0]]),
      'wasm': _packed(runtime[RUNTIME[1]]),
    },
  )


def _packed(content: bytes) -> str:
  """Encodes a file as compressed text."""
  return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()
