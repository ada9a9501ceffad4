"""Serves a page and what it shows to browsers on this computer."""

import http
import http.server
import os
import threading
import urllib.parse
from typing import Any, Self

from semgcn_jax.errors import SettingError

_HOST = '127.0.0.1'
_PATIENCE = 5.0  # Seconds after which a silent stream shows that it is alive.


class PageServer:
  """A server on the loopback, which no other computer reaches.

  It serves a page at /, and messages to it at /poses as server-sent events.
  Who reads too slowly misses messages, and gets the newest one. It is a
  context, and ends with it.

  Attributes:
    address: The address of the page.
  """

  def __init__(self, page: str, port: int):
    """Starts to listen.

    Args:
      page: The HTML of the page.
      port: The port; 0 takes any that is free.

    Raises:
      SettingError: The port is taken.
    """
    self._page = page.encode()
    self._changed = threading.Condition()
    self._count, self._message, self._ended = 0, b'', False
    server = self

    class Handler(_Handler):
      owner = server

    try:
      self._server = _Server((_HOST, port), Handler)
    except OSError as error:
      raise SettingError(
        f'`port={port}`: {error.strerror}; give another, or 0 for any'
      ) from error
    self.port = self._server.server_address[1]
    self.address = f'http://{_HOST}:{self.port}/'
    self._thread = threading.Thread(
      target=self._server.serve_forever, daemon=True
    )

  def __enter__(self) -> Self:
    self._thread.start()
    return self

  def __exit__(self, *_: object) -> None:
    with self._changed:
      self._ended = True
      self._changed.notify_all()
    self._server.shutdown()
    self._server.server_close()

  def publish(self, message: str) -> None:
    """Sends a message, of one line, to all pages."""
    with self._changed:
      self._count += 1
      self._message = message.encode()
      self._changed.notify_all()

  def page(self) -> bytes:
    """Returns the page."""
    return self._page

  def after(self, count: int) -> tuple[int, bytes] | None:
    """Waits for a message newer than that of a number.

    Returns:
      Its number, and the message, which is empty if none came for a while;
      None at the end.
    """
    with self._changed:
      self._changed.wait_for(
        lambda: self._ended or self._count > count, _PATIENCE
      )
      if self._ended:
        return None
      return self._count, self._message if self._count > count else b''


class _Server(http.server.ThreadingHTTPServer):
  daemon_threads = True
  # On Windows, it would let two servers share a port.
  allow_reuse_address = os.name != 'nt'

  def handle_error(self, request: Any, client_address: Any) -> None:
    """Says nothing: browsers close connections whenever they like."""


class _Handler(http.server.BaseHTTPRequestHandler):
  """Answers one browser."""

  owner: PageServer

  def do_GET(self) -> None:
    # Other sites, whose names may lead here, must not read what is shown.
    host = urllib.parse.urlsplit(f'//{self.headers.get("Host", "")}').hostname
    if host not in (_HOST, 'localhost'):
      self.send_error(http.HTTPStatus.FORBIDDEN)
    elif self.path == '/':
      page = self.owner.page()
      self._begin('text/html; charset=utf-8', len(page))
      self.wfile.write(page)
    elif self.path == '/poses':
      self._begin('text/event-stream')
      self._stream()
    else:
      self.send_error(http.HTTPStatus.NOT_FOUND)

  def _begin(self, kind: str, length: int | None = None) -> None:
    self.send_response(http.HTTPStatus.OK)
    self.send_header('Content-Type', kind)
    self.send_header('Cache-Control', 'no-store')
    if length is not None:
      self.send_header('Content-Length', str(length))
    self.end_headers()

  def _stream(self) -> None:
    count = 0
    while (news := self.owner.after(count)) is not None:
      count, message = news
      self.wfile.write(b'data: %b\n\n' % message if message else b':\n\n')
      self.wfile.flush()

  def log_message(self, format: str, *args: Any) -> None:
    """Logs nothing."""
