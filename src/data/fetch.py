"""Getting the bytes behind one address: http(s) with retries, file:// and plain paths."""

import http.client
import logging
import socket
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote, urlsplit

log = logging.getLogger(__name__)

MAX_BYTES = 64 * 2**20  # ten times the largest benchmark file: a wrong address must not fill memory
TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
FIRST_PAUSE = 0.5  # seconds before the first retry, doubled before each further one
# Waiting helps against none of these: no such name, no trust, no such address.
_PERMANENT = (socket.gaierror, ssl.SSLCertVerificationError, http.client.InvalidURL)


class FetchError(Exception):
    """The bytes could not be had; the message is the reason, without the address."""

    def __init__(self, reason: str, *, transient: bool = False) -> None:
        super().__init__(reason)
        self.transient = transient


def address_in(mirror: str, layout: str) -> str:
    """Give the address of the layout path `layout` in `mirror` (base address or folder)."""
    if "://" in mirror:
        return f"{mirror.rstrip('/')}/{quote(layout)}"
    return str(Path(mirror).expanduser().absolute() / layout)


def fetch(address: str, timeout: float, retries: int) -> bytes:
    """Read one file whole.

    Args:
        address: An http(s) or file address, or a plain path.
        timeout: Seconds without an answer after which an attempt counts as failed.
        retries: Attempts after the first, made only for failures that may pass.

    Raises:
        FetchError: It could not be had, or only in part.
    """
    attempt = 0
    while True:
        try:
            return _read(address, timeout)
        except FetchError as error:
            if not error.transient or attempt == retries:
                raise
            pause = FIRST_PAUSE * 2**attempt
            attempt += 1
            log.warning("%s: %s; retry %d in %.1f s", address, error, attempt, pause)
            time.sleep(pause)


def _read(address: str, timeout: float) -> bytes:
    if "://" not in address:
        return _read_file(Path(address))
    if address.startswith("file:"):
        return _read_file(Path(urllib.request.url2pathname(urlsplit(address).path)))
    try:
        return _read_http(address, timeout)
    except urllib.error.HTTPError as error:
        error.close()
        transient = error.code in TRANSIENT_STATUS
        raise FetchError(f"HTTP status {error.code} {error.reason}", transient=transient) from error
    except urllib.error.URLError as error:
        raise _failed(error.reason) from error
    except (OSError, http.client.HTTPException) as error:
        raise _failed(error) from error


def _read_http(address: str, timeout: float) -> bytes:
    request = urllib.request.Request(address, headers={"User-Agent": "compression-bias"})
    with urllib.request.urlopen(request, timeout=timeout) as response:
        body: bytes = response.read(MAX_BYTES + 1)
        declared = response.headers.get("Content-Length")
    if len(body) > MAX_BYTES:
        raise FetchError(f"more than {MAX_BYTES} bytes")
    # A sized read returns what there is when the server closes early, without an error.
    if declared is not None and declared.isdigit() and len(body) != int(declared):
        reason = f"the connection ended after {len(body)} of {declared} bytes"
        raise FetchError(reason, transient=True)
    return body


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FetchError(error.strerror or str(error)) from error


def _failed(reason: BaseException | str) -> FetchError:
    if isinstance(reason, str):
        return FetchError(reason)
    text = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
    return FetchError(text or type(reason).__name__, transient=not isinstance(reason, _PERMANENT))
