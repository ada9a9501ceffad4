import io
import sys
import types

import numpy as np
import pytest
from PIL import Image

from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.pictures import videos


def picture(width=60, height=40):
  image = np.zeros((height, width, 3), np.uint8)
  image[: height // 2, : width // 2] = 255
  return image


def test_an_album_thins_out_evenly():
  album = videos.Album(longest=30, most=10)
  for number in range(100):
    album.add(number, np.full((40, 60, 3), number, np.uint8))
  assert album.step == 16
  for number in (0, 15, 16, 50, 99):
    found = album.decoded(number)
    assert found.shape == (20, 30, 3)
    assert abs(int(found.mean()) - number // 16 * 16) <= 2
  assert videos.Album().at(3) is None


def test_without_opencv_videos_are_refused(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'cv2', None)
  with pytest.raises(SettingError, match=r'pip install "semgcn-jax\[pose\]"'):
    videos.Video(tmp_path / 'a.mp4')


def test_videos(tmp_path):
  cv2 = pytest.importorskip('cv2', reason='needs the extra pose')
  path = tmp_path / 'a.avi'
  code = cv2.VideoWriter_fourcc(*'MJPG')
  writer = cv2.VideoWriter(str(path), code, 12.5, (60, 40))
  for number in range(7):
    writer.write(np.full((40, 60, 3), (0, 0, 30 * number), np.uint8))
  writer.release()
  video = videos.Video(path)
  frames = list(video)
  assert video.fps == 12.5 and len(frames) == 7
  assert abs(int(frames[5][..., 0].mean()) - 150) < 8  # Red comes first.
  assert len(list(videos.Video(path, seconds=0.32))) == 4
  album = videos.read_album(path)
  assert (album.image_size, album.fps) == ((60, 40), 12.5)
  assert album.decoded(6) is not None
  path.write_bytes(b'no video')
  with pytest.raises(UserError, match='a.avi: cannot be opened'):
    videos.Video(path)
  with pytest.raises(UserError, match='no such file'):
    videos.Video(tmp_path / 'b.mp4')
  with pytest.raises(UserError, match='is it connected'):
    videos.Video(99)


def test_a_camera_has_the_rate_at_which_it_is_read(monkeypatch):
  clock = [0.0]

  class Camera:
    def __init__(self, number):
      del number

    def isOpened(self):
      return True

    def get(self, number):
      del number
      return 30.0

    def read(self):
      clock[0] += 0.25  # Each picture is looked at for long.
      return True, picture()

    def release(self):
      pass

  fake = types.SimpleNamespace(
    VideoCapture=Camera,
    CAP_PROP_FPS=5,
    COLOR_BGR2RGB=4,
    cvtColor=lambda image, code: image[..., ::-1],
  )
  monkeypatch.setattr(videos, '_opencv', lambda: fake)
  monkeypatch.setattr(videos.time, 'monotonic', lambda: clock[0])
  video = videos.Video(0, seconds=5.0)
  assert len(list(video)) == 20 and video.fps == 4.0


def test_a_picture_is_an_album_of_one(tmp_path):
  path = tmp_path / 'a.JPG'
  file = io.BytesIO()
  Image.fromarray(picture()).save(file, 'JPEG')
  path.write_bytes(file.getvalue())
  album = videos.read_album(path)
  assert (album.image_size, album.fps, album.step) == ((60, 40), 30.0, 1)
  assert album.at(0) == album.at(500)


class Recorded(videos.Video):
  """A video whose images have these times, without a file."""

  def __init__(self, times):
    self.name, self.fps, self.times, self.cuts = 'a.mp4', 20.0, times, []


def test_images_are_numbered_by_uneven_times(caplog):
  steady = [n / 20 for n in range(12)]
  assert Recorded(steady).timing() == (None, 20.0) and not caplog.text
  # Six images at 30 a second, then six at 10.
  times = [n / 30 for n in range(6)] + [5 / 30 + n / 10 for n in range(1, 7)]
  numbers, fps = Recorded(times).timing()
  wanted = [0, 1, 2, 3, 4, 5, 8, 11, 14, 17, 20, 23]
  assert numbers.tolist() == wanted and fps == pytest.approx(30)
  assert 'varies from 10 to 30' in caplog.text
  album = videos.Album()
  for number in range(12):
    album.add(number, picture())
  album.time_by(Recorded(times))
  found = album.numbered({n: n for n in range(12)}, 'f')
  assert [*found] == wanted and album.fps == pytest.approx(30)
  assert album.at(10) == album.at(8)


def test_folders_are_no_videos(tmp_path):
  pytest.importorskip('cv2', reason='needs the extra pose')
  with pytest.raises(UserError, match='a folder; give a video, which ffmpeg'):
    videos.Video(tmp_path)


def test_cuts_are_noted(tmp_path, caplog):
  cv2 = pytest.importorskip('cv2', reason='needs the extra pose')
  path = tmp_path / 'a.avi'
  code = cv2.VideoWriter_fourcc(*'MJPG')
  writer = cv2.VideoWriter(str(path), code, 10, (64, 64))
  for number in range(8):
    level = 20 + number if number < 5 else 200
    writer.write(np.full((64, 64, 3), level, np.uint8))
  writer.release()
  video = videos.Video(path)
  assert len([*video]) == 8 and video.cuts == [5]
  video.check_cuts()
  assert 'begin with frames 5;' in caplog.text
