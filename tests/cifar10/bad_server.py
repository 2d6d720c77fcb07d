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

    def head(self, status: int, length: int | None, **headers: str) -> None:
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


def reply(
    status: int, body: bytes = b"<html>no</html>", *, sized: bool = True, **headers: str
) -> Answer:
    """Answer with a status, a body, which may come without its length, and other headers."""

    def answer(handler: Handler) -> None:
        handler.head(status, len(body) if sized else None, **headers)
        handler.wfile.write(body)

    return answer
