"""The page in which one drags keypoints."""

import os
import shutil

import numpy as np
import pytest
from command_line import fails, run
from timed import SIZE, of_frames

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


def runtime_flags():
  """The flags that name the runtime, if it is here; else npm fetches it."""
  pytest.importorskip('jax2onnx', reason='needs the extra onnx')
  own = os.environ.get('ONNXRUNTIME_WEB')
  if not own and not shutil.which('npm'):
    pytest.skip('needs npm, or onnxruntime-web in $ONNXRUNTIME_WEB')
  return [f'--runtime={own}/dist'] if own else []


def opened(chromium, output, logged):
  """Opens the page in a tab, once it has lifted."""
  tab = chromium.new_page(viewport={'width': 1000, 'height': 700})
  tab.on('console', lambda m: logged.append(m.text) if m.type == 'error' else 0)
  tab.on('pageerror', lambda error: logged.append(str(error)))
  tab.goto(output.as_uri())
  tab.wait_for_function('window.demo && demo.runs > 0', timeout=120_000)
  return tab


def test_networks_that_the_page_cannot_run(tmp_path):
  fails(
    *('demo', f'--output={tmp_path}/a.html', '--checkpoint=cmu-video'),
    status=1,
    message='cmu-video: also needs later frames',
  )


@pytest.mark.slow
def test_a_recording_is_lifted_as_a_stream(chromium, tmp_path):
  keypoints = of_frames(30)
  np.save(tmp_path / 'walk.npy', keypoints)
  output = tmp_path / 'stream.html'
  code, _, err = run(
    *('demo', '--checkpoint=cmu-stream', f'--output={output}'),
    *(f'--detections={tmp_path}/walk.npy', '--image_size=1280x720'),
    *runtime_flags(),
  )
  assert code == 0, err
  logged = []
  tab = opened(chromium, output, logged)
  assert tab.evaluate(
    '[demo.settings.rate, demo.settings.recording.length]'
  ) == [
    10,
    10,
  ]
  # Begins again, and stops the clock, so that every frame is lifted once.
  poses = tab.evaluate(
    """async () => {
      demo.tick = () => {};
      while (demo.waiting) await new Promise((done) => setTimeout(done, 10));
      demo.reset();
      const poses = [];
      for (let frame = 0; frame < 10; frame++) {
        demo.show(frame);
        await demo.run();
        poses.push(Array.from(demo.pose));
      }
      return poses;
    }"""
  )
  stream = Lifter.load('cmu-stream').stream(SIZE, fps=10)
  expected = [stream(frame.round(2)).poses for frame in keypoints[::3]]
  np.testing.assert_allclose(
    np.reshape(poses, (10, 16, 3)), expected, atol=1e-4
  )
  tab.close()
  assert logged == []


@pytest.mark.slow
def test_the_3d_follows_the_mouse(chromium, tmp_path):
  output = tmp_path / 'demo.html'
  code, _, err = run('demo', f'--output={output}', *runtime_flags())
  assert code == 0, err
  logged = []
  tab = opened(chromium, output, logged)
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
