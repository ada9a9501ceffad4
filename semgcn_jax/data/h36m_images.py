"""The frames of Human3.6M's videos, in the two layouts in common use.

One has a numbered folder for each video:
s_01_act_02_subact_01_ca_01/s_01_act_02_subact_01_ca_01_000001.jpg. The other is
S1/Directions-1/imageSequence/54138969/img_000001.jpg. Both count frames from 1.
"""

import dataclasses
import importlib.resources
import json
import pathlib

import numpy as np

from semgcn_jax.config import DataConfig
from semgcn_jax.data.h36m import CAMERAS
from semgcn_jax.data.pairs import Pairs, View, action_name, take
from semgcn_jax.errors import SettingError, UserError
from semgcn_jax.geometry.cameras import H36M_SUBJECTS, unnormalize_screen
from semgcn_jax.pictures.crops import keypoint_boxes, to_crop
from semgcn_jax.pictures.image_files import ImageFiles
from semgcn_jax.pictures.image_scan import scan, sound_rows

# In the dataset's order, which numbers them from 2.
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
# Each subject does each action twice. The first clip's name ends in 1, the
# second's in no number. The file lists the exceptions in the dataset's
# metadata.xml: {subject: {action: [ending of the first, of the second]}}.
_FOLDER = importlib.resources.files('semgcn_jax.data')
_EXCEPTIONS = json.loads((_FOLDER / 'h36m_repetitions.json').read_text())


def repetition(subject: str, clip: str) -> int:
  """Returns the subaction of a clip: 1 or 2, as each action is done twice.

  Args:
    subject: The subject, such as 'S1'.
    clip: The name of the clip in data_3d_h36m.npz, such as 'Walking 1'.

  Raises:
    UserError: The dataset has no such clip.
  """
  action, _, ending = clip.partition(' ')
  endings = _EXCEPTIONS.get(subject, {}).get(action, ('1', ''))
  known = subject in H36M_SUBJECTS and action in ACTIONS
  if not known or ending not in endings:
    raise UserError(
      f'`image_dir`: Human3.6M has no images of {subject} {clip!r}; use the'
      ' names of its clips, or leave this one out with `actions`'
    )
  return endings.index(ending) + 1


def frame_prefix(folder: pathlib.Path, view: View) -> str:
  """Returns the path of a view's frames, up to their six-digit number.

  Args:
    folder: The folder of all frames, in either layout.
    view: The view.

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
  """Attaches the images in the folder `image_dir` to pairs of Human3.6M.

  The images are square crops around the joints, with a margin, and the inputs
  become the joints in these crops.

  Args:
    config: The folder and the size of the crops.
    pairs: The pairs, from `make_pairs`.
    train: Whether to train on them; then pairs with unusable images are left
      out.

  Raises:
    SettingError: There is no such folder, or a setting does not work with
      images.
    UserError: The dataset has no such clip, or an image to score is unusable.
  """
  folder = pathlib.Path(config.image_dir)
  if not folder.is_dir():
    raise SettingError(f'`image_dir={folder}`: no such folder')
  if config.keypoints != 'gt':
    raise SettingError(
      f'`keypoints={config.keypoints}`: images need the true 2D; leave it out'
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
