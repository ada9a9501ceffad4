"""The flags of predict.py --live."""

import dataclasses

from semgcn_jax.commands.flags.sources import SourceFlags
from semgcn_jax.config.fields import Range, setting
from semgcn_jax.errors import SettingError

# The flags of predict.py that say how to write files, or whom to lift.
_OF_FILES = (
  *('output', 'overwrite', 'formats', 'clip', 'person', 'joint_names'),
  *('height', 'smooth', 'cutoff', 'check', 'box', 'people', 'detections'),
  *('image', 'seconds'),
)


@dataclasses.dataclass(frozen=True)
class LiveFlags(SourceFlags):
  """The flags of `live.show_live`."""

  live: bool = setting(
    False,
    'Show the people of --camera in a browser while it films, or of --video'
    ' while it plays, until Ctrl-C; write no file.',
  )
  send: tuple[str, ...] = setting(
    (),
    'With --live, send the poses to these addresses, with commas between them:'
    ' osc://HOST:PORT (VMC, needs the extra live), udp://HOST:PORT (JSON).',
  )
  port: int = setting(
    8765,
    'With --live, serve the page at this port, to this computer only; 0 takes'
    ' any that is free.',
    Range('from 0 to 65535', lambda x: 0 <= x <= 65535),
  )
  browser: bool = setting(True, 'With --live, open the page in a browser.')


def check_live(flags: LiveFlags) -> None:
  """Raises a SettingError if flags have no meaning with, or without, --live."""
  if not flags.live:
    for name in ('send', 'port', 'browser'):
      if getattr(flags, name) != getattr(LiveFlags, name):
        raise SettingError(f'`{name}`: is only for `live`')
    return
  if (flags.camera is None) == (flags.video is None):
    raise SettingError('`live`: give either `camera` or `video`')
  for name in _OF_FILES:
    if getattr(flags, name) != getattr(type(flags), name):
      raise SettingError(f'`{name}`: has no meaning with `live`')
