"""The formats of other programs: PyTorch, ONNX, StableHLO, BVH, GLB."""
