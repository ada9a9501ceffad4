"""Lifts people to 3D poses, and writes them to a file.

The input is keypoints of any detector, in every format that prepare_data.py
reads or as arrays (npy, npz), or images, videos and cameras, in which MediaPipe
or rtmlib detects people. A network trained on images needs no detector.
"""

import dataclasses
import functools
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence

import rich.progress

from semgcn_jax.commands import folders, outputs, shared_flags
from semgcn_jax.commands.live import LiveFlags, check_live, show_live
from semgcn_jax.commands.running import run
from semgcn_jax.commands.sources import check_sources, read_sources
from semgcn_jax.config.fields import (
  POSITIVE,
  Range,
  between,
  setting,
)
from semgcn_jax.detections.clips import Clip
from semgcn_jax.errors import (
  SettingError,
  UserError,
  choose,
  counted,
  listed,
  printable,
)
from semgcn_jax.formats.writers import WRITERS
from semgcn_jax.geometry.skeletons import H36M, HAND
from semgcn_jax.inference.arguments import Options, knows_lens
from semgcn_jax.inference.image_lifter import ImageLifter
from semgcn_jax.inference.lifter import Lifter
from semgcn_jax.inference.people import check_clip, lift_clip
from semgcn_jax.inference.placing import HEIGHT_RANGE, is_height
from semgcn_jax.motion.smoothing import METHODS, smooth
from semgcn_jax.pictures.crops import read_box
from semgcn_jax.pictures.images import read_image
from semgcn_jax.runs.checkpoints import Network, restore_network
from semgcn_jax.solving.report import describe
from semgcn_jax.solving.solver import solve_clip
from semgcn_jax.solving.terms import TERMS, Terms

# The bundled weights for single frames, for clips, for --live, and for --hands.
SINGLE, OVER_TIME, STREAM, HANDS = 'cmu', 'cmu-video', 'cmu-stream', 'hand'
# The flags that `check_clip` and `lift_clip` take.
_OPTIONS = ('min_confidence', 'focal_length', 'field_of_view')


@dataclasses.dataclass(frozen=True)
class PredictFlags(outputs.ClipFlags, LiveFlags):
  """The flags of the command."""

  renamed = {'keypoints': 'detections'}
  checkpoint: str = shared_flags.checkpoint_setting(
    f'If empty, lift with {OVER_TIME} whoever is tracked for long enough, and'
    f' the others with {SINGLE}, or with {STREAM} if --live, or with {HANDS} if'
    ' --hands; otherwise lift with',
    '',
  )
  output: str = outputs.output_setting(
    WRITERS,
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
    Range(HEIGHT_RANGE, is_height),
  )
  solve: bool = setting(
    True,
    'Solve clips: find one body for each person, their paths, feet that rest,'
    ' and where the camera is. False leaves the poses as they are lifted.',
  )
  solve_without: tuple[str, ...] = setting(
    (), f'Solve without some of its terms: {listed(TERMS)}.'
  )
  smooth: str = setting('none', 'Smooth the poses over time.', choices=METHODS)
  check: bool = setting(
    True,
    'Refuse keypoints that are probably not read as they were meant: another'
    ' joint set, shares of the image, y upwards, an impossible lens.',
  )
  cutoff: float = setting(
    3.0, 'Make --smooth keep motion up to this frequency in Hz.'
  )


def lift(flags: PredictFlags) -> None:
  """Lifts what the flags name."""
  check_live(flags)
  if not flags.output and not flags.live:
    raise SettingError('give `output`, or `live`')
  paths = ()
  if not flags.live and not folders.is_folder(flags.output):
    inputs = flags.detections, flags.image, flags.video
    paths = outputs.check_output_flags(flags, WRITERS, inputs)
    if flags.formats != PredictFlags.formats:
      raise SettingError('`formats`: is for a folder; `output` names a file')
  check_sources(flags)
  if flags.solve_without and not flags.solve:
    raise SettingError('`solve_without`: has no meaning without `solve`')
  for name in flags.solve_without:
    choose('solve_without', name, dict.fromkeys(TERMS))
  if flags.fps is not None:
    _check_cutoff(flags, flags.fps)
  shared_flags.use_compilation_cache(flags)
  name = _weights(flags)
  if not flags.checkpoint and (
    flags.only_seed is not None or flags.which != 'best'
  ):
    raise SettingError(
      '`which`, `only_seed`: choose from a run; give `checkpoint`'
    )
  network = restore_network(name, flags.which)
  if flags.hands and network.skeleton.joints != HAND.joints:
    raise SettingError(
      f'`checkpoint={name}`: does not lift hands; leave it out, or `hands`'
    )
  if flags.live:
    _require_people(flags, network, 'live')
    lifter = Lifter.of(network, flags.only_seed, name)
    show_live(flags, lifter, pitch=flags.pitch, **_options(flags))
    return
  if network.config.takes == 'pictures':
    lifter = ImageLifter.of(network, flags.only_seed)
    skeleton = network.config.data.skeleton
    work = functools.partial(_lift_image, lifter=lifter, skeleton=skeleton)
  else:
    _require_people(flags, network, 'height')
    if flags.detections is None and not flags.hands:
      for setting in ('image', 'video', 'camera'):
        _require_people(flags, network, setting)
    lifter = Lifter.of(network, flags.only_seed, name)
    work = functools.partial(_lift_clips, lifter=lifter)
  if paths:
    work(flags, paths)
  else:
    _lift_folder(flags, work)


