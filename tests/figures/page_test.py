"""The page: what it holds, and what a browser makes of it."""

import base64
import dataclasses
import gzip
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from scenes import clip, person
from scipy.spatial.transform import Rotation

from semgcn_jax.figures import palette
from semgcn_jax.figures.page import page_html
from semgcn_jax.geometry.skeletons import H36M
from semgcn_jax.motion import rig
from semgcn_jax.motion.body_mesh import rest_places
from semgcn_jax.motion.upright import make_scenes
from semgcn_jax.pictures.videos import Album


def page_of(*clips):
  return page_html(make_scenes(clips), title='title')


def content(page):
  text = re.search(r'id="content"[^>]*>(.*?)</script>', page, re.S)[1]
  return json.loads(text)


def array(page, entry):
  """Unpacks an array by the words of the writer alone."""
  text = re.search(r'id="data"[^>]*>(.*?)</script>', page, re.S)[1]
  data = gzip.decompress(base64.b64decode(text))
  end = entry['offset'] + 2 * entry['length']
  steps = np.frombuffer(data[entry['offset'] : end], '<i2')
  rows = np.cumsum(steps.reshape(entry['frames'], -1), axis=0, dtype=np.int16)
  return np.where(rows == -32768, np.nan, rows * entry['step'])


def test_the_page_holds_the_numbers():
  poses = person().poses.copy()
  poses[4] = np.nan
  some = person(poses=poses, truth=True, frames=np.r_[3:13, 20:30])
  [scene] = make_scenes([clip(some)])
  page = page_of(clip(some))
  [whole] = content(page)['clips']
  assert (whole['first'], whole['count'], whole['fps']) == (3, 27, 25)
  [shown] = whole['people']
  assert shown['runs'] == [[0, 10], [17, 10]]
  for name in ('positions', 'truth'):
    np.testing.assert_allclose(
      array(page, shown[name]),
      getattr(scene.upright[0], name).reshape(20, -1),
      atol=6e-4,
    )
  np.testing.assert_allclose(
    array(page, shown['keypoints']).reshape(20, 16, 2),
    some.keypoints[..., :2],
    atol=0.13,
  )
  assert shown['expected'] and not content(page)['clips'][0]['pictures']


def test_the_page_needs_no_network_and_no_name_breaks_it():
  name = '</script><script>alert(1)</script>'
  scenes = make_scenes([clip(person(name=name), name=name)])
  page = page_html(scenes, title=name)
  assert page.count('</script>') == 4 and content(page)['title'] == name
  assert not re.search(r'(src|href)\s*=\s*["\']?(https?:)?//', page)
  assert 'MIT' in page and len(page) < 650_000


def test_the_limbs_have_the_colours_of_all_figures():
  page = page_of(clip(person()))
  day, night = re.findall(r'--left: (#\w+); --right: (#\w+);', page)
  assert day == (palette.PAPER['left'], palette.PAPER['right'])
  assert night == (palette.DARK['left'], palette.DARK['right'])
  assert '{{' not in re.search(r'<style>.*?</style>', page, re.S)[0]


def test_long_clips_are_small():
  rng = np.random.default_rng(0)
  for count, most in ((1000, 1_000_000), (10_000, 3_000_000)):
    long = person(count)
    # No detector is as smooth as synthetic motion.
    long = dataclasses.replace(
      long,
      poses=long.poses + rng.normal(0, 0.003, long.poses.shape),
      keypoints=long.keypoints + rng.normal(0, (1, 1, 0.02), (count, 16, 3)),
      errors=long.errors + rng.normal(0, 0.01, (count, 16)),
    )
    assert len(page_of(clip(long))) < most


def test_pictures_go_along():
  album = Album()
  for number in range(3):
    album.add(number, np.full((72, 128, 3), 80 * number, np.uint8))
  page = page_of(clip(person(5), pictures=album))
  [shown] = content(page)['clips']
  pictures = [
    np.asarray(Image.open(io.BytesIO(base64.b64decode(text.split(',')[1]))))
    for text in shown['pictures']
  ]
  assert [int(p.mean()) for p in pictures] == [0, 80, 160, 160, 160]


