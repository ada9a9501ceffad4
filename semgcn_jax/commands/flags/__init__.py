"""The flags of the commands, and what can be checked of them at once.

`flags.predict` has those of predict.py, and so on. Nothing here imports JAX, or
what else takes long, so that --help and a typo are answered at once.
"""
