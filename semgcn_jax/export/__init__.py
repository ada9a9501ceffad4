"""Exports networks: ONNX, StableHLO, and PyTorch checkpoints."""
