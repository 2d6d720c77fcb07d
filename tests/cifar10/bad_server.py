"""An HTTP server on loopback that misbehaves on purpose, one way per request.

An answer is a function of the request's handler. The last one answers all further requests.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    server: "BadServer"

    def do_GET(self) -> None:
        self.server.answer(self)

    def log_message(self, *args: Any) -> None:
        pass

    @property
    def start(self) -> int:
        """Return the first byte of the requested range."""
        return int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))

    def head(self, status: int, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()


Answer = Callable[[Handler], object]


class BadServer(ThreadingTCPServer):
    def __init__(self, answers: tuple[Answer, ...]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = answers
        self.ranges: list[str | None] = []
        self.closing = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/cifar-10-python.tar.gz"

    def answer(self, handler: Handler) -> None:
        self.ranges.append(handler.headers.get("Range"))
        self.answers[min(len(self.ranges), len(self.answers)) - 1](handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that hangs up on a bad server is right to


@contextmanager
def running(*answers: Answer) -> Iterator[BadServer]:
    """Run a server in a thread. Its `ranges` lists the range of each request so far."""
    with BadServer(answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.005,))
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()


def serve(
    body: bytes,
    *,
    ranges: bool = True,
    length: int | None = None,
    count: int | None = None,
    stall: bool = False,
) -> Answer:
    """Serve as a server should; or without ranges, under a wrong Content-Length, or stop early.

    After `count` bytes, it hangs up, or sends nothing more with the connection open.
    """

    def answer(handler: Handler) -> None:
        start = handler.start if ranges else 0
        rest = body[start:]
        announced = len(rest) if length is None else length
        if start:
            handler.head(206, announced, Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            handler.head(200, announced)
        handler.wfile.write(rest[:count])
        if stall:
            handler.server.closing.wait(20)

    return answer


def without_length(body: bytes) -> Answer:
    """Send the whole body without a length; the connection ends with it."""

    def answer(handler: Handler) -> None:
        handler.head(200)
        handler.wfile.write(body)

    return answer


def endless(handler: Handler) -> None:
    """Send bytes without end that begin like a gzip file."""
    handler.head(200)
    handler.wfile.write(b"\x1f\x8b")
    while not handler.server.closing.is_set():
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
    return lambda handler: (refuse(416) if handler.start else serve(body))(handler)


def wrong_range(body: bytes) -> Answer:
    """Answer a range with another one; serve the whole file well."""
    other = refuse(206, Content_Range=f"bytes 7-21/{len(body)}")
    return lambda handler: (other if handler.start else serve(body))(handler)
