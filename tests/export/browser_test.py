"""Runs an exported file in a browser, by the program of docs/exporting.md."""

import functools
import http.server
import os
import pathlib
import re
import shutil
import subprocess
import threading

import numpy as np
import pytest
from conftest import ROOT

from semgcn_jax import Lifter
from semgcn_jax.export import onnx_files, programs
from semgcn_jax.runs.networks import restore_network

PACKAGE = 'node_modules/onnxruntime-web'
FLAGS = (
  *('--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'),
  *('--disable-background-networking', '--disable-component-update'),
  '--disable-sync',
)


def find_package(folder):
  """Puts the npm package into a folder, from where $ONNXRUNTIME_WEB says."""
  own = os.environ.get('ONNXRUNTIME_WEB')
  if own:
    (folder / PACKAGE).parent.mkdir()
    (folder / PACKAGE).symlink_to(pathlib.Path(own).resolve())
  elif shutil.which('npm'):
    subprocess.run(
      ['npm', 'install', '--no-audit', '--no-fund', 'onnxruntime-web'],
      cwd=folder,
      capture_output=True,
      timeout=300,
    )
  if not (folder / PACKAGE / 'dist').is_dir():
    pytest.skip('needs npm, or onnxruntime-web in the folder $ONNXRUNTIME_WEB')


class Quiet(http.server.SimpleHTTPRequestHandler):
  """Serves files, and tells nothing."""

  extensions_map = {
    **http.server.SimpleHTTPRequestHandler.extensions_map,
    '.mjs': 'text/javascript',
    '.wasm': 'application/wasm',
  }

  def log_message(self, format, *args):
    del format, args


@pytest.mark.slow
def test_a_web_page_lifts_as_the_lifter_does(tmp_path):
  for name in ('jax2onnx', 'onnxruntime'):
    pytest.importorskip(name)
  playwright = pytest.importorskip('playwright.sync_api')
  chromium = shutil.which('chromium')
  if not chromium:
    pytest.skip('needs chromium')
  find_package(tmp_path)
  network = restore_network('cmu')
  onnx_files.write(programs.make_program(network), tmp_path / 'lifter.onnx')
  document = (ROOT / 'docs' / 'exporting.md').read_text()
  (script,) = re.findall(r'```js\n(.*?)```', document, re.S)
  (tmp_path / 'index.html').write_text(
    f'<script type="module">{script}\nwindow.lift = lift;</script>'
  )
  server = http.server.ThreadingHTTPServer(
    ('localhost', 0), functools.partial(Quiet, directory=tmp_path)
  )
  threading.Thread(target=server.serve_forever, daemon=True).start()
  lifter = Lifter.of(network)
  try:
    with playwright.sync_playwright() as driver:
      browser = driver.chromium.launch(
        executable_path=chromium, args=list(FLAGS)
      )
      page = browser.new_page()
      page.goto(f'http://localhost:{server.server_port}/')
      page.wait_for_function('!!window.lift', timeout=120_000)
      for people in (1, 7):
        rng = np.random.default_rng(people)
        keypoints = rng.uniform(200, 700, (people, 17, 3))
        keypoints[..., 2] = rng.uniform(size=(people, 17)) > 0.2
        poses, errors = page.evaluate(
          """async (args) =>
          (await lift(...args)).map(each => Array.from(each))""",
          [keypoints.ravel().tolist(), 1280, 720],
        )
        expected = lifter.lift(keypoints, (1280, 720))
        np.testing.assert_allclose(
          np.reshape(poses, (people, 16, 3)), expected.poses, atol=1e-4
        )
        np.testing.assert_allclose(
          np.reshape(errors, (people, 16)), expected.errors, atol=1e-4
        )
      browser.close()
  finally:
    server.shutdown()
    server.server_close()
