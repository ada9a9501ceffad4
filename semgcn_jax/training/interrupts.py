"""Lets a run stop cleanly when asked to."""

import signal
import threading

from semgcn_jax.training import processes


class StopRequest:
  """A context manager that turns SIGTERM and the first Ctrl-C into a flag.

  The first signal restores the previous handlers, so a second one acts at once.

  Attributes:
    signal: The number of the signal received, or None.
  """

  def __init__(self):
    self.signal = None
    self._previous = {}

  def __enter__(self):
    if threading.current_thread() is threading.main_thread():
      for number in (signal.SIGTERM, signal.SIGINT):
        self._previous[number] = signal.signal(number, self._handle)
    return self

  def __exit__(self, *error):
    while self._previous:
      signal.signal(*self._previous.popitem())

  def anywhere(self) -> bool:
    """Returns whether any process got a signal; waits for all of them."""
    return processes.any_process(self.signal is not None)

  def _handle(self, number, frame):
    del frame
    self.signal = number
    self.__exit__()
