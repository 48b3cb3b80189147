"""A data host on this machine that misbehaves on request."""

import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Behaviour = Callable[["Request"], None]


@dataclass
class Host:
    """A running server: the behaviours to use up, one a request (the last one stays), and what was asked."""

    data: bytes
    behaviours: list[Behaviour]
    port: int = 0
    ranges: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def url(self, name: str = "") -> str:
        return f"http://127.0.0.1:{self.port}/{name}"


class Request(BaseHTTPRequestHandler):
    """One request; the methods below are what behaviours are made of."""

    host: Host

    def do_GET(self):
        behaviours = self.host.behaviours
        self.host.ranges.append(self.headers.get("Range"))
        self.host.paths.append(self.path)
        behaviour = behaviours.pop(0) if len(behaviours) > 1 else behaviours[0]
        behaviour(self)

    @property
    def start(self) -> int:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        return int(match[1]) if match else 0

    def head(self, status: int, length: int | None, **headers: str) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def head_of_rest(self) -> bytes:
        rest = self.host.data[self.start :]
        span = f"bytes {self.start}-{len(self.host.data) - 1}/{len(self.host.data)}"
        self.head(206, len(rest), Content_Range=span) if self.start else self.head(200, len(rest))
        return rest

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.wfile.flush()
        time.sleep(0.05)
        self.connection.close()

    def log_message(self, *_):
        pass


def whole(request: Request) -> None:
    """The rest of the file, as asked."""
    request.wfile.write(request.head_of_rest())


def ignore_range(request: Request) -> None:
    """The file from its start, whatever was asked."""
    request.head(200, len(request.host.data))
    request.wfile.write(request.host.data)


def half(request: Request) -> None:
    """Half of the rest, then an orderly end."""
    rest = request.head_of_rest()
    request.wfile.write(rest[: len(rest) // 2])
    request.close_connection = True


def half_then_reset(request: Request) -> None:
    """Half of the rest, then a reset connection."""
    rest = request.head_of_rest()
    request.wfile.write(rest[: len(rest) // 2])
    request.reset()


def reset_at_once(request: Request) -> None:
    """Nothing but a reset connection."""
    request.reset()


def other_bytes(request: Request) -> None:
    """As many bytes, but not the right ones."""
    request.wfile.write(bytes(len(request.head_of_rest())))


def page(request: Request) -> None:
    """A page that says sorry, with status 200."""
    text = b"<html>please log in</html>"
    request.head(200, len(text))
    request.wfile.write(text)


def endless(request: Request) -> None:
    """Bytes without end and without a length."""
    request.head(200, None)
    for _ in range(1000):
        request.wfile.write(bytes(10_000))


def wrong_part(request: Request) -> None:
    """A part, but not the one that was asked for."""
    data = request.host.data
    request.head(206, len(data) - request.start, Content_Range=f"bytes {request.start + 1}-{len(data)}/{len(data)}")
    request.wfile.write(data[request.start :])


def drip(request: Request) -> None:
    """One byte at a time, far apart but never silent for long."""
    for byte in request.head_of_rest():
        request.wfile.write(bytes([byte]))
        request.wfile.flush()
        time.sleep(0.05)


def stall(request: Request) -> None:
    """A few bytes, then silence."""
    request.wfile.write(request.head_of_rest()[:10])
    request.wfile.flush()
    time.sleep(2)


def status(code: int) -> Behaviour:
    """An error status."""
    return lambda request: request.head(code, 0)


@contextmanager
def serve(data: bytes, *behaviours: Behaviour) -> Iterator[Host]:
    """Run a server of `data` until the block ends."""
    host = Host(data, list(behaviours))
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Request,), {"host": host}))
    server.handle_error = lambda *_: None  # the client hanging up is part of the test
    host.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
