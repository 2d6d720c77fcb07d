"""An HTTP server on loopback that misbehaves on purpose, one way per request.

    with BadServer(cut_after(archive, 1000), serve(archive)) as server:
        ...  # the first request to server.url is cut off, all others are served well
        assert server.ranges == [None, "bytes=1000-"]

An answer is a function of the request's handler. The last one answers all further requests.
"""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from types import TracebackType
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """Handler that passes each request on to the next answer."""

    server: "_Server"

    def do_GET(self) -> None:
        self.server.owner.answer(self)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    @property
    def start(self) -> int:
        """Return the first byte of the requested range."""
        return int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))

    def head(self, status: int, length: int | None, **headers: str) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()


Answer = Callable[[Handler], None]


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that closing the server waits for them
    owner: "BadServer"

    def server_bind(self) -> None:  # without HTTPServer's look-up of its own name
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that hangs up on a bad server is right to


class BadServer:
    """Server in a thread, from `with` to its end; `closing` ends what stalls."""

    def __init__(self, *answers: Answer) -> None:
        self.ranges: list[str | None] = []
        self.closing = threading.Event()
        self._answers = answers
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.005,))
        self.root = f"http://127.0.0.1:{self._server.server_port}/"
        self.url = f"{self.root}cifar-10-python.tar.gz"

    def answer(self, handler: Handler) -> None:
        self.ranges.append(handler.headers.get("Range"))
        self._answers[min(len(self.ranges), len(self._answers)) - 1](handler)

    def __enter__(self) -> "BadServer":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def serve(body: bytes, *, ranges: bool = True, length: int | None = None) -> Answer:
    """Serve as a server should; or without ranges, or under a wrong Content-Length."""
    return _send(body, len(body), ranges, length)


def cut_after(body: bytes, count: int, *, ranges: bool = True) -> Answer:
    """Announce the whole range, hang up after `count` bytes."""
    return _send(body, count, ranges, None)


def _send(body: bytes, count: int, ranges: bool, length: int | None) -> Answer:
    def answer(handler: Handler) -> None:
        start = handler.start if ranges else 0
        rest = body[start:]
        announced = len(rest) if length is None else length
        if start:
            handler.head(206, announced, Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            handler.head(200, announced)
        handler.wfile.write(rest[:count])

    return answer


def stall_after(body: bytes, count: int) -> Answer:
    """Send `count` bytes of a whole body, then nothing, with the connection open."""

    def answer(handler: Handler) -> None:
        handler.head(200, len(body))
        handler.wfile.write(body[:count])
        handler.server.owner.closing.wait(20)

    return answer


def silence(handler: Handler) -> None:
    """Accept the request and never answer."""
    handler.server.owner.closing.wait(20)


def without_length(body: bytes) -> Answer:
    """Send the whole body without a length; the connection ends with it."""

    def answer(handler: Handler) -> None:
        handler.head(200, None)
        handler.wfile.write(body)

    return answer


def endless(handler: Handler) -> None:
    """Send bytes without end that begin like a gzip file."""
    handler.head(200, None)
    handler.wfile.write(b"\x1f\x8b")
    while not handler.server.owner.closing.is_set():
        handler.wfile.write(bytes(1 << 16))


def refuse(status: int, **headers: str) -> Answer:
    """Answer with a status and a web page."""

    def answer(handler: Handler) -> None:
        page = b"<html>no</html>"
        handler.head(status, len(page), **headers)
        handler.wfile.write(page)

    return answer


def unsatisfiable(body: bytes) -> Answer:
    """Answer 416 to every range; serve the whole file well."""

    def answer(handler: Handler) -> None:
        (refuse(416) if handler.start else serve(body))(handler)

    return answer


def wrong_range(body: bytes) -> Answer:
    """Answer a range with another one; serve the whole file well."""

    def answer(handler: Handler) -> None:
        if handler.start:
            handler.head(206, 100, Content_Range=f"bytes 7-106/{len(body)}")
            handler.wfile.write(body[7:107])
        else:
            serve(body)(handler)

    return answer
