import contextlib
import gc
import importlib.metadata
import os
import pathlib
import shutil
import sys
import tempfile

import pytest

# Four simulated CPU devices (the first flag), and all compiled programs kept
# for the next test, also the many of one operation: set before jax starts, and
# inherited by the workers and by the commands that tests run.
FLAGS = ['--xla_force_host_platform_device_count=4']
# It compiles a third faster without these; JAX 0.11 and later always have them.
# Small programs are not worth being split among threads.
if importlib.metadata.version('jaxlib').startswith('0.10.'):
  FLAGS.append('--xla_cpu_use_fusion_emitters=false')
  FLAGS.append('--xla_cpu_parallel_codegen_split_count=1')
os.environ.setdefault('XLA_FLAGS', ' '.join(FLAGS))
_CACHE = tempfile.TemporaryDirectory()
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', _CACHE.name)
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')
# They run for moments, so the compiler need not optimize them for long.
os.environ.setdefault('JAX_DISABLE_MOST_OPTIMIZATIONS', '1')
# Nobody reads from which line of Python each operation of a program comes.
os.environ.setdefault('JAX_TRACEBACK_IN_LOCATIONS_LIMIT', '0')
# A program that another process is just writing is compiled again, which would
# be said on standard error, where tests expect nothing.
os.environ.setdefault(
  'PYTHONWARNINGS', 'ignore:Error reading persistent compilation cache'
)
sys.path.insert(0, str(pathlib.Path(__file__).parent))

import jax  # noqa: E402, once the environment is set

# What is imported stays, so that to look for garbage in it is in vain.
gc.freeze()
gc.set_threshold(50_000, 50, 100)

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope='module', autouse=True)
def _no_runs_in_sight(tmp_path_factory):
  """Moves to an empty folder, as the checkout may have runs and data in it."""
  with contextlib.chdir(tmp_path_factory.mktemp('here')):
    yield


@pytest.fixture(scope='module', autouse=True)
def _programs_end_with_their_module():
  """Frees what was compiled: a process may map memory so many times only."""
  yield
  jax.clear_caches()


@pytest.fixture(scope='session')
def mediapipe_weights():
  """Skips where no MediaPipe is installed, or one without networks in it."""
  from semgcn_jax.detections import mediapipe
  from semgcn_jax.errors import SettingError

  pytest.importorskip('mediapipe', reason='needs the extra pose')
  try:
    mediapipe._bundled_model()
  except SettingError as error:
    pytest.skip(str(error))


@pytest.fixture
def seen(monkeypatch):
  """Lets both detectors see painted people."""
  import painted

  from semgcn_jax.detections import mediapipe, rtmlib

  def landmarker(*, tracks=False, model=''):
    del model
    return painted.tracker() if tracks else painted.finder()

  monkeypatch.setattr(mediapipe, 'landmarker', landmarker)
  monkeypatch.setattr(rtmlib, 'detector', lambda model: painted.find_all)


@pytest.fixture
def shared():
  """The folder of reference data beside the checkout; not every user has it."""
  path = ROOT.parent / 'shared'
  if not path.is_dir():
    pytest.skip(f'needs the reference data in {path}')
  return path


# Chromium draws WebGL on the CPU.
CHROMIUM = (
  *('--no-sandbox', '--no-first-run', '--disable-quic', '--disable-sync'),
  *('--disable-background-networking', '--disable-component-update'),
  *('--use-angle=swiftshader', '--enable-unsafe-swiftshader'),
)


@pytest.fixture(scope='module')
def chromium():
  """A browser, driven by playwright."""
  sync_api = pytest.importorskip('playwright.sync_api', reason='no playwright')
  program = shutil.which('chromium')
  if not program:
    pytest.skip('needs the program chromium')
  with sync_api.sync_playwright() as playwright:
    browser = playwright.chromium.launch(
      executable_path=program, args=list(CHROMIUM)
    )
    yield browser
    browser.close()
