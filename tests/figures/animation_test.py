import pathlib
import shutil
import sys

import matplotlib
import numpy as np
import pytest
from PIL import Image
from scenes import clip, person

from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.figures.animation import check_ffmpeg, write_animation
from semgcn_jax.motion.upright import make_scenes


def test_gif(tmp_path):
  [scene] = make_scenes([clip(person(6), person(6, name='2'), fps=100)])
  path = tmp_path / 'walk.tmp'
  write_animation(scene, pathlib.Path('walk.gif'), path)
  with Image.open(path) as image:
    # 100 frames a second become 50.
    assert image.n_frames == 3 and image.info['duration'] == 20
    first = np.asarray(image.convert('RGB')).astype(int)
    image.seek(2)
    last = np.asarray(image.convert('RGB')).astype(int)
  assert (np.abs(last - first).sum(axis=-1) > 100).sum() > 20


@pytest.mark.parametrize('fps, total', [(30, 0.2), (60, 0.1), (24, 0.25)])
def test_a_gif_lasts_as_long_as_the_clip(tmp_path, fps, total):
  [scene] = make_scenes([clip(person(6), fps=fps)])
  path = tmp_path / 'walk.tmp'
  write_animation(scene, pathlib.Path('walk.gif'), path)
  with Image.open(path) as image:
    lasted = 0
    for number in range(image.n_frames):
      image.seek(number)
      lasted += image.info['duration'] / 1000
  assert lasted == pytest.approx(total, abs=0.011)


def test_nobody_is_not_drawn(tmp_path):
  [scene] = make_scenes([clip(person(0), fps=30)])
  with pytest.raises(UserError, match='there is nobody to draw'):
    write_animation(scene, pathlib.Path('a.gif'), tmp_path / 'a')


def test_mp4(tmp_path):
  if not shutil.which('ffmpeg'):
    pytest.importorskip('imageio_ffmpeg', reason='needs the extra mp4')
  cv2 = pytest.importorskip('cv2', reason='needs the extra pose')
  [scene] = make_scenes([clip(person(6), fps=30)])
  path = tmp_path / 'walk.mp4'
  write_animation(scene, path, path)
  video = cv2.VideoCapture(str(path))
  sizes = [video.read()[1].shape for _ in range(6)]
  assert sizes == [(1080, 1920, 3)] * 6 and not video.read()[0]
  assert video.get(cv2.CAP_PROP_FPS) == 30


def test_mp4_needs_ffmpeg(monkeypatch):
  monkeypatch.setenv('PATH', '')
  monkeypatch.setitem(sys.modules, 'imageio_ffmpeg', None)
  monkeypatch.setitem(matplotlib.rcParams, 'animation.ffmpeg_path', 'ffmpeg')
  with pytest.raises(SettingError, match=r'"semgcn-jax\[mp4\]"'):
    check_ffmpeg(pathlib.Path('walk.mp4'))
  check_ffmpeg(pathlib.Path('walk.gif'))
