"""Kernels for NVIDIA's Hopper GPUs, chosen by `gpu.by_gpu_kernel`.

Each file has the kernels of one function: `fits` tells which arguments they
take, `forward` computes the function, and `backward` its gradients.
"""
