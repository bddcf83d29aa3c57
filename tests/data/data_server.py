"""A local web server whose answers each test writes, and a table with one small pinned file."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from src.data import fetch
from src.data.sources import SOURCES, Source

# `printf 'hello\n' | git hash-object --stdin`, and the sha256 of FIPS 180 tools for the same bytes.
CONTENT = b"hello\n"
BLOB = "ce013625030ba8dba906f756967f9e9ca394464a"
SHA256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
LAYOUT = "demo/a b+c.json"

Answer = Callable[[BaseHTTPRequestHandler], None]


class Server(ThreadingHTTPServer):
    """Gives the answers of `script` in turn, the last one for ever; notes the paths asked for."""

    daemon_threads = True
    script: list[Answer]
    asked: list[str]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        script = self.server.script
        answer = script.pop(0) if len(script) > 1 else script[0]
        answer(self)
        self.close_connection = True

    def log_message(self, format, *args):
        pass


def send(body: bytes = CONTENT, status: int = 200, length: int | None = None) -> Answer:
    """Answer with `body`, declaring `length` bytes (its own by default, none if negative)."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        declared = len(body) if length is None else length
        if declared >= 0:
            handler.send_header("Content-Length", str(declared))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(fetch, "FIRST_PAUSE", 0.001)
    server = Server(("127.0.0.1", 0), _Handler)
    server.script, server.asked = [send()], []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def pinned(server, monkeypatch) -> Source:
    """One file in the table whose public address is the local server."""
    source = Source(LAYOUT, f"{server.address}/public/file", BLOB)
    monkeypatch.setitem(SOURCES, LAYOUT, source)
    return source
