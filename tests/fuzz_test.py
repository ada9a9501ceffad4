"""Every reader of a file, with damaged files: a value or a UserError."""

import importlib.util
import json
import subprocess
import sys

import fuzzing
import pytest

COUNT = 300
SLOW_TO_READ = {'checkpoint': 60, 'box': 60, 'weights_folder': 60}
NEEDED = {'torch': 'torch', 'video': 'cv2', 'safetensors': 'safetensors'}


@pytest.mark.slow
@pytest.mark.parametrize('name', fuzzing.readers())
def test_a_damaged_file_is_a_value_or_one_line(tmp_path, name, record_property):
  package = NEEDED.get(name)
  if package and not importlib.util.find_spec(package):
    pytest.skip(f'needs {package}')
  count = SLOW_TO_READ.get(name, COUNT)
  ended = subprocess.run(
    [sys.executable, fuzzing.__file__, name, str(count), str(tmp_path)],
    capture_output=True,
    text=True,
    errors='replace',  # Decoders print what they find in a file.
    timeout=300,
  )
  assert ended.returncode == 0, ended.stderr[-2000:]
  result = json.loads(ended.stdout.splitlines()[-1])
  record_property(name, result)
  assert result['foreign'] == []
  assert result.get('value', 0) + result['UserError'] == count