@pytest.fixture
def open_page(chromium, tmp_path):
  """A function that opens a page, which must not log an error."""
  logged = []

  def opened(*clips, **size):
    path = tmp_path / 'page.html'
    path.write_text(page_of(*clips))
    viewport = {'width': 900, 'height': 600} | size
    tab = chromium.new_page(viewport=viewport)
    tab.on(
      'console', lambda m: logged.append(m.text) if m.type == 'error' else 0
    )
    tab.on('pageerror', lambda error: logged.append(str(error)))
    tab.goto(path.as_uri())
    tab.wait_for_function('window.page && page.times.length > 0')
    return tab

  yield opened
  assert logged == []


def pixels(tab, selector='#room canvas'):
  """What a part of the page looks like."""
  tab.wait_for_timeout(300)
  shot = tab.locator(selector).screenshot()
  return np.asarray(Image.open(io.BytesIO(shot)).convert('RGB')).astype(int)


def blue(image):
  red, green, blue = np.moveaxis(image, -1, 0)
  return ((blue - red > 60) & (blue > green)).sum()


def orange(image):
  red, green, blue = np.moveaxis(image, -1, 0)
  return ((red - blue > 90) & (red > green)).sum()


@pytest.mark.slow
def test_it_renders_plays_scrubs_and_orbits(open_page):
  tab = open_page(clip(person(25, truth=True)))
  first = pixels(tab)
  assert blue(first) > 300 and orange(first) > 300
  flat = pixels(tab, '#picture')
  assert blue(flat) > 50 and orange(flat) > 50
  tab.locator('#scrub').fill('12')
  assert tab.evaluate('page.state.frame') == 12
  second = pixels(tab)
  assert (np.abs(second - first).sum(axis=-1) > 60).sum() > 300
  tab.mouse.move(700, 300)
  tab.mouse.down()
  tab.mouse.move(820, 300, steps=4)
  tab.mouse.up()
  assert (np.abs(pixels(tab) - second).sum(axis=-1) > 60).sum() > 300
  tab.keyboard.press('Home')
  tab.keyboard.press(' ')
  tab.wait_for_function('page.state.frame > 2')
  tab.keyboard.press(' ')
  assert not tab.evaluate('page.state.playing')
  tab.keyboard.press('e')
  tab.locator('#errors div').first.wait_for()
  assert 'RWrist' in tab.locator('#errors').inner_text()
  # sqrt(3) cm at all joints but the root.
  assert 'Error: 16 mm' in tab.locator('#errors').inner_text()
  shown = pixels(tab)
  tab.keyboard.press('g')
  assert (np.abs(pixels(tab) - shown).sum(axis=-1) > 20).sum() > 20


@pytest.mark.slow
def test_empty_short_and_long_clips(open_page):
  nobody = person(3, poses=np.full((3, 16, 3), np.nan))
  for some in (nobody, person(0)):
    tab = open_page(clip(some))
    assert blue(pixels(tab)) == 0
    tab.close()
  tab = open_page(clip(person(1)))
  assert tab.locator('#play').is_disabled() and blue(pixels(tab)) > 300
  tab.close()
  tab = open_page(clip(person(10_000)))
  tab.keyboard.press('End')
  tab.wait_for_function('page.state.frame === 9999')
  assert blue(pixels(tab)) > 300
  tab.keyboard.press('Home')
  tab.evaluate('page.times.length = 0')
  tab.keyboard.press(' ')
  tab.wait_for_function('page.times.length > 20')
  assert tab.evaluate('page.state.frame') > 0


def with_feet(walk):
  """Gives a person feet that point to the side, and up and down."""
  ankles = walk.poses[:, [H36M.joints.index(f'{s}Ankle') for s in 'RL']]
  turns = np.linspace(-0.5, 0.5, len(ankles))
  ahead = np.stack([0.1 * turns**0, 0.2 * turns, -0.1 * turns**0], axis=-1)
  toes = ankles + ahead[:, None]
  feet = np.stack([ankles, toes], axis=2).reshape(-1, 4, 3)
  return dataclasses.replace(walk, feet=feet)


