"""One kernel of a graded run: started in a room, run cell by cell, never trusted.

nbval's kernel, with these differences: it lives in a sandbox and is reached through Unix sockets;
a cell has a hard deadline; what it sends is counted, and what is too large is not received; that it
died is noticed at once.
"""

import contextlib
import socket
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from nbval.kernel import RunningKernel

from assignment.checks.graded import MIMETYPE
from gradkit.autograder.sandbox import SandboxConfig, freeze_socket_dir, kernel_spec
from gradkit.errors import GradkitError

START_SECONDS = 60.0
LOOK = 0.1  # seconds between two looks whether a silent kernel is alive
GRACE = 1.0  # seconds that an interrupted cell has to say where it was

# An outcome has 1.4 MB at the most. A kernel that sends a larger message is cut off, so that no
# more than a few of them are ever in the grader's memory.
MAX_MESSAGE = 2_000_000
MAX_WAITING = 10  # messages
MAX_OUTPUT = 8_000_000  # bytes of all messages of one cell


class KernelError(GradkitError):
    """A kernel did not start, which is not the student's doing."""


@dataclass
class CellRun:
    """What came of running a cell.

    Attributes
    ----------
    end : str
        "done"; or "timed out", "died", "flooded".
    why : str
        A sentence for the student, where it is not "done".
    outcome : object
        What was displayed as an outcome, as it came.
    error : tuple
        Name, text and traceback of an exception, as they came; empty where there was none.
    seconds : float
        From the request to the outcome, or to the end where there was none.
    """

    end: str = "done"
    why: str = ""
    outcome: Any = None
    error: tuple[Any, ...] = ()
    seconds: float = 0.0
    received: int = field(default=0, repr=False)


