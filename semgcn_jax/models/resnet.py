"""ResNet, which makes feature maps of pictures (He et al., arXiv:1512.03385).

It is the network of torchvision, whose weights `export.backbone_weights`
reads: in a bottleneck the 3x3 convolution has the stride, and every padding is
the same on all sides. Only the initial weights differ, see `ResNet`.

Notation: S is the side of a picture in pixels.
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

# The fields of the networks that have a name.
BACKBONES: dict[str, dict[str, Any]] = {
  'resnet50': {'stage_sizes': (3, 4, 6, 3), 'width': 64, 'bottleneck': True},
  'resnet18': {'stage_sizes': (2, 2, 2, 2), 'width': 64, 'bottleneck': False},
  # For small pictures, of which a stride of 32 leaves too few cells.
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
  """Takes the maximum over 3x3 cells, at every second of them.

  This is PyTorch's `MaxPool2d(3, 2, padding=1)`, by slices: XLA's own pooling
  has a slow gradient on CPUs, and jax2onnx misreads it.

  Args:
    x: The feature map, `[B, H, W, C]`.

  Returns:
    The pooled map, `[B, ceil(H / 2), ceil(W / 2), C]`.
  """
  for axis in (1, 2):
    length = x.shape[axis]
    # How far it is from the first to behind the last of every second cell.
    stop = 2 * ((length + 1) // 2) - 1
    ends = [(1, 1) if i == axis else (0, 0) for i in range(x.ndim)]
    x = jnp.pad(x, ends, constant_values=-jnp.inf)
    shifted = [jax.lax.slice_in_dim(x, k, k + stop, 2, axis) for k in range(3)]
    x = functools.reduce(jnp.maximum, shifted)
  return x


class ConvBlock(nn.Module):
  """A convolution without a bias, then a batch norm and maybe a ReLU.

  Attributes:
    features: The number of output channels, D.
    size: The side of the square kernel; it is odd.
    stride: The step of the kernel, in both directions.
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

    The convolution has the type of x, and its kernel, `[size, size, C, D]`, is
    float32.
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

  Freshly initialised, its block is zero.

  Attributes:
    features: The number of inner channels, F. Those of the output, D, are four
      times as many in a bottleneck, and as many otherwise.
    stride: The step of the block.
    bottleneck: Whether a 3x3 convolution between two 1x1 convolutions makes the
      block, or two 3x3 convolutions.
    norm: Makes the batch norms.
  """

  features: int
  stride: int
  bottleneck: bool
  norm: Callable[..., nn.Module] = BatchNorm

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """Transforms maps: `[..., H, W, C]` -> `[..., H / stride, W / stride, D]`.

    The skip is a convolution where it must change the shape of x, and x itself
    elsewhere.
    """
    # Stride, size of the kernel and channels of each convolution.
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
  """A ResNet without its classifier.

  The default is ResNet-50. Convolutions start Kaiming-normal by their outputs,
  as torchvision's do. The last scale of each residual block starts at zero, as
  with torchvision's `zero_init_residual=True`, which is not its default.

  Attributes:
    stage_sizes: The number of residual blocks of each stage.
    stage_strides: The step of the first block of each stage.
    stage_widths: The number of inner channels of the blocks of each stage.
    width: The number of channels of the first convolution.
    bottleneck: Whether the blocks are bottlenecks, see `ResNetBlock`.
    norm: Makes the batch norms. If it makes `BatchNorm`, its `poses` must be
      0: it would cut the columns of pictures into parts, not the pictures.
    dtype: The type of the activations; None takes that of the pictures.
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
    times = 4 if self.bottleneck else 1
    return (self.width, *(times * width for width in self.stage_widths))

  @nn.compact
  def __call__(
    self, images: jax.Array, *, train: bool = False
  ) -> tuple[jax.Array, ...]:
    """Makes the feature maps of pictures.

    Args:
      images: Pictures `[..., S, S, 3]`, RGB, from which the mean of
        ImageNet is subtracted, and which are divided by its deviation.
      train: Whether the statistics of the batch normalise, and are kept.

    Returns:
      conv_1 to conv_5, with the channels of `stage_channels`, of the type of
      the activations. conv_1 is `[..., S / 2, S / 2, C1]`; a max pooling and
      the `stage_strides` make the others smaller, by default to
      `[..., S / 32, S / 32, C5]`.
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
  """Makes the network of a name.

  Args:
    name: A key of `BACKBONES`.
    **fields: Further fields of `ResNet`, such as norm and dtype.

  Raises:
    SettingError: There is no such name.
  """
  return ResNet(**choose('backbone', name, BACKBONES), **fields)
