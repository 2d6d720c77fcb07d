"""One kernel of a graded run: started in a sandbox, run cell by cell, never trusted.

    start -> connect to its sockets -> freeze their folder -> run(cell) ... -> stop

It is nbval's kernel, with these differences: it lives in a sandbox and is reached through Unix
sockets; a cell has a hard deadline, in the sandbox's own time; its messages are counted, and too
large ones are not received; its death is noticed at once.
"""

import contextlib
import math
import signal
import socket
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from nbval.kernel import RunningKernel

from assignment.checks.graded import MIMETYPE
from gradkit.autograder.own_time import OwnTime
from gradkit.autograder.sandbox import Isolation, SandboxConfig, freeze_socket_dir
from gradkit.autograder.sandbox.bwrap import sandbox_root
from gradkit.autograder.sandbox.provisioner import KERNEL_SPEC, SandboxProvisioner
from gradkit.errors import GradkitError

# Seconds of the sandbox's own time (gradkit.autograder.own_time)
START_TIMEOUT = 60.0
GRACE_SECONDS = 1.0  # for an interrupted cell to send its traceback
MAX_SUSPENDED = 30.0  # stopped or waiting for a disk, in one cell

CONNECT_INTERVAL = 0.005  # seconds between two tries to connect to a socket
ALIVE_INTERVAL = 0.1  # seconds after which a silent kernel is checked to be alive
ENDED_TIMEOUT = 10.0  # seconds for the watchdog to notice that its kernel has ended

# Signals that a program gets for an error of its own. Any other one may have come from outside.
FAULTS = (
    *(signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGSYS),
    *(signal.SIGTRAP, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGXCPU),
)

# An outcome has at most 1.4 MB. A kernel that sends a larger message is cut off, so that the
# grader's memory never holds more than a few of them.
MAX_MESSAGE = 2_000_000  # bytes
MAX_WAITING = 10  # messages
MAX_OUTPUT = 8_000_000  # bytes of all messages of one cell
MAX_PARTS = 100  # of a message; Jupyter's have seven


class KernelError(GradkitError):
    """A kernel did not start, or was lost without anything seen that the submission did."""


@dataclass
class CellRun:
    """The result of running a cell; `outcome` and `error` are as received, and not trusted.

    `status` is "done", "timed out", "flooded" (it put out too much), "stopped" (by the watchdog,
    beyond a limit), "died" (the kernel ended by itself), or "lost" (the kernel stood still, or was
    ended by a signal, which may have come from outside).

    `seconds` is the time until the outcome, or until the cell's end if it displayed no outcome.
    `own_seconds` is the sandbox's own time meanwhile, and `cpu_seconds` the processor time of all
    its processes, both read from outside it.
    """

    status: str = "done"
    reason: str = ""  # a sentence for the student, unless it is done
    outcome: Any = None  # the first that was displayed
    error: tuple[Any, ...] = ()  # name, text and traceback of an exception
    seconds: float = 0.0
    own_seconds: float = 0.0
    cpu_seconds: float = 0.0
    received: int = 0  # bytes