def _require_people(flags: PredictFlags, network: Network, name: str) -> None:
  """Raises a SettingError for a flag that only people have, if it is given."""
  given = getattr(flags, name) != getattr(PredictFlags, name)
  if not given or network.skeleton == H36M:
    return
  advice = 'leave it out'
  if name in ('image', 'video', 'camera'):
    advice = 'give `detections`'
    if network.skeleton.joints == HAND.joints:
      advice = 'give `hands`, too'
  raise SettingError(
    f'`{name}`: is for people, and {_weights(flags)} has another skeleton;'
    f' {advice}'
  )


def _weights(flags: PredictFlags) -> str:
  """Returns the run or the bundled weights that lift each frame."""
  if flags.hands:
    return flags.checkpoint or HANDS
  return flags.checkpoint or (STREAM if flags.live else SINGLE)


def _lift_folder(flags: PredictFlags, lift_source: Callable[..., None]) -> None:
  """Lifts each source in a folder, into another folder."""
  names = dict.fromkeys(name.removeprefix('.') for name in flags.formats)
  formats = [f'.{name}' for name in names]
  for ending in formats:
    if ending not in WRITERS:
      raise SettingError(
        f'`formats={ending[1:]}`: choose from {listed(e[1:] for e in WRITERS)}'
      )
  (kind, path), *others = [
    (name, pathlib.Path(value))
    for name in ('detections', 'image', 'video')
    if (value := getattr(flags, name)) is not None
  ] or [('camera', pathlib.Path())]
  if not formats:
    raise SettingError('`formats`: name one, such as html')
  if kind == 'camera' or others:
    raise SettingError(
      f'`output={flags.output}`: is a folder, which takes the files of one'
      ' source each; name a file, such as'
      f' {pathlib.Path(flags.output) / "out.html"}'
    )

  def work(name, files, paths):
    if kind == 'detections':
      lift_source(flags, paths, found={name: files})
    else:
      lift_source(dataclasses.replace(flags, **{kind: str(files[0])}), paths)

  output = pathlib.Path(flags.output)
  if output.resolve() != path.resolve() and output.resolve().is_relative_to(
    path.resolve()
  ):
    # Called again, the command would find what it wrote.
    raise SettingError(
      f'`output={output}`: is in the folder that is read; name another'
    )
  folders.run_each(
    folders.find_sources(kind, path),
    output,
    formats,
    work,
    overwrite=flags.overwrite,
  )


def _options(flags: PredictFlags) -> Options:
  """Returns what the flags say of keypoints and lens."""
  return Options(
    min_confidence=flags.min_confidence,
    focal_length=flags.focal_length,
    field_of_view=flags.field_of_view,
  )


@functools.cache
def _over_time() -> Lifter:
  """Loads the lifter of clips once, with what it compiles."""
  return Lifter.load(OVER_TIME)


