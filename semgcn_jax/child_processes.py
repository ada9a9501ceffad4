"""What all processes that this package starts have in common."""

import multiprocessing
import os
import threading


def end_with_parent() -> None:
  """Makes this process end with its parent, however that ends."""
  parent = multiprocessing.parent_process()
  assert parent is not None

  def follow():
    parent.join()
    os._exit(1)

  threading.Thread(target=follow, daemon=True).start()
