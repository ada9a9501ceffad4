"""Lifts people in images with a network trained on images."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any, Self

import jax
import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import ArrayLike

from semgcn_jax.detections.clips import Clip, Person
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.inference.networks import require_task, trained_function
from semgcn_jax.models.batches import run_batches
from semgcn_jax.pictures.crops import read_box, square_boxes
from semgcn_jax.pictures.image_files import cut_square
from semgcn_jax.pictures.videos import Album
from semgcn_jax.runs.networks import Network, restore_network

_BATCH_SIZE = 32


@dataclasses.dataclass(frozen=True)
class ImageLifter:
  """A network that finds the 2D and 3D joints of the person in an image.

  Attributes:
    skeleton: The skeleton of its J joints.
    size: The side S of the square crops it takes, pixels.
    program: Maps crops `[B, S, S, 3]`, RGB from 0 to 255, to `[B, J, 5]`, see
      `forward.predict_poses`.
  """

  skeleton: Skeleton
  size: int
  program: Callable[[Any], jax.Array]

  @classmethod
  def of(cls, network: Network, seed: int | None = None) -> Self:
    """Makes the lifter of a restored network; see `load`.

    Raises:
      SettingError: There is no such seed.
      UserError: The network does not take images, its poses have no scale, or
        it has only learned 2D joints.
    """
    require_task(network.config, 'pictures')
    config, skeleton = network.config, network.skeleton
    program = trained_function(config, skeleton, network.of_seed(seed))
    return cls(skeleton, config.data.crop_size, jax.jit(program))

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
      seed: The seed to take from a run with several; None takes the first.

    Raises:
      SettingError: There is no such checkpoint or seed.
      UserError: There is no run, it is damaged, or see `of`.
    """
    return cls.of(restore_network(workdir, which), seed)

  def __call__(
    self, images: UInt8[np.ndarray, 'N S S 3']
  ) -> tuple[Float[np.ndarray, 'N J 3'], Float[np.ndarray, 'N J 2']]:
    """Finds the people in square crops.

    Args:
      images: The crops, `[N, S, S, 3]` uint8, RGB; or an object that reads them
        when indexed by rows.

    Returns:
      The poses, `[N, J, 3]`, metres, the root at the origin, camera frame; and
      the 2D joints, `[N, J, 2]`, where -1 and 1 are the edges of a crop.

    Raises:
      UserError: The crops have another shape or type.
    """
    _check_pixels('images', images, (None, self.size, self.size, 3))
    if not len(images):
      joints = np.zeros((0, self.skeleton.num_joints, 5), np.float32)
    else:
      joints = run_batches(
        lambda rows: self.program(np.asarray(images[rows])),
        len(images),
        (min(_BATCH_SIZE, len(images)),),
      )
    return joints[..., :3], joints[..., 3:]

  def lift(
    self,
    picture: UInt8[np.ndarray, 'H W 3'],
    box: ArrayLike | None = None,
    name: str = 'picture',
  ) -> Clip:
    """Lifts the person in an image.

    Args:
      picture: The image, `[H, W, 3]` uint8, RGB.
      box: Where the person is: left, top, width, height in pixels; None takes
        the whole image.
      name: The name of the clip.

    Returns:
      A clip of one frame, with the image, the pose, and the 2D joints in
      pixels.

    Raises:
      UserError: The image has another shape or type.
      SettingError: The box is invalid, too large, or outside the image.
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
        f'`box`: {error}; give one within the {width} x {height} pixels of the'
        ' image'
      ) from error
    (pose,), (joints,) = self(image[None])
    pixels = square[:2] + (joints + 1) / 2 * square[2:]
    # The network predicts no confidence.
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
  """Raises a UserError if pixels are not uint8 or not of a shape.

  None in the shape is any length.
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