class Kernel(RunningKernel):
    """A running kernel in a sandbox; raises KernelError if it does not start."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.km = _Manager(
            transport="ipc",
            ip=config.sockets,
            connection_file=str(config.socket_dir / "kernel.json"),
        )
        self._provisioner = SandboxProvisioner(
            parent=self.km, kernel_spec=KERNEL_SPEC, sandbox=config
        )
        self.km.provisioner = self._provisioner
        self.kc: Any = None
        self.km.start_kernel()
        watchdog = self._provisioner.watchdog
        self._own_time = OwnTime(lambda: {watchdog.process.pid, *watchdog.processes()})
        try:
            self._connect()
        except BaseException:
            self.stop()
            raise

    def run(self, source: str, seconds: float, attached: Sequence[bytes] = ()) -> CellRun:
        """Run a cell for `seconds` of own time; then interrupt it and wait for its traceback.

        `attached` are the buffers of the request, which code in the cell can read.
        """
        own_time = self._own_time
        own_time.update(force=True)
        own, cpu = own_time.seconds, own_time.cpu_seconds
        run = self._run(source, seconds, attached)
        own_time.update(force=True)
        run.own_seconds, run.cpu_seconds = own_time.seconds - own, own_time.cpu_seconds - cpu
        return run

    def _run(self, source: str, seconds: float, attached: Sequence[bytes]) -> CellRun:
        run, own_time, start = CellRun(), self._own_time, time.monotonic()
        deadline, max_suspended = own_time.seconds + seconds, own_time.suspended + MAX_SUSPENDED
        try:
            request = self._request(source, attached)
        except zmq.ZMQError:  # it has ended, or closed its sockets
            run.status, run.reason = "died", "The Python that ran it took no more cells."
            if not self.is_alive():
                run.status, run.reason = self._end()
            return run
        replied = math.inf
        while True:
            own_time.update()
            now = own_time.seconds
            if now > deadline and not run.reason:
                run.status = "timed out"
                run.reason = f"It was stopped after {seconds:g} seconds."
                self._interrupt()
                deadline += GRACE_SECONDS
            if now > deadline or now > replied + GRACE_SECONDS:
                break
            if own_time.suspended > max_suspended:
                run.status = "lost"
                run.reason = f"The Python that ran it stood still for {MAX_SUSPENDED:g} seconds."
                break
            messages = self._receive(ALIVE_INTERVAL, run)
            if run.received > MAX_OUTPUT:
                run.status = "flooded"
                run.reason = f"It put out more than {MAX_OUTPUT:,} bytes."
                break
            if not messages and not self.is_alive():
                run.status, run.reason = self._end()
                break
            for channel, message in messages:
                if message["parent_header"].get("msg_id") != request:
                    continue
                if channel == "shell":
                    replied = min(replied, own_time.seconds)
                elif self._handle_message(message, run):
                    run.seconds = run.seconds or time.monotonic() - start
                    return run
                elif run.outcome is not None and not run.seconds:
                    run.seconds = time.monotonic() - start
        run.seconds = time.monotonic() - start
        return run

    def _request(self, source: str, attached: Sequence[bytes]) -> str:
        """Send a cell to the kernel, and return the request's id."""
        unset = dict.fromkeys(("silent", "store_history", "allow_stdin", "stop_on_error"), False)
        content = {"code": source, "user_expressions": {}, **unset}
        message = self.kc.session.msg("execute_request", content)
        self.kc.shell_channel.send({**message, "buffers": attached})
        return str(message["header"]["msg_id"])

    def is_alive(self) -> bool:
        process = self._provisioner.process
        return process is not None and process.poll() is None

    def _end(self) -> tuple[str, str]:
        """Return how a dead kernel ended, and a sentence on it."""
        watchdog = self._provisioner.watchdog
        watchdog.join(timeout=ENDED_TIMEOUT)
        if watchdog.reason:
            return "stopped", watchdog.reason
        code = watchdog.process.returncode
        number = -code if code < 0 else code - 128  # bubblewrap reports a signal as 128 + number
        if number <= 0 or number in FAULTS:
            return "died", "The Python that ran it ended."
        return "lost", f"The Python that ran it was ended by signal {number}."

    def stop(self) -> None:
        """Kill the kernel and all processes that it has started."""
        self.km.shutdown_kernel(now=True)
        for connected in (self.kc, self.km):
            if connected:
                connected.context.destroy(linger=0)

    def _connect(self) -> None:
        """Wait for the sockets, connect to them, and check that messages pass through."""
        while not (sockets := self._listening_sockets()):
            self._require_started()
            time.sleep(CONNECT_INTERVAL)
        self.kc = self.km.client(ip=sockets)
        self.kc.start_channels(stdin=False, hb=False)
        while True:  # the first replies may be sent before iopub has been subscribed to
            try:
                request, asked = self.kc.kernel_info(), time.monotonic()
            except zmq.ZMQError:  # its sockets are closed
                self._require_started()
                raise KernelError("The kernel did not start: it takes no messages.") from None
            while time.monotonic() < asked + 0.2:
                self._require_started()
                for channel, message in self._receive(0.05, CellRun()):
                    if channel == "iopub" and message["parent_header"].get("msg_id") == request:
                        freeze_socket_dir(self.config)
                        return

    def _listening_sockets(self) -> str:
        """Return what the sockets' paths begin with, seen from here; "" until all listen."""
        root: Path | None = Path("/")
        if self.config.isolation is Isolation.SANDBOX and self._provisioner.process:
            root = sandbox_root(self._provisioner.process)
        if root is None:
            return ""
        info: dict[str, Any] = {**self.km.get_connection_info()}
        sockets = str(root / self.config.sockets.removeprefix("/"))
        paths = [Path(f"{sockets}-{info[f'{name}_port']}") for name in _SOCKET_TYPES]
        return sockets if all(map(_accepts_connections, paths)) else ""

    def _require_started(self) -> None:
        self._own_time.update()
        if not self.is_alive():
            raise KernelError(f"The kernel did not start. {self._end()[1]}")
        if self._own_time.seconds > START_TIMEOUT:
            raise KernelError(f"The kernel did not start within {START_TIMEOUT:g} seconds.")
        if self._own_time.suspended > MAX_SUSPENDED:
            raise KernelError(f"The kernel stood still for {MAX_SUSPENDED:g} seconds.")

    def _receive(self, seconds: float, run: CellRun) -> list[tuple[str, Any]]:
        """Wait at most `seconds` for messages, and return at most one of each channel.

        Each comes with the channel's name. Bytes that are not a message are counted and dropped.
        """
        sockets = {self.kc.iopub_channel.socket: "iopub", self.kc.shell_channel.socket: "shell"}
        poller = zmq.Poller()
        for channel in sockets:
            poller.register(channel, zmq.POLLIN)
        messages: list[tuple[str, Any]] = []
        for channel, _ in poller.poll(int(1000 * seconds)):
            frames = [channel.recv()]
            while channel.rcvmore and len(frames) < MAX_PARTS:
                frames.append(channel.recv())
            run.received += sum(map(len, frames))
            # Millions of parts take minutes; a sandbox that ends meanwhile ends this process, too
            # (an assertion of ZeroMQ's). The rest is never read: the kernel is cut off.
            if channel.rcvmore:
                run.received += MAX_OUTPUT + 1
                return messages
            try:
                _, frames = self.kc.session.feed_identities(frames)
                message = self.kc.session.deserialize(frames)
                if isinstance(message["parent_header"], dict) and isinstance(
                    message["content"], dict
                ):
                    messages.append((sockets[channel], message))
            except Exception:  # forged or damaged
                continue
        return messages

    def _handle_message(self, message: Any, run: CellRun) -> bool:
        """Store a message's outcome or error in `run`; return True if the cell has ended."""
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


