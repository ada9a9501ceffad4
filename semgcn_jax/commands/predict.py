"""Lifts what the flags of predict.py name."""

import dataclasses
import functools
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence

import rich.progress

from semgcn_jax.commands import folders, outputs
from semgcn_jax.commands.flags.outputs import is_folder
from semgcn_jax.commands.flags.predict import OVER_TIME, SINGLE, Flags
from semgcn_jax.commands.sources import read_sources
from semgcn_jax.config.choices import CLIP_FILES
from semgcn_jax.detections.clips import Clip
from semgcn_jax.errors import (
  SettingError,
  UserError,
  counted,
  listed,
  printable,
)
from semgcn_jax.files import split_paths
from semgcn_jax.formats.writers import check_formats
from semgcn_jax.geometry.skeletons import H36M, HAND
from semgcn_jax.inference.arguments import Options, knows_lens
from semgcn_jax.inference.image_lifter import ImageLifter
from semgcn_jax.inference.lifter import Lifter
from semgcn_jax.inference.people import check_clip, lift_clip
from semgcn_jax.motion.smoothing import smooth
from semgcn_jax.pictures.crops import read_box
from semgcn_jax.pictures.images import field_of_view, read_image
from semgcn_jax.runs.networks import Network, restore_network
from semgcn_jax.solving.report import describe
from semgcn_jax.solving.solver import solve_clip
from semgcn_jax.solving.terms import Terms

# The flags that `check_clip` and `lift_clip` take.
_OPTIONS = ('min_confidence', 'focal_length', 'field_of_view')


def main(flags: Flags) -> None:
  """Lifts what the flags name."""
  paths = ()
  if not flags.live and not is_folder(flags.output):
    paths = split_paths(flags.output, CLIP_FILES, 'output')
    outputs.check_programs(paths)
  name = flags.weights
  network = restore_network(name, flags.which)
  if flags.hands and network.skeleton.joints != HAND.joints:
    raise SettingError(
      f'`checkpoint={name}`: does not lift hands; leave it out, or `hands`'
    )
  if flags.live:
    _require_people(flags, network, 'live')
    lifter = Lifter.of(network, flags.only_seed, name)
    # Its server takes long to import, and files do not need it.
    from semgcn_jax.commands.live import show_live

    show_live(flags, lifter, pitch=flags.pitch, **_options(flags))
    return
  if network.config.takes == 'pictures':
    lifter = ImageLifter.of(network, flags.only_seed)
    skeleton = network.config.data.skeleton
    work = functools.partial(_lift_image, lifter=lifter, skeleton=skeleton)
  else:
    for setting in ('height', 'solve_without'):
      _require_people(flags, network, setting)
    formats = [pathlib.Path(f'out{ending}') for ending in flags.endings]
    check_formats(paths or formats, network.skeleton)
    if flags.detections is None and not flags.hands:
      for setting in ('image', 'video', 'camera'):
        _require_people(flags, network, setting)
    lifter = Lifter.of(network, flags.only_seed, name)
    work = functools.partial(_lift_clips, lifter=lifter)
  if paths:
    work(flags, paths)
  else:
    _lift_folder(flags, work)


def _require_people(flags: Flags, network: Network, name: str) -> None:
  """Raises a SettingError for a flag that only people have, if it is given."""
  given = getattr(flags, name) != getattr(Flags, name)
  if not given or network.skeleton == H36M:
    return
  advice = 'leave it out'
  if name in ('image', 'video', 'camera'):
    advice = 'give `detections`'
    if network.skeleton.joints == HAND.joints:
      advice = 'give `hands`, too'
  raise SettingError(
    f'`{name}`: is for people, and {flags.weights} has another skeleton;'
    f' {advice}'
  )


def _lift_folder(flags: Flags, lift_source: Callable[..., None]) -> None:
  """Lifts each source in a folder, into another folder."""
  [(kind, path)] = [  # See `Flags.validate`.
    (name, pathlib.Path(value))
    for name in ('detections', 'image', 'video')
    if (value := getattr(flags, name)) is not None
  ]

  def work(name, files, paths):
    if kind == 'detections':
      lift_source(flags, paths, found={name: files})
    else:
      lift_source(dataclasses.replace(flags, **{kind: str(files[0])}), paths)

  folders.run_each(
    folders.find_sources(kind, path),
    pathlib.Path(flags.output),
    flags.endings,
    work,
    overwrite=flags.overwrite,
  )


def _options(flags: Flags) -> Options:
  """Returns what the flags say of keypoints and lens."""
  return Options(
    min_confidence=flags.min_confidence,
    focal_length=flags.focal_length,
    field_of_view=_field_of_view(flags),
  )


def _field_of_view(flags: Flags) -> float | None:
  """Returns the field of view in the flags, or else that of a photograph."""
  lens = flags.field_of_view, flags.focal_length
  if lens != (None, None) or flags.image is None:
    return flags.field_of_view
  return field_of_view(pathlib.Path(flags.image))


@functools.cache
def _over_time() -> Lifter:
  """Loads the lifter of clips once, with what it compiles."""
  return Lifter.load(OVER_TIME)


def _lift_clips(
  flags: Flags,
  paths: tuple[pathlib.Path, ...],
  *,
  lifter: Lifter,
  found: Mapping[str, Sequence[pathlib.Path]] | None = None,
) -> None:
  """Lifts the people of one source, and writes them to files.

  The source is what the flags name, or the clips of detections in `found`.
  """
  began = time.monotonic()
  name = flags.weights
  clips = read_sources(flags, found, lifter.skeleton, lifter.joint_sets)
  if not any(clip.people for clip in clips):
    raise UserError(f'{flags.detections}: no person in any frame')
  fps = clips[0].fps
  flags.check_cutoff(fps)
  over_time = None
  by_default = not flags.checkpoint and not flags.hands
  if by_default and any(len(clip.frames) > 1 for clip in clips):
    over_time = _over_time()
  options = _options(flags)
  angle = _field_of_view(flags)
  if angle != flags.field_of_view:
    told = f'{flags.image}: sees {angle:.0f}° along its longer side (EXIF)'
    print(printable(told))
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


def _solve(flags: Flags, clip: Clip) -> Clip:
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
  flags: Flags,
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
    if getattr(flags, name) != getattr(Flags, name):
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
