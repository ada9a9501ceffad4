"""Formats of other programs: checkpoints of the released PyTorch code."""