def _accepts_connections(path: Path) -> bool:
    """Return True if a socket exists and listens; the client tries to connect only once."""
    try:
        with socket.socket(socket.AF_UNIX) as trial:
            trial.connect(str(path))
            return stat.S_ISSOCK(path.lstat().st_mode)
    except OSError:
        return False


class _Client(BlockingKernelClient):
    """A client that connects once, to the sockets made before any student code ran.

    It does not reconnect to a closed socket: another one, or a link, may lie there by then.
    """

    def _create_connected_socket(self, channel: str, identity: bytes | None = None) -> Any:
        connected = self.context.socket(_SOCKET_TYPES[channel])
        connected.linger = 0
        connected.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
        connected.setsockopt(zmq.RCVHWM, MAX_WAITING)
        connected.setsockopt(zmq.SNDTIMEO, 1000)  # ms; a closed socket would block for ever
        connected.setsockopt(zmq.RECONNECT_IVL, -1)
        if identity:
            connected.identity = identity
        connected.connect(self._make_url(channel))
        return connected


_SOCKET_TYPES = {"shell": zmq.DEALER, "iopub": zmq.SUB, "control": zmq.DEALER}


class _Manager(KernelManager):
    client_factory = _Client
    kernel_spec = KERNEL_SPEC

    def _context_default(self) -> zmq.Context[Any]:
        return zmq.Context()