class Kernel(RunningKernel):
    """A running kernel in a room.

    Raises
    ------
    KernelError
        It did not start.
    """

    def __init__(self, room: SandboxConfig) -> None:
        self.room = room
        self.km = _Manager(
            kernel_spec_manager=_OneSpec(room),
            transport="ipc",
            ip=str(room.private / "s"),
            connection_file=str(room.private / "kernel.json"),
        )
        self.km.start_kernel()
        self.kc = self.km.client()
        try:
            self._connect()
        except BaseException:
            self.stop()
            raise

    def run(self, source: str, seconds: float) -> CellRun:
        """Run a cell for at most `seconds`, and a little to let it say where it was."""
        run = CellRun()
        start = time.monotonic()
        deadline = start + seconds
        try:
            request = self.kc.execute(
                source, store_history=False, allow_stdin=False, stop_on_error=False
            )
        except zmq.ZMQError:  # it has closed its sockets
            return CellRun("died", "The Python that ran it took no more cells.")
        replied = None
        while True:
            now = time.monotonic()
            if now > deadline and not run.why:
                run.end, run.why = "timed out", f"It was stopped after {seconds:g} seconds."
                self._interrupt()
                deadline += GRACE
            if now > deadline or (replied and now > replied + GRACE):
                break
            messages = self._receive(min(LOOK, max(0.0, deadline - now)), run)
            if run.received > MAX_OUTPUT:
                run.end, run.why = "flooded", f"It put out more than {MAX_OUTPUT:,} bytes."
                break
            if not messages and not self.is_alive():
                run.end, run.why = "died", self.last_words()
                break
            for channel, message in messages:
                if message["parent_header"].get("msg_id") != request:
                    continue
                if channel == "shell":
                    replied = replied or time.monotonic()
                elif self._take(message, run):
                    run.seconds = run.seconds or time.monotonic() - start
                    return run
                elif run.outcome is not None and not run.seconds:
                    run.seconds = time.monotonic() - start
        run.seconds = time.monotonic() - start
        return run

    @property
    def _provisioner(self) -> Any:
        return self.km.provisioner

    def is_alive(self) -> bool:
        process = self._provisioner and self._provisioner.process
        return process is not None and process.poll() is None

    def last_words(self) -> str:
        """Why a kernel that is no longer alive has ended."""
        watchdog = self._provisioner and self._provisioner.watchdog
        if watchdog is not None:
            watchdog.join(timeout=1.0)
            if watchdog.found:
                return str(watchdog.found)
        return "The Python that ran it ended."

    def stop(self) -> None:
        """Kill it, and all that it has started."""
        self.km.shutdown_kernel(now=True)
        for context in {self.kc.context, self.km.context}:
            context.destroy(linger=0)

    def _connect(self) -> None:
        """Wait for the sockets, connect to them, and see that messages come through."""
        end = time.monotonic() + START_SECONDS
        info: dict[str, Any] = {**self.km.get_connection_info()}
        sockets = [Path(f"{info['ip']}-{info[f'{name}_port']}") for name in _CHANNELS]
        while not all(map(_listens, sockets)):
            self._require_started(end)
            time.sleep(0.005)
        self.kc.start_channels(stdin=False, hb=False)
        while True:  # the first answers may come before iopub has been subscribed to
            request, asked = self.kc.kernel_info(), time.monotonic()
            while time.monotonic() < asked + 0.2:
                self._require_started(end)
                for channel, message in self._receive(0.05, CellRun()):
                    answer_key = message["parent_header"].get("msg_id") == request
                    if channel == "iopub" and answer_key:
                        freeze_socket_dir(self.room)
                        return

    def _require_started(self, end: float) -> None:
        if not self.is_alive():
            raise KernelError(f"The kernel did not start: {self.last_words()}")
        if time.monotonic() > end:
            raise KernelError(f"The kernel did not start within {START_SECONDS:g} seconds.")

    def _receive(self, seconds: float, run: CellRun) -> list[tuple[str, Any]]:
        """What came within some seconds, a message of each channel at most.

        What is no message is dropped.
        """
        sockets = {self.kc.iopub_channel.socket: "iopub", self.kc.shell_channel.socket: "shell"}
        poller = zmq.Poller()
        for channel in sockets:
            poller.register(channel, zmq.POLLIN)
        messages = []
        for channel, _ in poller.poll(int(1000 * seconds)):
            frames = channel.recv_multipart()
            run.received += sum(map(len, frames))
            try:
                _, frames = self.kc.session.feed_identities(frames)
                message = self.kc.session.deserialize(frames)
                if isinstance(message["parent_header"], dict) and isinstance(
                    message["content"], dict
                ):
                    messages.append((sockets[channel], message))
            except Exception:  # forged or damaged: nobody's message
                continue
        return messages

    def _take(self, message: Any, run: CellRun) -> bool:
        """Take from a message what matters; whether the cell has ended."""
        content = message["content"]
        match message.get("msg_type"):
            case "display_data":
                data = content.get("data")
                # The first: a later one could have been computed after the clock was stopped.
                if isinstance(data, dict) and MIMETYPE in data and run.outcome is None:
                    run.outcome = data[MIMETYPE]
            case "error":
                run.error = tuple(content.get(key) for key in ("ename", "evalue", "traceback"))
            case "status":
                return bool(content.get("execution_state") == "idle")
        return False

    def _interrupt(self) -> None:
        with contextlib.suppress(Exception):
            channel = self.kc.control_channel
            channel.send(self.kc.session.msg("interrupt_request", content={}))


_CHANNELS = ("shell", "iopub", "control")


def _listens(path: Path) -> bool:
    """Whether a socket is there and takes connections: ours are tried only once."""
    try:
        with socket.socket(socket.AF_UNIX) as trial:
            trial.connect(str(path))
            return stat.S_ISSOCK(path.lstat().st_mode)
    except OSError:
        return False


class _Client(BlockingKernelClient):
    """Connects once, to the sockets that the kernel made before any code of a student's ran.

    A socket that closes is not connected to again: another one, or a link, may be there by then.
    """

    def _create_connected_socket(self, channel: str, identity: bytes | None = None) -> Any:
        connected = self.context.socket(_SOCKET_TYPES[channel])
        connected.linger = 0
        connected.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
        connected.setsockopt(zmq.RCVHWM, MAX_WAITING)
        connected.setsockopt(zmq.SNDTIMEO, 1000)  # ms; to a socket that was closed nothing goes
        connected.setsockopt(zmq.RECONNECT_IVL, -1)
        if identity:
            connected.identity = identity
        connected.connect(self._make_url(channel))
        return connected


_SOCKET_TYPES = {"shell": zmq.DEALER, "iopub": zmq.SUB, "control": zmq.DEALER}


class _Manager(KernelManager):
    client_factory = _Client

    def _context_default(self) -> zmq.Context[Any]:
        return zmq.Context()


class _OneSpec(KernelSpecManager):
    """Knows one kernel, whatever the name."""

    def __init__(self, room: SandboxConfig) -> None:
        super().__init__()
        self.spec = kernel_spec(room)

    def get_kernel_spec(self, kernel_name: str) -> Any:
        return self.spec
