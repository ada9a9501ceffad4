"""The colors of the sides of a body, chosen for color-blind readers."""

_LIMBS = {'left': '#0072b2', 'right': '#d55e00'}

# For lines on white paper, for solid bodies, and for lines on the HTML page in
# light and dark mode.
PAPER = _LIMBS | {'trunk': '#333333'}
SOLID = {'trunk': '#8c8c8c'} | _LIMBS
LIGHT = _LIMBS | {'trunk': '#454c5c', 'truth': '#8a8f98'}
DARK = {'left': '#56b4e9', 'right': '#f0883e'}
DARK |= {'trunk': '#c3c8d2', 'truth': '#a4a9b3'}
