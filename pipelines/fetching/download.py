"""One file over HTTP: resumed, bounded in size and time, never more trusted than its checksum (checked elsewhere)."""

import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path

import requests
import urllib3
from tqdm import tqdm

from emlc.records.errors import SuiteError

logger = logging.getLogger(__name__)

CHUNK = 2**16
TIMEOUT_S = (10.0, 30.0)
"""Longest wait for a connection, and for the next bytes."""

PATIENCE = 3
"""Attempts in a row that may bring nothing; an attempt that brings bytes does not count."""

MAX_ATTEMPTS = 50
GRACE_S = 60.0
SLOWEST_BYTES_PER_S = 8 * 2**10
"""A whole download may take `GRACE_S` and as long as it would at this rate."""


def download(url: str, part: Path, size: int, pause_s: float = 1.0) -> None:
    """Complete the file `part` to `size` bytes from `url`, continuing after the bytes it already has.

    Parameters
    ----------
    url : str
        HTTP address.
    part : Path
        Partial file; what it holds is kept on failure, so that a later call goes on from there.
    size : int
        Bytes the whole file has. A server that announces or sends another number is refused.
    pause_s : float
        Wait after a failed attempt, longer after each further one.

    Raises
    ------
    SuiteError
        If the server refuses, sends something of another size, is too slow, or fails :data:`PATIENCE` times in a row.
    """
    deadline = time.monotonic() + GRACE_S + size / SLOWEST_BYTES_PER_S
    failures = 0
    with requests.Session() as session:
        for _ in range(MAX_ATTEMPTS):
            before = _length(part)
            if before == size:
                return
            try:
                _continue(session, url, part, size, deadline)
            except _INTERRUPTIONS as error:
                if _length(part) > before:
                    logger.info("%s: %s at %s of %s bytes; going on", url, _reason(error), _length(part), size)
                    failures = 0
                else:
                    failures += 1
                if failures >= PATIENCE:
                    raise SuiteError(_reason(error)) from error
                time.sleep(pause_s * max(1, failures))
            except OSError as error:
                raise SuiteError(f"cannot write {part}: {error.strerror or error}") from error
    raise SuiteError(f"gave up after {MAX_ATTEMPTS} interrupted attempts")


class _TryAgainError(Exception):
    """The server may do better next time."""


_INTERRUPTIONS = (requests.RequestException, urllib3.exceptions.HTTPError, _TryAgainError)


def _continue(session: requests.Session, url: str, part: Path, size: int, deadline: float) -> None:
    """Append what the server sends after the bytes that `part` has; start over where it cannot continue."""
    have = _length(part) if _length(part) < size else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
        _check_status(response)
        start = _start(response) if response.status_code == requests.codes.partial_content else 0
        if start not in (0, have):
            raise SuiteError(f"the server sent bytes from {start:,}, not from {have:,} as asked")
        _check_announced(response, size - start)
        with part.open("ab") as handle:
            handle.truncate(start)
            for chunk in _chunks(response, start, size):
                handle.write(chunk)
                if time.monotonic() > deadline:
                    raise SuiteError(f"slower than {SLOWEST_BYTES_PER_S / 2**10:g} KiB a second")
    if _length(part) != size:
        raise _TryAgainError("connection closed early")


def _chunks(response: requests.Response, start: int, size: int) -> Iterator[bytes]:
    """Yield bytes as they arrive and as they are: neither waiting for a full chunk nor undoing any encoding."""
    done = start
    with tqdm(total=size, initial=start, unit="B", unit_scale=True, disable=None) as bar:
        while chunk := response.raw.read1(CHUNK, decode_content=False):
            done += len(chunk)
            if done > size:
                raise SuiteError(f"the server sends more than the pinned {size:,} bytes")
            bar.update(len(chunk))
            yield chunk


def _check_status(response: requests.Response) -> None:
    status = response.status_code
    if status in (requests.codes.too_many_requests, requests.codes.request_timeout) or status >= 500:
        raise _TryAgainError(f"HTTP status {status}")
    if status not in (requests.codes.ok, requests.codes.partial_content):
        raise SuiteError(f"HTTP status {status}")


def _start(response: requests.Response) -> int:
    match = re.match(r"bytes (\d{1,15})-", response.headers.get("Content-Range", ""))
    if not match:
        raise SuiteError("the server sent a part of the file without saying which")
    return int(match[1])


def _check_announced(response: requests.Response, expected: int) -> None:
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) != expected:
        raise SuiteError(f"the server offers {int(announced):,} bytes instead of {expected:,}")


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _reason(error: Exception) -> str:
    match error:
        case _TryAgainError():
            return str(error)
        case requests.Timeout() | urllib3.exceptions.TimeoutError():
            return "timed out"
        case requests.ConnectionError():
            return "cannot connect"
        case urllib3.exceptions.HTTPError():
            return "connection broke off"
    return " ".join(str(error).split())[:200]
