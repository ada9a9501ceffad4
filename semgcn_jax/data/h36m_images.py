"""The frames of Human3.6M's videos, in the two layouts that they are kept in.

The one has a folder for each video, named by numbers:
s_01_act_02_subact_01_ca_01/s_01_act_02_subact_01_ca_01_000001.jpg. The other is
S1/Directions-1/imageSequence/54138969/img_000001.jpg. In both, the first frame
has the number 1.
"""

import dataclasses
import pathlib

import numpy as np

from semgcn_jax.config import DataConfig
from semgcn_jax.data.pairs import Pairs, View, action_name, take
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry.cameras import H36M_SUBJECTS, unnormalize_screen
from semgcn_jax.pictures.crops import keypoint_boxes, to_crop
from semgcn_jax.pictures.image_files import ImageFiles
from semgcn_jax.pictures.image_scan import scan, sound_rows

CAMERAS = ('54138969', '55011271', '58860488', '60457274')
# The dataset numbers its actions, from 2.
ACTIONS = (
  *('Directions', 'Discussion', 'Eating', 'Greeting', 'Phoning', 'Posing'),
  *('Purchases', 'Sitting', 'SittingDown', 'Smoking', 'Photo', 'Waiting'),
  *('Walking', 'WalkDog', 'WalkTogether'),
)
_OTHER_NAMES = {
  'Photo': 'TakingPhoto',
  'WalkDog': 'WalkingDog',
  'WalkTogether': 'WalkingTogether',
}
# Each subject does each action twice. The clip of the first time ends in 1 and
# that of the second in no number, except these: what the first and the second
# end in, as the dataset's metadata.xml has it.
_EXCEPTIONS = {
  'S1': {
    'Eating': ('2', ''),
    'Sitting': ('1', '2'),
    'SittingDown': ('2', ''),
  },
  'S5': {
    'Directions': ('1', '2'),
    'Discussion': ('2', '3'),
    'Greeting': ('1', '2'),
    'SittingDown': ('', '1'),
    'Photo': ('', '2'),
    'Waiting': ('1', '2'),
  },
  'S6': {
    'Eating': ('1', '2'),
    'Posing': ('2', ''),
    'Sitting': ('1', '2'),
    'Photo': ('', '1'),
    'Waiting': ('3', ''),
  },
  'S7': {
    'Phoning': ('2', ''),
    'SittingDown': ('', '1'),
    'Photo': ('', '1'),
    'Waiting': ('1', '2'),
    'Walking': ('1', '2'),
  },
  'S8': {'SittingDown': ('', '1'), 'WalkTogether': ('1', '2')},
  'S9': {'Discussion': ('1', '2'), 'SittingDown': ('', '1')},
  'S11': {
    'Discussion': ('1', '2'),
    'Greeting': ('2', ''),
    'Phoning': ('3', '2'),
    'SittingDown': ('', '1'),
    'Smoking': ('2', ''),
  },
}


def repetition(subject: str, clip: str) -> int:
  """Tells whether a clip is the first or the second of its action.

  Args:
    subject: The subject, such as 'S1'.
    clip: The name of the clip in data_3d_h36m.npz, such as 'Walking 1'.

  Returns:
    1 or 2, which the dataset calls the subaction.

  Raises:
    UserError: The dataset has no such clip.
  """
  action, _, ending = clip.partition(' ')
  endings = _EXCEPTIONS.get(subject, {}).get(action, ('1', ''))
  known = subject in H36M_SUBJECTS and action in ACTIONS
  if not known or ending not in endings:
    raise UserError(
      f'`image_dir`: Human3.6M has no pictures of {subject} {clip!r}; give the'
      ' names of its clips, or leave this one out by `actions`'
    )
  return endings.index(ending) + 1


def frame_prefix(folder: pathlib.Path, view: View) -> str:
  """Makes the path of a view's frames, for whichever layout is there.

  Args:
    folder: The folder of all frames.
    view: The view.

  Returns:
    The path up to the number of the frame, which has six digits.

  Raises:
    UserError: The dataset has no such clip or camera.
  """
  number = repetition(view.subject, view.clip)
  if view.camera >= len(CAMERAS):
    raise UserError(
      f'`image_dir`: Human3.6M has {len(CAMERAS)} cameras, not'
      f' {view.camera + 1}; leave out `cameras`'
    )
  action = action_name(view.clip)
  if (folder / view.subject).is_dir():
    names = (action, _OTHER_NAMES.get(action, action))
    places = [folder / view.subject / f'{name}-{number}' for name in names]
    place = next((place for place in places if place.is_dir()), places[0])
    return str(place / 'imageSequence' / CAMERAS[view.camera] / 'img_')
  name = (
    f's_{int(view.subject[1:]):02}_act_{ACTIONS.index(action) + 2:02}'
    f'_subact_{number:02}_ca_{view.camera + 1:02}'
  )
  return str(folder / name / f'{name}_')


def attach(config: DataConfig, pairs: Pairs, *, train: bool) -> Pairs:
  """Gives pairs of Human3.6M the pictures in the folder `image_dir`.

  The pictures are squares about the joints, with a margin; the inputs become
  the joints in these.

  Args:
    config: Names the folder and the size of the squares.
    pairs: The pairs, of `make_pairs`.
    train: Whether they are to train on: then pairs whose picture cannot be used
      are left out.

  Raises:
    SettingError: There is no such folder, or a setting does not go with
      pictures.
    UserError: The dataset has no such clip; or a picture to score cannot be
      used.
  """
  folder = pathlib.Path(config.image_dir)
  if not folder.is_dir():
    raise SettingError(f'`image_dir={folder}`: no such folder')
  if config.keypoints != 'gt':
    raise SettingError(
      f'`keypoints={config.keypoints}`: pictures need the true 2D; leave it out'
    )
  assert pairs.views is not None and pairs.frames is not None
  prefixes = [frame_prefix(folder, view) for view in pairs.view_list]
  paths = tuple(
    f'{prefixes[view]}{frame + 1:06}.jpg'
    for view, frame in zip(
      pairs.views.tolist(), pairs.frames.tolist(), strict=True
    )
  )
  pixels = pairs.inputs.astype(np.float64)
  sizes = np.empty((len(pairs), 2))
  for index, camera in enumerate(pairs.camera_list):
    rows = pairs.cameras == index
    pixels[rows] = unnormalize_screen(pixels[rows], camera)
    sizes[rows] = camera.width, camera.height
  boxes = keypoint_boxes(pixels)
  pictured = dataclasses.replace(
    pairs,
    inputs=to_crop(pixels, boxes),
    images=ImageFiles(paths, boxes, config.crop_size),
  )
  problems = scan(paths, boxes, sizes)
  if not problems:
    return pictured
  return take(pictured, sound_rows(problems, paths, folder, train=train))
