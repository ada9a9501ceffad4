"""The colours of a body's sides, wherever people are shown.

Colour-blind people tell the limbs of the two sides apart.
"""

_LIMBS = {'left': '#0072b2', 'right': '#d55e00'}

# Of lines on white paper, of a solid body, and of lines on the page of HTML, by
# day and by night.
PAPER = _LIMBS | {'trunk': '#333333'}
SOLID = {'trunk': '#8c8c8c'} | _LIMBS
LIGHT = _LIMBS | {'trunk': '#454c5c', 'truth': '#8a8f98'}
DARK = {
  'left': '#56b4e9',
  'right': '#f0883e',
  'trunk': '#c3c8d2',
  'truth': '#a4a9b3',
}
