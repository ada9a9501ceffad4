"""ResNet, which computes feature maps (He et al., arXiv:1512.03385).

It is the network of torchvision, whose weights `export.backbone_weights` reads:
in a bottleneck the 3x3 convolution has the stride, and padding is symmetric.
Only the initial weights differ, see `ResNet`.

Notation: S is the side of an image in pixels.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from semgcn_jax.errors import choose
from semgcn_jax.models.layers import BatchNorm

Initializer = nn.initializers.Initializer

# The fields of the named networks.
BACKBONES: dict[str, dict[str, Any]] = {
  'resnet50': {'stage_sizes': (3, 4, 6, 3), 'width': 64, 'bottleneck': True},
  'resnet18': {'stage_sizes': (2, 2, 2, 2), 'width': 64, 'bottleneck': False},
  # For small images, of which a stride of 32 leaves too few cells.
  'tiny': {
    'stage_sizes': (1, 1, 1, 1),
    'stage_strides': (1, 2, 1, 1),
    'stage_widths': (32, 32, 64, 64),
    'width': 16,
    'bottleneck': False,
  },
}

_kaiming_normal_fan_out = nn.initializers.variance_scaling(
  2.0, 'fan_out', 'normal'
)


def max_pool(x: jax.Array) -> jax.Array:
  """Applies PyTorch's `MaxPool2d(3, 2, padding=1)`, by slices.

  `[B, H, W, C]` -> `[B, ceil(H / 2), ceil(W / 2), C]`. XLA's own pooling has a
  slow gradient on CPUs, and jax2onnx misreads it.
  """
  for axis in (1, 2):
    length = x.shape[axis]
    stop = 2 * ((length + 1) // 2) - 1
    ends = [(1, 1) if i == axis else (0, 0) for i in range(x.ndim)]
    x = jnp.pad(x, ends, constant_values=-jnp.inf)
    shifted = [jax.lax.slice_in_dim(x, k, k + stop, 2, axis) for k in range(3)]
    x = functools.reduce(jnp.maximum, shifted)
  return x


class ConvBlock(nn.Module):
  """A convolution without bias, a batch norm and optionally a ReLU.

  Attributes:
    features: The number of output channels, D.
    size: The side of the square kernel, odd.
    stride: The stride in both directions.
    norm: Makes the batch norm, given relu, scale_init and name.
    relu: Whether a ReLU follows.
    scale_init: Makes the initial scale of the batch norm.
  """

  features: int
  size: int
  stride: int = 1
  norm: Callable[..., nn.Module] = BatchNorm
  relu: bool = True
  scale_init: Initializer = nn.initializers.ones

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """Convolves maps: `[..., H, W, C]` -> `[..., H / stride, W / stride, D]`.

    The kernel, `[size, size, C, D]`, is float32.
    """
    x = nn.Conv(
      self.features,
      (self.size, self.size),
      self.stride,
      padding=self.size // 2,
      use_bias=False,
      dtype=x.dtype,
      kernel_init=_kaiming_normal_fan_out,
      name='conv',
    )(x)
    norm = self.norm(relu=self.relu, scale_init=self.scale_init, name='norm')
    return norm(x, train=train)


class ResNetBlock(nn.Module):
  """A residual block, ReLU(skip(x) + block(x)).

  Freshly initialized, its block is zero. The skip is a convolution if it must
  change the shape of x, and x itself otherwise.

  Attributes:
    features: The number of inner channels, F. The output has D = 4 F channels
      in a bottleneck, and D = F otherwise.
    stride: The stride of the block.
    bottleneck: Whether the block is a 3x3 convolution between two 1x1
      convolutions, rather than two 3x3 convolutions.
    norm: Makes the batch norms.
  """

  features: int
  stride: int
  bottleneck: bool
  norm: Callable[..., nn.Module] = BatchNorm

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """Maps `[..., H, W, C]` to `[..., H / stride, W / stride, D]`."""
    # The stride, kernel size and channels of each convolution.
    if self.bottleneck:
      outside = 4 * self.features
      plan = [(1, 1, self.features), (self.stride, 3, self.features)]
      plan += [(1, 1, outside)]
    else:
      outside = self.features
      plan = [(self.stride, 3, outside), (1, 3, outside)]
    y = x
    for number, (stride, size, features) in enumerate(plan, start=1):
      last = number == len(plan)
      y = ConvBlock(
        features,
        size,
        stride,
        norm=self.norm,
        relu=not last,
        scale_init=nn.initializers.zeros if last else nn.initializers.ones,
        name=f'conv{number}',
      )(y, train=train)
    if self.stride != 1 or x.shape[-1] != outside:
      skip = ConvBlock(
        outside, 1, self.stride, norm=self.norm, relu=False, name='skip'
      )
      x = skip(x, train=train)
    return nn.relu(x + y)


class ResNet(nn.Module):
  """A ResNet without its classifier; by default ResNet-50.

  As in torchvision, convolutions start Kaiming-normal by fan-out. The last
  scale of each residual block starts at zero, like torchvision's non-default
  `zero_init_residual=True`.

  Attributes:
    stage_sizes: The number of residual blocks per stage.
    stage_strides: The stride of the first block of each stage.
    stage_widths: The number of inner channels of the blocks of each stage.
    width: The number of channels of the first convolution.
    bottleneck: Whether the blocks are bottlenecks, see `ResNetBlock`.
    norm: Makes the batch norms; `BatchNorm.poses` must be 0, as it would split
      the columns of images rather than the batch.
    dtype: The type of the activations; None takes that of the images.
      Parameters and statistics are always float32.
  """

  stage_sizes: tuple[int, ...] = (3, 4, 6, 3)
  stage_strides: tuple[int, ...] = (1, 2, 2, 2)
  stage_widths: tuple[int, ...] = (64, 128, 256, 512)
  width: int = 64
  bottleneck: bool = True
  norm: Callable[..., nn.Module] = BatchNorm
  dtype: Any = None

  @property
  def stage_channels(self) -> tuple[int, ...]:
    """The numbers of channels of the feature maps, conv_1 to conv_5."""
    factor = 4 if self.bottleneck else 1
    return (self.width, *(factor * width for width in self.stage_widths))

  @nn.compact
  def __call__(
    self, images: jax.Array, *, train: bool = False
  ) -> tuple[jax.Array, ...]:
    """Computes the feature maps of images.

    Args:
      images: RGB images, `[..., S, S, 3]`, see `image_network.normalize`.
      train: Whether to use, and update, the statistics of the batch.

    Returns:
      conv_1 to conv_5, with the channels of `stage_channels`. conv_1 is
      `[..., S / 2, S / 2, C1]`; max pooling and the `stage_strides` shrink the
      others, by default to `[..., S / 32, S / 32, C5]`.
    """
    x = images.reshape(-1, *images.shape[-3:])
    x = x.astype(self.dtype or images.dtype)
    x = ConvBlock(self.width, 7, 2, norm=self.norm, name='conv1')(
      x, train=train
    )
    maps = [x]
    x = max_pool(x)
    for stage, size in enumerate(self.stage_sizes):
      for i in range(size):
        x = ResNetBlock(
          self.stage_widths[stage],
          stride=self.stage_strides[stage] if i == 0 else 1,
          bottleneck=self.bottleneck,
          norm=self.norm,
          name=f'stage{stage + 1}_block{i}',
        )(x, train=train)
      maps.append(x)
    return tuple(x.reshape(*images.shape[:-3], *x.shape[1:]) for x in maps)


def make_resnet(name: str, **fields: Any) -> ResNet:
  """Makes the network of a key of `BACKBONES`, with further fields of `ResNet`.

  Raises:
    SettingError: There is no such key.
  """
  return ResNet(**choose('backbone', name, BACKBONES), **fields)
