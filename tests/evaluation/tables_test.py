from semgcn_jax.evaluation.scores import HEADINGS
from semgcn_jax.evaluation.tables import format_table

# Those of people.
HEADINGS = {key: text for key, text in HEADINGS.items() if key != 'pck'}
SCORES = {key: 10.0 + index for index, key in enumerate(HEADINGS)}
RESULT = SCORES | {
  'actions': {
    'Run': SCORES | {'num_poses': 4},
    'Walk': SCORES | {'num_poses': 2},
  },
  'mpjpe_action': 21.5,
  'p_mpjpe_action': 22.5,
  'num_poses': 6,
}


def test_table_beside_published_numbers():
  references = {'Walk': 12.3, 'mean of actions': 45.6}
  lines = [x.split() for x in format_table(RESULT, references).splitlines()]
  scores = ['10.00', '11.00', '12.00', '13.00', '14.00']
  assert lines == [
    [*HEADINGS.values(), 'poses', 'published'],
    ['Run', *scores, '4'],
    ['Walk', *scores, '2', '12.3'],
    ['mean', 'of', 'actions', '21.50', '22.50', '45.6'],
    ['all', 'poses', *scores, '6'],
  ]


def test_table_of_several_seeds():
  result = RESULT | {'mpjpe_sd': 1.5, 'p_mpjpe_sd': 0.5, 'seeds': [{}, {}]}
  lines = format_table(result).splitlines()
  assert lines[0].split() == [*HEADINGS.values(), 'poses']
  assert lines[-1].split() == ['±', 'of', '2', 'seeds', '1.50', '0.50']
