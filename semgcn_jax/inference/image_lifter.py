"""Lifts people in pictures by a network that was trained on pictures."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any, Self

import jax
import numpy as np
from numpy.typing import ArrayLike

from semgcn_jax.detections.clips import Clip, Person
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry.skeletons import Skeleton
from semgcn_jax.inference.networks import require_task, trained_function
from semgcn_jax.models.batches import run_batches
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
    program: Maps squares `[B, S, S, 3]`, red, green and blue from 0 to 255, to
      `[B, J, 5]`, see `forward.predict_poses`.
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
    require_task(network.config, 'pictures')
    program = trained_function(
      network.config, network.skeleton, network.of_seed(seed)
    )
    size = network.config.data.crop_size
    return cls(network.skeleton, size, jax.jit(program))

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
