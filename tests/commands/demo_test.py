"""The page in which one drags keypoints."""

import os
import shutil

import numpy as np
import pytest
from command_line import fails, run

from semgcn_jax import Lifter


def test_bad_flags(tmp_path):
  fails('demo', '--output=x.htm', status=2, message='must end with .html')
  output = tmp_path / 'demo.html'
  output.write_text('mine')
  fails(
    'demo', f'--output={output}', status=2, message='exists; give --overwrite'
  )
  assert output.read_text() == 'mine'


def test_a_missing_runtime_is_told(tmp_path):
  fails(
    'demo', f'--output={tmp_path / "demo.html"}', f'--runtime={tmp_path}',
    status=1, message='name the folder dist of the npm package',
  )  # fmt: skip
  assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_3d_follows_the_mouse(chromium, tmp_path):
  pytest.importorskip('jax2onnx', reason='needs the extra onnx')
  own = os.environ.get('ONNXRUNTIME_WEB')
  if not own and not shutil.which('npm'):
    pytest.skip('needs npm, or onnxruntime-web in $ONNXRUNTIME_WEB')
  output = tmp_path / 'demo.html'
  flags = [f'--runtime={own}/dist'] if own else []
  code, out, err = run('demo', f'--output={output}', *flags)
  assert code == 0, err
  tab = chromium.new_page(viewport={'width': 1000, 'height': 700})
  logged = []
  tab.on('console', lambda m: logged.append(m.text) if m.type == 'error' else 0)
  tab.on('pageerror', lambda error: logged.append(str(error)))
  tab.goto(output.as_uri())
  tab.wait_for_function('window.demo && demo.runs > 0', timeout=120_000)
  before = tab.evaluate('Array.from(demo.pose)')
  x, y = tab.evaluate(
    """() => {
      const {x0, y0, scale} = page.picture.layout;
      const box = page.picture.canvas.getBoundingClientRect();
      const [x, y] = demo.points[9];
      return [box.left + x0 + x * scale, box.top + y0 + y * scale];
    }"""
  )
  tab.mouse.move(x, y)
  tab.mouse.down()
  tab.mouse.move(x + 40, y - 150, steps=5)
  tab.mouse.up()
  tab.wait_for_function('!demo.waiting && demo.runs > 1')
  after = np.reshape(tab.evaluate('Array.from(demo.pose)'), (16, 3))
  wrist = np.reshape(before, (16, 3))[12]
  assert np.linalg.norm(after[12] - wrist) > 0.2
  points = np.array(tab.evaluate('demo.points'))
  lifter = Lifter.load('cmu')
  np.testing.assert_allclose(after, lifter(points, (720, 900)), atol=1e-4)
  shown = np.reshape(
    tab.evaluate('Array.from(page.clip.people[0].positions)'), (16, 3)
  )
  np.testing.assert_allclose(shown[:, 1].min(), 0.08, atol=1e-3)
  tab.close()
  assert logged == []