def _lift_clips(
  flags: PredictFlags,
  paths: tuple[pathlib.Path, ...],
  *,
  lifter: Lifter,
  found: Mapping[str, Sequence[pathlib.Path]] | None = None,
) -> None:
  """Lifts the people of one source, and writes them to files.

  The source is what the flags name, or the clips of detections in `found`.
  """
  began = time.monotonic()
  name = _weights(flags)
  clips = read_sources(flags, found, lifter.skeleton, lifter.joint_sets)
  if not any(clip.people for clip in clips):
    raise UserError(f'{flags.detections}: no person in any frame')
  fps = clips[0].fps
  _check_cutoff(flags, fps)
  over_time = None
  by_default = not flags.checkpoint and not flags.hands
  if by_default and any(len(clip.frames) > 1 for clip in clips):
    over_time = _over_time()
  options = _options(flags)
  if flags.check:
    judge = lifter if name == SINGLE else None
    clips = [check_clip(clip, judge, **options) for clip in clips]
  lifted = []
  for clip in rich.progress.track(
    clips, 'lifting', transient=True, disable=len(clips) == 1
  ):
    clip = lift_clip(lifter, clip, over_time, height=flags.height, **options)
    clip = smooth(clip, flags.smooth, cutoff=flags.cutoff)
    if flags.solve and len(clip.frames) > 1 and clip.skeleton == H36M:
      clip = _solve(flags, clip)
    lifted.append(clip)
  details = {
    **options,
    'height': flags.height,
    'checkpoint': f'{OVER_TIME}, {SINGLE}' if over_time else name,
    'smooth': flags.smooth,
    'cutoff': flags.cutoff,
    'joint_set': clips[0].joint_set,
    'solve': any(clip.view is not None for clip in lifted),
    'solve_without': list(flags.solve_without),
  }
  title = pathlib.PurePath(clips[0].source).name
  title += f' and {len(clips) - 1} more' if len(clips) > 1 else ''
  outputs.write_chosen(flags, lifted, paths, title=title, details=details)
  print(_summary(paths, lifted, fps, time.monotonic() - began))


def _solve(flags: PredictFlags, clip: Clip) -> Clip:
  """Solves a clip, and prints what was found."""
  terms = Terms(**dict.fromkeys(flags.solve_without, 0.0))
  options = _options(flags)
  pitch = flags.pitch if flags.pitch is not None else clip.pitch
  solved = solve_clip(
    clip, pitch=pitch, height=flags.height, terms=terms, **options
  )
  print(printable(f'{clip.name}: {describe(solved, knows_lens(options))}'))
  return solved


def _summary(
  paths: Sequence[pathlib.Path],
  clips: Sequence[Clip],
  fps: float,
  seconds: float,
) -> str:
  """Formats one line about what was lifted."""
  people = [person for clip in clips for person in clip.people]
  poses = sum(len(person.frames) for person in people)
  missing = sum(int((~person.is_whole).sum()) for person in people)
  few = f', of which {missing} have too few keypoints' if missing else ''
  return printable(
    f'{listed(map(str, paths))}: {counted(poses, "pose")}{few}, of'
    f' {counted(len(people), "person", "people")} in'
    f' {counted(len(clips), "clip")}, at {fps:g} frames per second, in'
    f' {seconds:.1f} s'
  )


def _lift_image(
  flags: PredictFlags,
  paths: tuple[pathlib.Path, ...],
  *,
  lifter: ImageLifter,
  skeleton: str,
) -> None:
  """Lifts the person in an image with a network that sees images."""
  began = time.monotonic()
  if flags.image is None or flags.detections is not None:
    raise SettingError(
      f'`checkpoint={flags.checkpoint}`: takes an image; give `image`, and'
      ' `box` if the person does not fill it'
    )
  for name in (
    *_OPTIONS,
    'height',
    'smooth',
    'cutoff',
    'solve',
    'solve_without',
    'fps',
  ):
    if getattr(flags, name) != getattr(PredictFlags, name):
      raise SettingError(
        f'`{name}`: has no meaning with a network that takes images; leave'
        ' it out'
      )
  path = pathlib.Path(flags.image)
  box = None if flags.box is None else read_box(flags.box)
  clip = lifter.lift(read_image(path), box, path.stem)
  details = {
    'checkpoint': flags.checkpoint,
    'joint_set': skeleton,
  }
  outputs.write_chosen(flags, [clip], paths, title=path.name, details=details)
  seconds = time.monotonic() - began
  print(printable(f'{listed(map(str, paths))}: 1 pose, in {seconds:.1f} s'))


def _check_cutoff(flags: PredictFlags, fps: float) -> None:
  """Raises a SettingError if the cutoff of smoothing is out of range."""
  if flags.smooth != 'none' and not 0 < flags.cutoff < fps / 2:
    raise SettingError(
      f'`cutoff={flags.cutoff}`: must be above 0 and below half of `fps`,'
      f' which is {fps:g}'
    )


main = functools.partial(run, __doc__, lift, PredictFlags)
