"""Shows the progress of training: a bar on a terminal, or lines in a file."""

import time

import rich.console
import rich.progress

LINE_SECONDS = 30  # The least time between lines within an epoch.


class ProgressBar:
  """A context manager that shows the progress of a run."""

  def __init__(
    self, total: int, done: int, batch_size: int, *, shown: bool = True
  ):
    """Prepares the bar; it is shown within the `with` block.

    Args:
      total: The number of steps of the whole run.
      done: The number of steps already done.
      batch_size: The number of poses per step.
      shown: Whether to show anything; False if another process does.
    """
    self._console = rich.console.Console(
      highlight=False, soft_wrap=True, quiet=not shown
    )
    self._bar = rich.progress.Progress(
      '{task.description}',
      rich.progress.BarColumn(),
      '{task.percentage:3.0f}%',
      'left',
      rich.progress.TimeRemainingColumn(),
      console=self._console,
      disable=not self._console.is_terminal,
      transient=True,
    )
    self._task = self._bar.add_task('compiling', total=total, completed=done)
    self._total, self._done, self._batch_size = total, done, batch_size
    self._last_line = time.monotonic()
    # The time and steps after the first chunk, which compiles.
    self._start: tuple[float, int] | None = None

  def __enter__(self):
    self._bar.start()
    return self

  def __exit__(self, *error):
    self._bar.stop()

  def advance(self, steps: int, epoch: int, loss: float) -> None:
    """Counts steps of an epoch, and shows their mean loss."""
    now = time.monotonic()
    self._done += steps
    if self._start is None:
      self._start = now, self._done
    since = self._done - self._start[1]
    rate = since / max(now - self._start[0], 1e-9)
    speed = f'{rate * self._batch_size:,.0f} poses/s' if since else 'compiled'
    text = f'epoch {epoch}  loss {loss:.5f}  {speed}'
    self._bar.update(self._task, advance=steps, description=text)
    if not self._console.is_terminal and now - self._last_line > LINE_SECONDS:
      left = (self._total - self._done) / rate if since else 0
      self.line(f'{text}  {self._done}/{self._total} steps  {left:.0f} s left')

  def line(self, text: str) -> None:
    """Prints a line above the bar."""
    self._last_line = time.monotonic()
    self._console.print(text, markup=False)
