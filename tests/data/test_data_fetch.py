import logging
import socket
import struct
import threading

import pytest

from src.data import fetch
from src.data.fetch import FetchError, address_in
from tests.data.data_server import CONTENT, send


def no_answer(handler):
    handler.connection.shutdown(socket.SHUT_RDWR)


def reset_in_the_body(handler):
    send(b"he", length=6)(handler)
    handler.wfile.flush()
    # Closing with unsent-data discard makes the kernel send RST: what a killed server looks like.
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def chunks_cut_short(handler):
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"2\r\nhe\r\n6\r\nll")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (send(status=503), "HTTP status 503"),
        (send(status=429), "HTTP status 429"),
        (send(b"he", length=6), "ended after 2 of 6 bytes"),
        (no_answer, "closed connection without response"),
        (reset_in_the_body, "reset by peer|ended after"),
        (chunks_cut_short, "IncompleteRead"),
    ],
)
def test_passing_failures_are_retried_and_then_reported(server, caplog, fault, reason):
    server.script = [fault, fault, send()]
    with caplog.at_level(logging.WARNING):
        assert fetch.fetch(f"{server.address}/x", 5, retries=2) == CONTENT
    assert len(server.asked) == 3
    assert len(caplog.records) == 2
    server.script, server.asked = [fault], []
    with pytest.raises(FetchError, match=reason):
        fetch.fetch(f"{server.address}/x", 5, retries=1)
    assert len(server.asked) == 2


@pytest.mark.parametrize("status", [404, 403, 410])
def test_lasting_failures_are_not_retried(server, status):
    server.script = [send(b"gone", status=status)]
    with pytest.raises(FetchError, match=f"HTTP status {status}"):
        fetch.fetch(f"{server.address}/x", 5, retries=3)
    assert len(server.asked) == 1


def test_a_silent_server_times_out(server):
    done = threading.Event()
    server.script = [lambda handler: done.wait(5) and None]
    try:
        with pytest.raises(FetchError, match="timed out"):
            fetch.fetch(f"{server.address}/x", 0.1, retries=0)
    finally:
        done.set()


def test_an_endless_body_is_cut(server, monkeypatch):
    monkeypatch.setattr(fetch, "MAX_BYTES", 5)
    with pytest.raises(FetchError, match="more than 5 bytes"):
        fetch.fetch(f"{server.address}/x", 5, retries=0)


def test_an_unknown_name_is_not_retried(monkeypatch):
    asked = []

    def unknown(*args, **kwargs):
        asked.append(args)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setenv("NO_PROXY", "*")
    with pytest.raises(FetchError, match="Name or service not known"):
        fetch.fetch("https://nowhere.invalid/x", 5, retries=3)
    assert len(asked) == 1


def test_a_refused_connection_is_reported(server):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(FetchError, match="Connection refused"):
        fetch.fetch(f"http://127.0.0.1:{port}/x", 5, retries=1)


def test_redirects_are_followed_but_not_to_local_files(server, tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")

    def to(address):
        def answer(handler):
            handler.send_response(302)
            handler.send_header("Location", address)
            handler.end_headers()

        return answer

    server.script = [to(f"{server.address}/there"), send()]
    assert fetch.fetch(f"{server.address}/x", 5, retries=0) == CONTENT
    assert server.asked == ["/x", "/there"]
    server.script = [to((tmp_path / "secret").as_uri())]
    with pytest.raises(FetchError, match="HTTP status 302"):
        fetch.fetch(f"{server.address}/x", 5, retries=0)


@pytest.mark.parametrize("as_uri", [False, True])
def test_folders_and_file_addresses(tmp_path, as_uri):
    folder = tmp_path / "a b"
    (folder / "seat").mkdir(parents=True)
    (folder / "seat" / "1+3-.jsonl").write_bytes(CONTENT)
    mirror = folder.as_uri() + "/" if as_uri else str(folder)
    assert fetch.fetch(address_in(mirror, "seat/1+3-.jsonl"), 5, retries=0) == CONTENT
    with pytest.raises(FetchError, match="No such file"):
        fetch.fetch(address_in(mirror, "seat/2.jsonl"), 5, retries=3)
    with pytest.raises(FetchError, match="Is a directory"):
        fetch.fetch(address_in(mirror, "seat"), 5, retries=3)
