"""Builds an HTML page that shows people in 2D and 3D, and works offline.

Its parts are in `page_parts`; its scripts decode what `_Packer` packs.
"""

import base64
import gzip
import html
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from semgcn_jax.detections.clips import Clip
from semgcn_jax.figures.palette import DARK, LIGHT, SOLID
from semgcn_jax.geometry.skeletons import H36M, bone_vectors
from semgcn_jax.motion import rig
from semgcn_jax.motion.body_mesh import body_surfaces, rest_places
from semgcn_jax.motion.upright import Scene

_PARTS = pathlib.Path(__file__).parent / 'page_parts'
_SCRIPTS = ('clips.js', 'picture.js', 'body.js', 'room.js', 'page.js')
_DEMO_BUTTONS = """<button id="recording"></button>
    <button id="reset">Reset</button>
"""
_SLIM = 0.14  # The radius of bones over the usual length.
_NOT_KNOWN = -32768  # Encodes NaN.
# The steps to which numbers are rounded.
_MILLIMETRE, _PIXEL, _SHARE = 0.001, 0.25, 0.01


def page_html(
  scenes: Sequence[Scene],
  *,
  title: str,
  demo: Mapping[str, str] | None = None,
  live: bool = False,
) -> str:
  """Builds the page.

  Args:
    scenes: The scenes among which users of the page choose.
    title: The title of the page.
    demo: {name: text} of the data for `demo.js`, if the page is a demo.
    live: Whether the page shows what its server sends, without any scene.
  """
  packer = _Packer()
  clips = [_clip(scene, packer) for scene in scenes]
  skeleton = scenes[0].clip.skeleton if scenes else H36M
  start = 'demo.js' if demo else 'live.js' if live else 'start.js'
  content = {
    'title': title,
    'joints': skeleton.joints,
    'parents': skeleton.parents,
    'left': skeleton.left,
    'right': skeleton.right,
    'body': _body(packer) if skeleton == H36M else None,
    'unit': scenes[0].unit if scenes else 1.0,
    'radius': _radius(scenes[0]) if scenes else None,
    'clips': clips,
  }
  return _fill(
    _read('page.html'),
    {
      'title': html.escape(title),
      'style': _fill(
        _read('page.css'),
        {
          'light': _css(LIGHT),
          'dark': _css(DARK),
          'solid': _css({f'solid-{part}': SOLID[part] for part in SOLID}),
        },
      ),
      'three': _read('three.LICENSE', comment=True) + _read('three.min.js'),
      'data': packer.base64(),
      'content': as_json(content),
      'more': ''.join(
        f'<script id="{name}" type="text/plain">{text}</script>\n'
        for name, text in (demo or {}).items()
      ),
      'buttons': _DEMO_BUTTONS if demo else '',
      'script': '\n'.join(_read(name) for name in (*_SCRIPTS, start)),
    },
  )


def framed(page: str, height: int) -> str:
  """Wraps a page to be shown inside another one, such as a notebook.

  Args:
    page: The page.
    height: Its height there, pixels.
  """
  return (
    f'<iframe srcdoc="{html.escape(page)}" width="100%" height="{height}"'
    ' style="border: 0"></iframe>'
  )


def as_json(content: Any) -> str:
  """Encodes JSON for a script element; no string in it can end the element."""
  return json.dumps(content, allow_nan=False).replace('<', '\\u003c')


def _read(name: str, *, comment: bool = False) -> str:
  """Reads a part of the page."""
  text = (_PARTS / name).read_text(encoding='utf-8')
  return f'/*\n{text}*/\n' if comment else text


def _css(colors: Mapping[str, str]) -> str:
  """Writes colors as CSS variables."""
  return ' '.join(f'--{name}: {color};' for name, color in colors.items())


def _fill(template: str, parts: Mapping[str, str]) -> str:
  """Replaces {{name}} in a template by the part of that name."""
  pieces = re.split(r'\{\{(\w+)\}\}', template)
  pieces[1::2] = [parts[name] for name in pieces[1::2]]
  return ''.join(pieces)


