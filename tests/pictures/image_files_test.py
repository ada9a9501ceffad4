import pathlib

import numpy as np
import pytest
from pictured import DAMAGE, broken_inside, encoded, gradient
from PIL import Image

from semgcn_jax.errors import UserError
from semgcn_jax.pictures import image_files, image_scan
from semgcn_jax.pictures.crops import keypoint_boxes, square_boxes, to_crop
from semgcn_jax.pictures.image_files import ImageFiles


@pytest.fixture(params=['simplejpeg', 'pillow'])
def decoder(request, monkeypatch):
  """Reads by simplejpeg, and as where it is not installed."""
  if request.param == 'simplejpeg':
    pytest.importorskip('simplejpeg')
  else:
    monkeypatch.setattr(image_files, '_simplejpeg', lambda: None)


def write(folder, contents):
  """Files 0.jpg, 1.jpg, ... of these contents; None makes none."""
  paths = tuple(str(folder / f'{n}.jpg') for n in range(len(contents)))
  for number, content in enumerate(contents):
    if content is not None:
      (folder / f'{number}.jpg').write_bytes(content)
  return paths


def test_reads_rows_like_an_array(tmp_path, decoder):
  pictures = [gradient(32, 32, 20 * seed) for seed in range(5)]
  kinds = ('PNG', 'JPEG', 'PNG', 'JPEG', 'PNG')
  contents = map(encoded, pictures, kinds)
  boxes = np.tile([0.0, 0, 32, 32], (5, 1))
  images = ImageFiles(write(tmp_path, list(contents)), boxes, 32)
  whole = images[:]
  assert whole.shape == images.shape == (5, 32, 32, 3)
  assert whole.dtype == images.dtype and whole.nbytes == images.nbytes
  assert len(images) == 5 and whole.ndim == images.ndim
  for number in (0, 2, 4):
    np.testing.assert_array_equal(whole[number], pictures[number])
  for number in (1, 3):
    difference = whole[number].astype(int) - pictures[number]
    assert abs(difference).max() <= 6
  rows = np.array([[3, 0], [0, 4]])
  np.testing.assert_array_equal(images[rows], whole[rows])
  np.testing.assert_array_equal(images.take(rows[0])[:], whole[rows[0]])
  assert images[np.array([], int)].shape == (0, 32, 32, 3)


@pytest.mark.parametrize('side', [32, 60.5, 100, 128, 200, 333, 512])
def test_cuts_the_square_that_the_box_tells(tmp_path, side, decoder):
  # The colours are the place, so that each pixel tells where it was taken.
  (path,) = write(tmp_path, [encoded(gradient(600, 600))])
  left, top = 30.25, 51.5
  square = image_files.read_square(path, np.array([left, top, side, side]), 32)
  middle = (np.arange(32) + 0.5) / 32 * side
  x, y = (left + middle) / 600 * 255, (top + middle) / 600 * 255
  # The gradient is rounded down, so it is half a step darker.
  np.testing.assert_allclose(square[..., 0].mean(0) + 0.5, x, atol=2)
  np.testing.assert_allclose(square[..., 1].mean(1) + 0.5, y, atol=2)


def test_narrow_pictures_are_not_scaled_wrongly(tmp_path, decoder):
  (path,) = write(tmp_path, [encoded(gradient(200, 3))])
  square = image_files.read_square(path, np.array([-47.0, 50, 100, 100]), 32)
  # Green is the place along y, and as bright as the gray beside it where y is
  # 100, the middle of this square.
  green = square[:, 15, 1].astype(int)
  assert (np.diff(green) > 0).all()
  np.testing.assert_allclose(green[15:17], image_files.FILL, atol=3)


@pytest.mark.parametrize('side', [-1, 0, 20_000, 1e6, np.nan, np.inf])
def test_refuses_squares_without_a_size_before_they_fill_the_memory(side):
  box = np.array([0, 0, side, side])
  with pytest.raises(ValueError, match='pixels a side'):
    image_files.cut_square(gradient(8, 8), box, 32)


@pytest.mark.parametrize('side', [40, 400])
def test_fills_with_gray_beyond_the_picture(tmp_path, side, decoder):
  white = np.full((side, side, 3), 255, np.uint8)
  (path,) = write(tmp_path, [encoded(white)])
  box = np.array([-side / 2, -side, 2 * side, 2 * side])
  square = image_files.read_square(path, box, 16)
  # A pixel beside the edge is of both.
  assert (square[9:, 5:11] == 255).all()
  gray = square == image_files.FILL
  assert gray[:7].all() and gray[:, :3].all() and gray[:, 13:].all()


@pytest.mark.parametrize('kind', DAMAGE)
def test_damage_is_found_before_and_named_when_read(tmp_path, kind, decoder):
  picture = gradient(64, 64)
  paths = write(tmp_path, [encoded(picture), DAMAGE[kind](picture)])
  boxes = np.tile([0.0, 0, 64, 64], (2, 1))
  assert image_scan.scan(paths, boxes) == {1: kind}
  images = ImageFiles(paths, boxes, 32)
  assert images[:1].shape == (1, 32, 32, 3)
  with pytest.raises(UserError, match='1.jpg') as raised:
    images[np.array([0, 1])]
  assert '\n' not in str(raised.value)


