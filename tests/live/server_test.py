"""The server of the live page."""

import http.client
import threading
import time

import pytest

from semgcn_jax.errors import SettingError
from semgcn_jax.live.server import PageServer


def get(server, path, host=None):
  connection = http.client.HTTPConnection('127.0.0.1', server.port, timeout=5)
  connection.request('GET', path, headers={'Host': host} if host else {})
  return connection.getresponse()


def test_the_page_and_the_newest_messages():
  with PageServer('<p>é</p>', 0) as server:
    response = get(server, '/')
    assert response.read().decode() == '<p>é</p>'
    assert 'text/html' in response.headers['Content-Type']
    assert get(server, '/other').status == 404
    stream = get(server, '/poses')
    assert stream.headers['Content-Type'] == 'text/event-stream'
    for message in ('{"a": 1}', '{"a": 2}'):
      server.publish(message)
      lines = [stream.readline().decode(), stream.readline().decode()]
      assert lines == [f'data: {message}\n', '\n']
    # Who comes later gets the last one at once.
    late = get(server, '/poses')
    assert late.readline() == b'data: {"a": 2}\n'


def test_other_computers_and_sites_get_nothing():
  with PageServer('page', 0) as server:
    assert server._server.server_address[0] == '127.0.0.1'
    assert get(server, '/', host='evil.example:80').status == 403
    assert get(server, '/poses', host='evil.example').status == 403
    # Browsers leave out port 80.
    for host in (f'localhost:{server.port}', 'LOCALHOST', '127.0.0.1'):
      assert get(server, '/', host=host).status == 200


def test_a_slow_reader_misses_messages_and_does_not_hold_up():
  with PageServer('page', 0) as server:
    get(server, '/poses')
    began = time.monotonic()
    for number in range(500):
      server.publish(f'{number} ' + 'x' * 50_000)
    assert time.monotonic() - began < 5
    stream = get(server, '/poses')
    assert stream.readline().startswith(b'data: 499 ')


def test_leaving_ends_the_streams():
  with PageServer('page', 0) as server:
    stream = get(server, '/poses')
    ended = threading.Event()
    threading.Thread(
      target=lambda: (stream.read(), ended.set()), daemon=True
    ).start()
  assert ended.wait(5)


def test_a_port_that_is_taken():
  with (
    PageServer('page', 0) as server,
    pytest.raises(SettingError, match=f'`port={server.port}`: .*in use'),
  ):
    PageServer('page', server.port)
