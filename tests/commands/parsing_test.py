"""How the flags of a command become its group, and what --help says of them."""

import contextlib
import dataclasses
import io

import pytest
from command_line import fails
from command_line import run as run_command
from detections import as_coco, people, write

from semgcn_jax.commands.parsing import Flags, config_of, spelled
from semgcn_jax.commands.running import run
from semgcn_jax.config.fields import REQUIRED, Range, setting


@dataclasses.dataclass(frozen=True)
class Shared(Flags):
  where: str = setting('', 'Go there.')
  who: tuple[str, ...] = setting(('a', 'b'), 'Take them.', choices='abc')


@dataclasses.dataclass(frozen=True)
class Trip(Shared):
  settings = ('epochs', 'actions')
  renamed = {'to': 'where'}
  name: str = setting(REQUIRED, 'Name it.')
  fast: bool = setting(True, 'Hurry.')
  days: int | None = setting(
    None, 'Stay so long.', Range('above 0', lambda x: x > 0)
  )
  cost: float = setting(1.5, 'Pay this.')


def call(*flags):
  """Runs the command `trip`; gives its status, flags, output and errors."""
  got, out, err = [], io.StringIO(), io.StringIO()
  with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
    status = run('Travels.', lambda: got.append, Trip, ['trip', *flags])
  return status, got, out.getvalue(), err.getvalue()


def test_what_is_not_given_has_its_default():
  status, [flags], _, err = call('--name=sea')
  assert (status, err) == (0, '')
  assert (flags.name, flags.where, flags.who) == ('sea', '', ('a', 'b'))
  assert (flags.fast, flags.days, flags.cost) == (True, None, 1.5)
  assert flags.given == {}


def test_every_kind_of_flag(monkeypatch, tmp_path):
  monkeypatch.setenv('HOME', str(tmp_path))
  status, [flags], _, err = call(
    *('--name=sea', '--where=~/x', '--who=c,a', '--nofast', '--days', '3'),
    *('--cost=2', '--epochs=7', '--actions=Walking,Eating'),
  )
  assert (status, err) == (0, '')
  assert flags.where == f'{tmp_path}/x' and flags.who == ('c', 'a')
  assert (flags.fast, flags.days, flags.cost) == (False, 3, 2.0)
  assert flags.given == {'epochs': 7, 'actions': ('Walking', 'Eating')}
  assert config_of(flags.given).training.epochs == 7


@pytest.mark.parametrize(
  'flags, message',
  [
    (('--days=0',), '--days=0: must be above 0'),
    (('--who=a,d',), '--who=d: choose from a, b, c'),
    (('--who=a,,b',), '--who: has an empty name'),
    (('--cost=dear',), 'flag --cost=dear'),
    (('--dayz=3',), "Unknown command line flag 'dayz'. Did you mean: days"),
    (('--batch_size=3',), "Unknown command line flag 'batch_size'"),
    (('home',), 'home: not a flag'),
  ],
)
def test_bad_flags_are_one_line(flags, message):
  status, got, out, err = call('--name=sea', *flags)
  assert (status, got, out) == (2, [], '')
  assert err.startswith('trip: ') and err.count('\n') == 1 and message in err


def test_a_required_flag_is_named():
  status, got, _, err = call()
  assert (status, got) == (2, []) and '--name' in err and err.count('\n') == 1


def test_a_renamed_flag_goes_on_working():
  status, [flags], _, err = call('--name=sea', '--to=coast')
  assert (status, flags.where) == (0, 'coast')
  assert err == 'note: --to is now called --where\n'


def test_help_lists_settings_and_own_flags():
  status, got, out, err = call('--help', '--days=0')
  assert (status, got, err) == (0, [], '')
  assert [line for line in out.splitlines() if line[:1] != ' '] == [
    *('Travels.', '', 'Usage: trip [--flag=value ...]', '', 'Data:', ''),
    *('Training:', '', 'This command:'),
  ]
  assert out.partition('This command:\n')[2].splitlines() == [
    *('  --cost=1.5', '      Pay this.', '  --days=', '      Stay so long.'),
    *('  --fast=true', '      Hurry.', '  --name=', '      Name it.'),
    *('  --where=', '      Go there.'),
    *('  --who=a,b', '      Take them. One of a, b, c.'),
  ]


def test_flags_are_spelled_as_they_are_read():
  given = {'epochs': 7, 'actions': ('Walking', 'Eating')}
  words = [spelled(*item) for item in given.items()]
  assert words == ['--epochs=7', '--actions=Walking,Eating']
  _, [flags], _, _ = call('--name=sea', *words, spelled('fast', False))
  assert flags.given == given and not flags.fast


def test_the_keypoints_of_before(tmp_path):
  """Of predict.py they were a file, of prepare_data.py a name."""
  source = tmp_path / 'source'
  write(source / 'S1' / 'Walk.0.json', as_coco(people(4, 17)))
  status, out, err = run_command(
    *('prepare_data', f'--source={source}', f'--output_dir={tmp_path}'),
    *('--keypoints=own', '--dataset=mine'),
  )
  assert status == 0 and (tmp_path / 'data_2d_mine_own.npz').exists()
  assert err == 'note: --keypoints is now called --detections_name\n'
  output = f'--output={tmp_path}/people.json'
  status, _, err = run_command('predict', '--keypoints=nowhere', output)
  assert status == 1 and err.splitlines() == [
    'note: --keypoints is now called --detections',
    'experiments/predict.py: nowhere: no such file or folder',
  ]
  fails('predict', output, status=2, message='give --detections, --image')
  for command in ('predict', 'prepare_data'):
    assert '--keypoints' not in run_command(command, '--help')[1]
  assert '--keypoints=gt' in run_command('train', '--help')[1]
