"""The documentation site builds without a warning, and no link is broken."""

import html.parser
import os
import re
import shutil
import subprocess
import sys
import urllib.parse

import pytest
from conftest import ROOT

pytest.importorskip('mkdocs', reason='needs the extra docs')


class Page(html.parser.HTMLParser):
  """The links and the anchors of a page."""

  def __init__(self, text):
    super().__init__()
    self.links, self.anchors, self.equations = [], set(), 0
    self.loaded = []  # With the page: scripts, styles, pictures.
    self.feed(text)

  def handle_starttag(self, tag, attrs):
    attrs = dict(attrs)
    self.anchors |= {attrs.get('id'), attrs.get('name')}
    self.links += filter(None, (attrs.get('href'), attrs.get('src')))
    self.equations += tag == 'math'
    if attrs.get('rel') in ('stylesheet', 'icon'):
      self.loaded.append(attrs['href'])
    self.loaded += filter(None, (attrs.get('src'),))


@pytest.fixture(scope='module')
def site(tmp_path_factory):
  """The folder of the site, built by the command of the checkout."""
  root = tmp_path_factory.mktemp('site') / 'checkout'
  shutil.copytree(
    ROOT,
    root,
    ignore=lambda folder, names: {*names} & {'build', 'dist', '.git'},
  )
  done = subprocess.run(
    ['.ci/site'],
    cwd=root,
    env={'PATH': f'{os.path.dirname(sys.executable)}:/usr/bin:/bin'},
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert done.returncode == 0, done.stderr
  assert 'WARNING' not in done.stderr
  return root / 'build' / 'site'


@pytest.fixture(scope='module')
def pages(site):
  """{path: page} of all pages."""
  return {
    path: Page(path.read_text()) for path in site.rglob('*.html')
    if path.name != '404.html'
  }  # fmt: skip


def test_every_page_is_there(site, pages):
  for source in (*ROOT.glob('docs/**/*.md'), ROOT / 'CHANGELOG.md'):
    folder = ROOT / 'docs' if 'docs' in source.parts else ROOT
    target = site / source.relative_to(folder).with_suffix('.html')
    assert target in pages


def test_no_link_is_broken(pages):
  checked = 0
  for path, page in pages.items():
    for link in page.links:
      parts = urllib.parse.urlsplit(link)
      if parts.scheme or parts.netloc:
        assert parts.scheme in ('https', 'http', 'mailto', 'data'), link
        continue
      name = urllib.parse.unquote(parts.path)
      target = (path.parent / name).resolve() if name else path
      assert target.exists(), f'{path.name}: {link}'
      anchor = urllib.parse.unquote(parts.fragment)
      if anchor and target in pages and not anchor.startswith('__'):
        assert anchor in pages[target].anchors, f'{path.name}: {link}'
      checked += 1
  assert checked > 2000


def test_no_page_asks_another_server_for_anything(pages):
  for path, page in pages.items():
    for link in page.loaded:
      assert not urllib.parse.urlsplit(link).netloc, f'{path.name}: {link}'


def test_lists_and_commands_are_formatted(site):
  for path in site.rglob('*.html'):
    article = re.search(r'<article.*?</article>', path.read_text(), re.S)
    if article is None:
      continue
    text = re.sub(r'<(pre|code)\b.*?</\1>', '', article[0], flags=re.S)
    for line in re.sub(r'<[^>]+>', '', text).splitlines():
      assert not re.search(r'(^|\s)--\w+=|^\s*[-*] |```', line), (
        f'{path.name}: {line}'
      )


def test_equations_are_drawn(site, pages):
  assert pages[site / 'equations.html'].equations >= 7
  assert not any('```math' in path.read_text() for path in pages)


def test_the_api_is_complete(site, pages):
  import semgcn_jax
  from semgcn_jax import models

  anchors = set[str]().union(*(
    page.anchors for path, page in pages.items() if path.parent.name == 'api'
  ))  # fmt: skip
  text = (site / 'api' / 'graphs.html').read_text()
  for name in semgcn_jax.__all__:
    if name != '__version__':
      assert f'semgcn_jax.{name}' in anchors or f'semgcn_jax.{name}' in text
  for name in models.__all__:
    assert f'semgcn_jax.models.{name}' in anchors