def test_toes_go_along():
  walk = with_feet(person(25))
  page = page_of(clip(walk))
  [shown] = content(page)['clips'][0]['people']
  [scene] = make_scenes([clip(walk)])
  np.testing.assert_allclose(
    array(page, shown['toes']).reshape(25, 2, 3),
    scene.upright[0].feet[:, 1::2],
    atol=1e-3,
  )
  assert (
    content(page_of(clip(person())))['clips'][0]['people'][0]['toes'] is None
  )


@pytest.mark.slow
@pytest.mark.parametrize('feet', [False, True])
def test_the_skin_turns_like_the_rig(open_page, feet):
  walk = with_feet(person(25)) if feet else person(25)
  tab = open_page(clip(walk))
  tab.keyboard.press('End')
  tab.wait_for_function('page.state.frame === 24 && !page.wanted')
  matrices = tab.evaluate(
    'page.room.bodies[0].own.bones.map((b) => [...b.matrixWorld.elements])'
  )
  matrices = np.reshape(matrices, (-1, 4, 4)).swapaxes(1, 2)  # Column-major.
  [scene] = make_scenes([clip(walk)])
  positions = scene.upright[0].positions
  rest = np.append(rest_places(rig.TYPICAL_OFFSETS), np.ones((20, 1)), axis=1)
  moved = np.einsum('rij,rj->ri', matrices, rest)[:, :3]
  np.testing.assert_allclose(moved, positions[24][list(rig.SOURCES)], atol=2e-3)
  motion = rig.fit(positions, 25, feet=scene.upright[0].feet)
  turns = [Rotation.from_quat(q) for q in motion.rotations[24]]
  worlds, _ = rig.in_world(motion.offsets, turns, motion.root[24])
  for joint, world, matrix in zip(rig.JOINTS, worlds, matrices, strict=True):
    stretched = matrix[:3, :3] @ matrix[:3, :3].T
    assert np.linalg.det(matrix[:3, :3]) > 0 and np.all(
      np.linalg.eigvalsh(stretched) > 0.1
    )
    # Arms hang at the collars, which depend on how high the shoulders are at
    # rest.
    left, _, right = np.linalg.svd(matrix[:3, :3])
    apart = world.inv() * Rotation.from_matrix(left @ right)
    if 'Clavicle' not in joint:
      assert np.rad2deg(apart.magnitude()) < 10, joint


@pytest.mark.slow
def test_trails_show_where_the_feet_were(open_page):
  places = np.linspace((0, 0, 5), (2, 0, 5), 25)
  tab = open_page(clip(person(25, places=places)))
  tab.locator('#scrub').fill('20')
  before = pixels(tab)
  tab.keyboard.press('w')
  changed = np.abs(pixels(tab) - before).sum(axis=-1) > 60
  assert 50 < changed.sum() < 0.1 * changed.size
  dots = tab.evaluate('page.room.bodies[0].trail.dots.map((d) => d.count)')
  assert dots == [21, 21]


@pytest.mark.slow
def test_a_long_way_is_seen_whole(open_page):
  places = np.linspace((0, 0, 5), (20, 0, 25), 25)
  tab = open_page(clip(person(25, places=places)))

  def dark():  # Bodies are darker than the ground.
    return (pixels(tab).min(axis=-1) < 120).sum()

  first = dark()
  tab.keyboard.press('End')
  assert min(first, dark()) > 300
  tab.keyboard.press('f')  # Then the camera stays, and they are small.
  last = dark()
  tab.keyboard.press('Home')
  assert min(last, dark()) > 10 and max(last, dark()) < 300


@pytest.mark.slow
def test_several_people_and_clips_on_a_phone(open_page):
  walk = clip(person(name='Ann'), person(name='Bob'))
  tab = open_page(walk, clip(person(), name='other'), width=390, height=800)
  assert tab.locator('#names span').all_inner_texts() == ['Ann', 'Bob']
  flat = tab.locator('#flat').bounding_box()
  room = tab.locator('#room').bounding_box()
  assert room['y'] >= flat['y'] + flat['height'] - 1 and room['width'] == 390
  tab.keyboard.press('n')
  assert tab.evaluate('page.clip.name') == 'other'
  tab.locator('#names span').wait_for(state='hidden')
  assert tab.evaluate('document.body.scrollWidth') <= 390
