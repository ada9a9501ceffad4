from semgcn_jax.text_tables import markdown_table, plain_table

HEADINGS = ['', 'mm', 'poses']
ROWS = [['Walking', '9.25', '500'], ['all [of] them', '12.5', '']]


def test_plain_tables_align_their_columns():
  assert plain_table(HEADINGS, ROWS).splitlines() == [
    '                 mm  poses',
    'Walking        9.25    500',
    'all [of] them  12.5',
  ]


def test_plain_tables_are_never_cut():
  cell = 'a' * 500
  assert plain_table(['', 'b'], [[cell, cell]]).splitlines()[1] == (
    f'{cell}  {cell}'
  )


def test_markdown_tables():
  assert markdown_table(HEADINGS, ROWS) == [
    '|  | mm | poses |',
    '| --- | --- | --- |',
    '| Walking | 9.25 | 500 |',
    '| all [of] them | 12.5 |  |',
  ]