def _clip(scene: Scene, packer: '_Packer') -> dict[str, Any]:
  """Describes a scene for the page's scripts."""
  clip, people = scene.clip, []
  for person, upright in zip(clip.people, scene.drawn, strict=True):
    keypoints, places, confidence = person.keypoints, None, None
    if keypoints is not None:
      places = np.where(keypoints[..., 2:] > 0, keypoints[..., :2], np.nan)
      confidence = np.minimum(keypoints[..., 2], 1)
    people.append(
      {
        'name': person.name,
        'runs': _runs(person.frames - clip.frames.start),
        'positions': packer.add(upright.positions, _MILLIMETRE),
        'truth': packer.add(upright.truth, _MILLIMETRE),
        'toes': packer.add(_toes(upright.feet), _MILLIMETRE),
        'keypoints': packer.add(places, _PIXEL),
        'confidence': packer.add(confidence, _SHARE),
        'expected': packer.add(person.errors, _MILLIMETRE),
      }
    )
  return {
    'name': clip.name,
    'fps': clip.fps,
    'first': clip.frames.start,
    'count': len(clip.frames),
    'size': clip.image_size,
    'note': scene.note,
    'people': people,
    'pictures': _pictures(clip),
    'step': clip.pictures.step if clip.pictures else 1,
  }


def _toes(feet: np.ndarray | None) -> np.ndarray | None:
  """Selects the right and the left toes of feet, `[T, 4, 3]`."""
  return None if feet is None else feet[:, 1::2]


def _radius(scene: Scene) -> float | None:
  """Returns the radius of bones that look slim, in units; None of people."""
  if scene.clip.skeleton == H36M or not scene.drawn:
    return None
  poses = np.concatenate([one.positions for one in scene.drawn])
  bones = bone_vectors(poses, scene.clip.skeleton)
  lengths = np.linalg.norm(bones, axis=-1)
  return _SLIM * float(np.nanmedian(lengths)) if lengths.size else None


def _body(packer: '_Packer') -> dict[str, Any]:
  """Describes the typical body, which the scripts fit to each person."""
  surfaces = body_surfaces(rig.TYPICAL_OFFSETS)
  points, owners, triangles, parts = [], [], [], []
  vertices = corners = 0
  for name, surface in surfaces.items():
    points.append(surface.points)
    owners.append(surface.joints[:, None])
    triangles.append(surface.triangles + vertices)
    parts.append((name, corners, surface.triangles.size))
    vertices += len(surface.points)
    corners += surface.triangles.size
  return {
    'joints': rig.JOINTS,
    'parents': rig.PARENTS,
    'sources': rig.SOURCES,
    'targets': [
      rig.JOINTS.index(rig.TARGETS[joint]) if joint in rig.TARGETS else -1
      for joint in rig.JOINTS
    ],
    'rest': rest_places(rig.TYPICAL_OFFSETS).round(4).tolist(),
    'toes': rig.TOES.tolist(),
    'points': packer.add(np.concatenate(points), _MILLIMETRE / 4),
    'owners': packer.add(np.concatenate(owners), 1),
    'triangles': packer.add(np.concatenate(triangles), 1),
    'parts': parts,
  }


def _pictures(clip: Clip) -> list[str]:
  """Lists the images of a clip as data URLs."""
  album = clip.pictures
  found = [album.at(n) for n in clip.frames[:: album.step]] if album else []
  if len(set(found)) == 1:
    found = found[:1]  # A still image.
  return [picture_url(picture) for picture in found if picture]


def picture_url(jpeg: bytes) -> str:
  """Encodes a JPEG file as a data URL."""
  return f'data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}'


def _runs(frames: np.ndarray) -> list[tuple[int, int]]:
  """Lists the runs of consecutive frames: the first of each, and its length."""
  starts = np.flatnonzero(np.diff(frames, prepend=-2) != 1)
  lengths = np.diff(np.append(starts, len(frames)))
  return list(zip(frames[starts].tolist(), lengths.tolist(), strict=True))


class _Packer:
  """Packs arrays into a single text.

  Numbers are rounded to 16 bits, and stored as differences from the previous
  frame, which compress well.
  """

  def __init__(self) -> None:
    self._parts: list[bytes] = []
    self._size = 0

  def add(self, array: np.ndarray | None, step: float) -> dict[str, Any] | None:
    """Adds an array `[T, ...]`, and returns its entry for the scripts.

    Args:
      array: The array; None, or one that is all NaN, is left out.
      step: The step to round to, unless the numbers are too large for it.
    """
    if array is None or not np.isfinite(array).any():
      return None
    step = max(step, float(np.nanmax(np.abs(array))) / 32767)
    scaled = np.nan_to_num(np.round(array / step), nan=_NOT_KNOWN)
    rows = scaled.astype(np.int16).reshape(len(array), -1)
    differences = np.diff(rows, axis=0, prepend=np.zeros_like(rows[:1]))
    entry = {
      'offset': self._size,
      'length': differences.size,
      'frames': len(array),
      'step': step,
    }
    self._parts.append(differences.astype('<i2').tobytes())
    self._size += len(self._parts[-1])
    return entry

  def base64(self) -> str:
    """Encodes all arrays as text."""
    packed = gzip.compress(b''.join(self._parts), 9, mtime=0)
    return base64.b64encode(packed).decode()
