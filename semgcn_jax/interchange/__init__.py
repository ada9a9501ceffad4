"""The formats of other programs: checkpoints of the released PyTorch code."""
