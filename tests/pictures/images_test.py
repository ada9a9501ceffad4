import numpy as np
import pytest
from PIL import Image

from semgcn_jax.errors import UserError
from semgcn_jax.pictures import images


def picture(width=60, height=40):
  image = np.zeros((height, width, 3), np.uint8)
  image[: height // 2, : width // 2] = 255
  return image


def test_kinds_of_pictures(tmp_path):
  image = Image.fromarray(picture())
  for mode in ('RGB', 'L', 'P', 'RGBA', 'CMYK', '1', 'LA', 'I;16'):
    ending = 'tif' if mode in ('CMYK',) else 'png'
    path = tmp_path / f'{mode.replace(";", "")}.{ending}'
    image.convert('L' if mode == 'I;16' else mode).convert(mode).save(path)
    found = images.read_image(path)
    assert found.shape == (40, 60, 3) and found.dtype == np.uint8
    assert int(found[5, 5].sum()) > int(found[35, 55].sum()), mode


def test_a_picture_stands_as_its_camera_was_held(tmp_path):
  path = tmp_path / 'turned.jpg'
  exif = Image.Exif()
  exif[0x0112] = 6  # It must be turned clockwise.
  Image.fromarray(picture()).save(path, exif=exif, quality=95)
  found = images.read_image(path)
  assert found.shape == (60, 40, 3) and found[5, 35, 0] > 200 > found[5, 5, 0]


def test_damaged_pictures_are_refused(tmp_path, monkeypatch):
  path = tmp_path / 'a.png'
  Image.fromarray(picture()).save(path)
  whole = path.read_bytes()
  for content in (b'', b'no picture', whole[: len(whole) // 2]):
    path.write_bytes(content)
    with pytest.raises(UserError, match='a.png: not an image'):
      images.read_image(path)
  path.write_bytes(whole)
  monkeypatch.setattr(images, 'MAX_PIXELS', 1000)
  with pytest.raises(UserError, match='60 x 40 pixels, more than 1,000'):
    images.read_image(path)
  with pytest.raises(UserError, match='No such file'):
    images.read_image(tmp_path / 'b.png')


@pytest.mark.parametrize('highest', [1.0, 255, 4095, 65535])
def test_gray_levels_of_more_bits_are_scaled(tmp_path, highest):
  ramp = np.linspace(0, highest, 64)[None].repeat(4, axis=0)
  path = tmp_path / 'a.tif'
  kind = np.float32 if highest == 1 else np.uint16
  Image.fromarray(ramp.astype(kind)).save(path)
  found = images.read_image(path)
  assert len(np.unique(found)) == 64
  np.testing.assert_allclose(found[0, :, 1], np.linspace(0, 255, 64), atol=1.5)


def photograph(path, focal, size=(60, 40), told=None):
  """Saves a picture whose EXIF data tell a focal length in 35 mm film."""
  exif = Image.Exif()
  ifd = exif.get_ifd(0x8769)
  ifd[0xA405] = focal
  if told:
    ifd[0xA002], ifd[0xA003] = told
  Image.fromarray(picture(*size)).save(path, exif=exif)
  return path


@pytest.mark.parametrize(
  ('focal', 'size', 'degrees'),
  [
    (18, (60, 40), 90.0),  # Film is 36 x 24 mm.
    (18, (40, 60), 90.0),
    (26, (80, 60), 67.3),  # A phone: 2 atan(0.8 * 21.63 / 26).
  ],
)
def test_a_photograph_tells_its_lens(tmp_path, focal, size, degrees):
  for told in (None, size):
    path = photograph(tmp_path / 'a.jpg', focal, size, told)
    assert images.field_of_view(path) == pytest.approx(degrees, abs=0.1)


def test_lenses_that_are_not_known(tmp_path):
  cropped = photograph(tmp_path / 'b.jpg', 18, (60, 40), told=(60, 60))
  plain = tmp_path / 'c.png'
  Image.fromarray(picture()).save(plain)
  damaged = tmp_path / 'd.jpg'
  damaged.write_bytes(photograph(tmp_path / 'e.jpg', 18).read_bytes()[:40])
  unknown = photograph(tmp_path / 'f.jpg', 0)
  for path in (cropped, plain, damaged, unknown, tmp_path / 'none.jpg'):
    assert images.field_of_view(path) is None
