"""Networks for other programs: ONNX, StableHLO, and PyTorch checkpoints."""
