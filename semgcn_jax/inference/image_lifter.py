"""Lifts people in pictures by a network that was trained on pictures."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any, Self

import jax
import numpy as np
from numpy.typing import ArrayLike

from semgcn_jax.detections.clips import Clip, Person
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.models.build import build
from semgcn_jax.models.folding import FoldedNorm, fold
from semgcn_jax.models.image_network import predict_from_images
from semgcn_jax.models.precision import matmul_precision
from semgcn_jax.pictures.crops import read_box, square_boxes
from semgcn_jax.pictures.image_files import cut_square
from semgcn_jax.pictures.videos import Album
from semgcn_jax.runs.checkpoints import Network, restore_network

_BATCH_SIZE = 32  # How many pictures are taken at once.


@dataclasses.dataclass(frozen=True)
class ImageLifter:
  """A network that finds the 2D and 3D joints of the person in a picture.

  Attributes:
    skeleton: The skeleton of its J joints.
    size: The pixels S of a side of the squares that it takes.
    program: Maps squares `[B, S, S, 3]` to `[B, J, 5]`, see
      `make_image_forward`.
  """

  skeleton: Skeleton
  size: int
  program: Callable[[Any], jax.Array]

  @classmethod
  def of(cls, network: Network, seed: int | None = None) -> Self:
    """Makes the lifter of a restored network.

    Args:
      network: The network.
      seed: The seed to take from a run with several; None takes the first.

    Raises:
      SettingError: There is no such seed.
      UserError: The network takes no pictures, its poses have no scale, or it
        has learned 2D joints alone.
    """
    require_poses(network)
    forward = make_image_forward(network, network.of_seed(seed))
    size = network.config.data.crop_size
    return cls(network.skeleton, size, jax.jit(forward))

  @classmethod
  def load(
    cls,
    workdir: str | pathlib.Path,
    which: str = 'best',
    *,
    seed: int | None = None,
  ) -> Self:
    """Loads the network of a run.

    Args:
      workdir: The folder of the run.
      which: 'best', 'last' or the number of an epoch.
      seed: See `of`.

    Raises:
      SettingError: There is no such checkpoint or seed.
      UserError: There is no run, or it is damaged; or see `of`.
    """
    return cls.of(restore_network(workdir, which), seed)

  def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Finds the people in squares that are cut out already.

    Args:
      images: The squares, `[N, S, S, 3]` uint8, RGB; or what reads them when it
        is indexed by rows.

    Returns:
      The poses, `[N, J, 3]`, metres, the root at the origin, camera frame; and
      the 2D joints, `[N, J, 2]`, where -1 and 1 are the edges of a square.

    Raises:
      UserError: The squares have another shape or type.
    """
    _check_pixels('images', images, (None, self.size, self.size, 3))
    found = [np.zeros((0, self.skeleton.num_joints, 5), np.float32)]
    for start in range(0, len(images), _BATCH_SIZE):
      # The last batch is filled up, to keep one compiled shape.
      rows = np.arange(start, start + min(_BATCH_SIZE, len(images)))
      part = self.program(np.asarray(images[rows % len(images)]))
      found.append(np.asarray(part)[: len(images) - start])
    joints = np.concatenate(found)
    return joints[..., :3], joints[..., 3:]

  def lift(
    self,
    picture: np.ndarray,
    box: ArrayLike | None = None,
    name: str = 'picture',
  ) -> Clip:
    """Lifts the person in a picture.

    Args:
      picture: The picture, `[H, W, 3]` uint8, RGB.
      box: Where the person is: left, top, width, height in pixels; None takes
        the whole picture.
      name: What the picture is called.

    Returns:
      A clip of one frame, with the picture, the pose, and the 2D joints in
      pixels.

    Raises:
      UserError: The picture has another shape or type.
      SettingError: The box is none, is too large, or lies outside of the
        picture.
    """
    picture = np.asarray(picture)
    _check_pixels('picture', picture, (None, None, 3))
    height, width = picture.shape[:2]
    if box is None:
      box = 0, 0, width, height
    (square,) = square_boxes(np.array([read_box(box, (width, height))]))
    try:
      image = cut_square(picture, square, self.size)
    except ValueError as error:
      raise SettingError(
        f'`box`: {error}; give one within the {width} x {height} pixels that'
        ' there are'
      ) from error
    (pose,), (joints,) = self(image[None])
    pixels = square[:2] + (joints + 1) / 2 * square[2:]
    # The network does not tell how sure it is.
    keypoints = np.concatenate([pixels, np.ones_like(pixels[:, :1])], axis=1)
    keypoints = keypoints[None].astype(np.float32)
    person = Person('1', np.arange(1), keypoints, pose[None])
    album = Album.of(picture)
    return Clip(
      name, (person,), 1.0, (width, height), album, skeleton=self.skeleton
    )


def _check_pixels(
  name: str, pixels: Any, shape: tuple[int | None, ...]
) -> None:
  """Checks the type and the shape of pictures, where None is any length.

  Raises:
    UserError: They are no bytes, or of another shape.
  """
  fits = len(pixels.shape) == len(shape) and all(
    wanted in (None, length)
    for length, wanted in zip(pixels.shape, shape, strict=True)
  )
  if not fits or pixels.dtype != np.uint8:
    wanted = ', '.join('any' if n is None else str(n) for n in shape)
    raise UserError(
      f'`{name}`: is {pixels.dtype} {list(pixels.shape)}; give [{wanted}] of'
      ' uint8: red, green and blue from 0 to 255'
    )


def require_poses(network: Network) -> None:
  """Checks that the graph network of a network has been trained.

  Raises:
    UserError: The run has trained its 2D joints alone.
  """
  if network.config.only_2d:
    raise UserError(
      'a run of `stage=keypoints` has learned 2D joints alone, and its poses'
      ' mean nothing; train a run of `stage=graph` with `init_from`'
    )


def make_image_forward(
  network: Network, variables: dict[str, Any], *, precision: str = 'highest'
) -> Callable[[jax.Array], jax.Array]:
  """Makes the pure function of a network that takes pictures.

  Args:
    network: The network; of its config the model and `flip_test` are used.
    variables: The params and batch_stats of one seed.
    precision: How exactly to compute, a value of the setting
      `backbone_precision`.

  Returns:
    A function from squares `[B, S, S, 3]`, red, green and blue from 0 to 255 of
    any type, to `[B, J, 5]`: the pose in metres with the root at the origin,
    and the 2D joints behind it, where -1 and 1 are the edges of the square.

  Raises:
    UserError: The network takes no pictures, or its poses have no scale of
      their own.
  """
  config = network.config
  if not config.model.backbone:
    raise UserError('the network takes keypoints, not pictures')
  if config.calibrates:
    raise UserError(
      'predictions of a run with `image_aligned` or `scale_calibration` have no'
      ' scale of their own: they can be scored, but neither made nor drawn'
    )
  model = build(
    config.model,
    network.skeleton,
    norm=FoldedNorm,
    backbone_precision=precision,
  )
  apply = functools.partial(model.apply, jax.device_get(fold(variables)))

  def forward(images):
    with matmul_precision(precision):
      return predict_from_images(
        apply,
        images,
        network.skeleton,
        flip_test=config.evaluation.flip_test,
      )

  return forward
