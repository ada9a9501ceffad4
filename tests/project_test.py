"""What the project's own files say of each other."""

import importlib
import re
import runpy
import signal
import sys
import tomllib

import pytest
from conftest import ROOT

import semgcn_jax
from semgcn_jax.commands.entry import COMMANDS
from semgcn_jax.commands.parsing import Flags

PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
SCRIPTS = sorted((ROOT / 'experiments').glob('*.py'))


def test_every_command_is_installed_and_a_script():
  commands = set()
  scripts = dict(PROJECT['scripts'])
  assert scripts.pop('semgcn') == 'semgcn_jax.commands.entry:semgcn'
  for name, entry in scripts.items():
    module, function = entry.split(':')
    start = getattr(importlib.import_module(module), function)
    assert start.args == (function,)
    assert importlib.import_module(f'semgcn_jax.commands.{function}').main
    flags = importlib.import_module(f'semgcn_jax.commands.flags.{function}')
    assert issubclass(flags.Flags, Flags) and flags.__doc__
    commands.add(function)
    assert name == f'semgcn-{function.replace("_", "-")}'
  assert commands == {script.stem for script in SCRIPTS} == {*COMMANDS}


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda path: path.stem)
def test_scripts_run(script, monkeypatch, capsys):
  monkeypatch.setattr(sys, 'argv', [str(script), '--help'])
  # This process keeps its own handlers.
  monkeypatch.setattr(signal, 'signal', lambda number, handler: None)
  with pytest.raises(SystemExit) as ended:
    runpy.run_path(str(script), run_name='__main__')
  assert not ended.value.code
  usage = f'Usage: python experiments/{script.name} [--flag=value ...]'
  assert usage in capsys.readouterr().out


def test_versions_agree():
  version = semgcn_jax.__version__
  citation = (ROOT / 'CITATION.cff').read_text()
  [released] = re.findall(r'^date-released: (.*)$', citation, re.M)
  assert f'version: {version}\n' in citation
  changes = (ROOT / 'CHANGELOG.md').read_text()
  assert re.findall(r'^## (\S+ - \S+)$', changes, re.M)[0] == (
    f'{version} - {released}'
  )


def test_links_of_the_documents_resolve():
  for path in [*ROOT.glob('*.md'), *(ROOT / 'docs').glob('*.md')]:
    for link in re.findall(r'\]\(([^)#]+)[^)]*\)', path.read_text()):
      if '://' not in link:
        assert (path.parent / link).exists(), f'{path.name}: {link}'


def test_the_readme_is_short():
  assert len((ROOT / 'README.md').read_bytes()) <= 8192