def test_scans_what_else_cannot_be_used(tmp_path):
  picture = gradient(64, 48)
  exif = Image.Exif()
  exif[0x010F] = 'camera' * 500
  contents = [
    encoded(picture, exif=exif),
    encoded(picture, progressive=True),
    encoded(picture, 'PNG', 'RGBA'),
    encoded(picture, 'PNG', 'P'),
    encoded(picture, 'PNG', 'LA'),
    encoded(picture, 'PNG')[:-20],
    encoded(picture) + bytes(100),
    encoded(picture) + bytes(5000),
    encoded(picture)[:-50] + bytes(5000),
    encoded(picture)[:5],
    b'',
  ]
  paths = write(tmp_path, contents)
  boxes = np.tile([0.0, 0, 64, 64], (len(paths), 1))
  expected = {
    4: image_scan.GRAY,
    5: image_scan.CUT_OFF,
    8: image_scan.CUT_OFF,
    9: image_scan.CUT_OFF,
    10: image_scan.CUT_OFF,
  }
  assert image_scan.scan(paths, boxes) == expected
  sizes = np.tile([48, 64], (len(paths), 1))
  sizes[0] += 100
  expected = {0: image_scan.OTHER_SIZE} | expected
  assert image_scan.scan(paths, boxes, sizes) == expected
  (tmp_path / 'folder.jpg').mkdir()
  paths = (str(tmp_path / 'folder.jpg'), str(tmp_path / 'none' / '0.jpg'))
  found = image_scan.scan(paths, boxes[:2])
  assert found == {0: image_scan.MISSING, 1: image_scan.MISSING}


@pytest.mark.parametrize(
  'box, outside',
  [
    ((-63, -63, 64, 64), False),
    ((-64, 0, 64, 64), True),
    ((0, -64, 64, 64), True),
    ((48, 0, 64, 64), True),
    ((0, 64, 64, 64), True),
    ((47, 63, 64, 64), False),
    ((0, 0, 0, 0), True),
    ((np.nan, 0, 64, 64), True),
    ((-5000, -5000, 1e6, 1e6), True),
  ],
)
def test_finds_crops_outside_of_the_picture(tmp_path, box, outside):
  paths = write(tmp_path, [encoded(gradient(64, 48))])
  found = image_scan.scan(paths, np.array([box], float))
  assert found == ({0: image_scan.OUTSIDE} if outside else {})
  images = ImageFiles(paths, np.array([box], float), 32)
  if outside:
    with pytest.raises(UserError, match='0.jpg'):
      images[:]
  else:
    assert images[:].shape == (1, 32, 32, 3)


def test_training_leaves_bad_pictures_out_and_scoring_refuses(caplog):
  paths = tuple(f'{n}.jpg' for n in range(10))
  here = pathlib.Path('')
  problems = {3: 'gray', 1: 'missing', 5: 'missing'}
  rows = image_scan.sound_rows(problems, paths, here, train=True)
  assert rows.tolist() == [0, 2, 4, 6, 7, 8, 9]
  (message,) = caplog.messages
  assert '3 of 10' in message and '2 missing (1.jpg, 5.jpg)' in message
  assert '1 gray (3.jpg)' in message
  with pytest.raises(UserError, match=r'1 gray \(3.jpg\)'):
    image_scan.sound_rows(problems, paths, here, train=False)
  odd = (f'{"x" * 5000}.jpg', 'a\nb.jpg', '\x1b[31m.jpg', '\udc80.jpg')
  with pytest.raises(UserError) as raised:
    problems = {0: 'missing', 1: 'gray', 2: 'CMYK', 3: 'cut off'}
    image_scan.sound_rows(problems, odd, here, train=True)
  message = str(raised.value)
  assert message.isprintable() and len(message) < 300
  assert r'\x1b[31m.jpg' in message
  every = dict.fromkeys(range(10), 'missing')
  with pytest.raises(UserError, match='none of the images'):
    image_scan.sound_rows(every, paths, here, train=True)
  rows = image_scan.sound_rows({}, paths, here, train=False)
  assert rows.tolist() == list(range(10))


def test_the_next_sound_row_stands_for_one_damaged_inside(tmp_path):
  pytest.importorskip('simplejpeg', reason='Pillow passes such damage over')
  content = encoded(gradient(64, 64))
  bad = broken_inside(content)
  paths = write(tmp_path, [content, bad, bad, content, bad])
  boxes = np.tile([0.0, 0, 64, 64], (5, 1))
  assert image_scan.scan(paths, boxes) == {}
  images = ImageFiles(paths, boxes, 32)
  used = [images.read_sound(row)[1] for row in range(5)]
  assert used == [0, 3, 3, 3, 0]
  np.testing.assert_array_equal(images.read_sound(1)[0], images.read(3))
  with pytest.raises(UserError, match='4.jpg'):
    images.read(4)
  with pytest.raises(UserError, match='nor could'):
    images.take(np.array([1, 2])).read_sound(0)


def test_squares_hold_the_joints_with_a_margin():
  joints = np.array([[[10.0, 20], [30, 80]]])
  np.testing.assert_allclose(keypoint_boxes(joints, 0.0), [[-10, 20, 60, 60]])
  np.testing.assert_allclose(
    keypoint_boxes(joints, 0.5), [[-40, -10, 120, 120]]
  )
  box = square_boxes(np.array([[0, 0, 10, 4]]))
  np.testing.assert_allclose(box, [[0, -3, 10, 10]])
  corners = np.array([[[0, -3], [10, 7], [5, 2]]])
  expected = [[[-1, -1], [1, 1], [0, 0]]]
  np.testing.assert_allclose(to_crop(corners, box), expected)
