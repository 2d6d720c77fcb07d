"""Fixtures for installing CIFAR-10: a datasets folder, bad servers, no other network."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from assignment.cifar10 import download
from tests.cifar10.bad_server import Answer, BadServer, running

NO_SERVER = "http://127.0.0.1:9/"  # the discard port, on which nothing listens


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails a test that reaches for any other computer, and lets none wait between two tries."""
    resolve = socket.getaddrinfo

    def guarded_resolve(host: Any, *args: Any, **keywords: Any) -> Any:
        assert host == "127.0.0.1", f"a test looks up {host}"
        return resolve(host, *args, **keywords)

    monkeypatch.setattr(socket, "getaddrinfo", guarded_resolve)
    monkeypatch.setattr(download, "RETRY_PAUSE", 0)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("CIFAR10_MIRRORS", NO_SERVER)


@pytest.fixture
def datasets(tmp_path: Path) -> Path:
    folder = tmp_path / "datasets"
    folder.mkdir()
    return folder


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., BadServer]]:
    """Starts a server of some answers and makes it the only mirror."""
    with ExitStack() as stack:

        def start(*answers: Answer) -> BadServer:
            server = stack.enter_context(running(*answers))
            monkeypatch.setenv("CIFAR10_MIRRORS", server.url)
            return server

        yield start
