"""Lifts people to 3D poses, and writes them to a file.

The input is keypoints of any detector, in every format that prepare_data.py
reads or as arrays (npy, npz), or images, videos and cameras, in which MediaPipe
or rtmlib detects people. A network trained on images needs no detector.
"""

import dataclasses
import pathlib

from semgcn_jax import weights
from semgcn_jax.commands.flags import outputs, shared
from semgcn_jax.commands.flags.live import LiveFlags, check_live
from semgcn_jax.commands.flags.sources import check_sources
from semgcn_jax.config.choices import CLIP_FILES, HEIGHT, SMOOTHING
from semgcn_jax.config.fields import POSITIVE, between, setting
from semgcn_jax.errors import SettingError, choose, listed
from semgcn_jax.solving.terms import TERMS

# The bundled weights for single frames, for clips, for --live, and for --hands.
SINGLE, OVER_TIME, STREAM, HANDS = 'cmu', 'cmu-video', 'cmu-stream', 'hand'


@dataclasses.dataclass(frozen=True)
class Flags(outputs.ClipFlags, LiveFlags):
  """The flags of the command."""

  renamed = {'keypoints': 'detections'}
  checkpoint: str = shared.checkpoint_setting(
    f'If empty, lift with {OVER_TIME} whoever is tracked for long enough, and'
    f' the others with {SINGLE}, or with {STREAM} if --live, or with {HANDS} if'
    ' --hands; otherwise lift with',
    '',
  )
  output: str = outputs.output_setting(
    CLIP_FILES,
    ' A folder, such as out/, gets files of its own for each clip, image or'
    ' video of a folder; those that it has are skipped.',
    '',
  )
  formats: tuple[str, ...] = setting(
    ('html',),
    'With --output=FOLDER/, write these formats of each source, such as'
    ' html,json.',
  )
  min_confidence: float = setting(
    0.0, 'Treat keypoints of less confidence as not found.'
  )
  focal_length: float | None = setting(
    None, 'Set the focal length in pixels, if known.', POSITIVE
  )
  field_of_view: float | None = setting(
    None,
    'Set the field of view of the longer side in degrees, if known.',
    between(1, 179),
  )
  height: float | None = setting(
    None,
    'Set the height of the person in metres, if known.',
    HEIGHT,
  )
  solve: bool = setting(
    True,
    'Solve clips: find one body for each person, their paths, feet that rest,'
    ' and where the camera is. False leaves the poses as they are lifted.',
  )
  solve_without: tuple[str, ...] = setting(
    (), f'Solve without some of its terms: {listed(TERMS)}.'
  )
  smooth: str = setting(
    'none', 'Smooth the poses over time.', choices=SMOOTHING
  )
  check: bool = setting(
    True,
    'Refuse keypoints that are probably not read as they were meant: another'
    ' joint set, shares of the image, y upwards, an impossible lens.',
  )
  cutoff: float = setting(
    3.0, 'Make --smooth keep motion up to this frequency in Hz.'
  )

  @property
  def weights(self) -> str:
    """The run, or the bundled weights, that lift each frame."""
    if self.hands:
      return self.checkpoint or HANDS
    return self.checkpoint or (STREAM if self.live else SINGLE)

  @property
  def endings(self) -> list[str]:
    """The endings of what is written to a folder."""
    return [*dict.fromkeys(f'.{n.removeprefix(".")}' for n in self.formats)]

  def validate(self) -> None:
    """Checks what can be checked before anything is read."""
    check_live(self)
    if not self.output and not self.live:
      raise SettingError('give `output`, or `live`')
    if outputs.is_folder(self.output):
      self._check_folder()
      outputs.check_rig_flags(self, self.endings)
    elif self.output:
      inputs = self.detections, self.image, self.video
      paths = outputs.check_output_flags(self, CLIP_FILES, inputs)
      outputs.check_rig_flags(self, (path.name for path in paths))
      if self.formats != Flags.formats:
        raise SettingError('`formats`: is for a folder; `output` names a file')
    check_sources(self)
    if self.solve_without and not self.solve:
      raise SettingError('`solve_without`: has no meaning without `solve`')
    for name in self.solve_without:
      choose('solve_without', name, dict.fromkeys(TERMS))
    if self.fps is not None:
      self.check_cutoff(self.fps)
    if self.cutoff != Flags.cutoff and self.smooth == 'none':
      raise SettingError('`cutoff`: has no meaning without `smooth`')
    if not self.checkpoint and (
      self.only_seed is not None or self.which != 'best'
    ):
      raise SettingError(
        '`which`, `only_seed`: choose from a run; give `checkpoint`'
      )
    weights.find(self.weights)

  def check_cutoff(self, fps: float) -> None:
    """Raises a SettingError if smoothing's cutoff is too high for a rate."""
    if self.smooth != 'none' and not 0 < self.cutoff < fps / 2:
      raise SettingError(
        f'`cutoff={self.cutoff}`: must be above 0 and below half of `fps`,'
        f' which is {fps:g}'
      )

  def _check_folder(self) -> None:
    """Checks what goes into a folder."""
    if not self.formats:
      raise SettingError('`formats`: name one, such as html')
    for ending in self.endings:
      if ending not in CLIP_FILES:
        names = listed(known[1:] for known in CLIP_FILES)
        raise SettingError(f'`formats={ending[1:]}`: choose from {names}')
    output = pathlib.Path(self.output)
    paths = [p for p in (self.detections, self.image, self.video) if p]
    if len(paths) > 1 or self.camera is not None:
      raise SettingError(
        f'`output={self.output}`: is a folder, which takes the files of one'
        f' source each; name a file, such as {output / "out.html"}'
      )
    for path in map(pathlib.Path, paths):
      if output.resolve() != path.resolve() and output.resolve().is_relative_to(
        path.resolve()
      ):
        # Called again, the command would find what it wrote.
        raise SettingError(
          f'`output={output}`: is in the folder that is read; name another'
        )
