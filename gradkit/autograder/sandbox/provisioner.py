"""Jupyter's way into the sandbox: a provisioner that starts each kernel there, under a watchdog."""

import contextlib
import os
import subprocess
import sys
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Any as AnyTrait

from gradkit.autograder.sandbox import kill_sandbox, launch
from gradkit.autograder.sandbox.watchdog import Watchdog


class SandboxProvisioner(LocalProvisioner):
    """A provisioner that starts a kernel in a sandbox."""

    sandbox: Any = AnyTrait()  # a SandboxConfig
    watchdog: Watchdog

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        kwargs = await super().pre_launch(**kwargs)
        if self.sandbox.uid is not None and self.parent:
            os.lchown(self.parent.connection_file, self.sandbox.uid, self.sandbox.uid)
        return kwargs

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        self.process = launch(cmd, self.sandbox)
        self.watchdog = Watchdog(self.process, self.sandbox)
        self.watchdog.start()
        return self.connection_info

    async def send_signal(self, signum: int) -> None:
        """Kill the kernel at once, whatever the signal, with all processes that it started."""
        if self.process:
            kill_sandbox(self.process, self.sandbox)
            # Else jupyter_client checks whether it has ended, and then sleeps 0.1 seconds.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=1.0)


# `python -m ipykernel_launcher` without the debugger, whose import takes a third of a kernel's
# start; the kernel does without where it is missing. Imports leave no garbage, so that collecting
# it meanwhile is time lost.
_LAUNCHER = """
import gc, sys
sys.path.remove("")
sys.modules["debugpy"] = None
gc.disable()
from ipykernel import kernelapp
gc.enable()
kernelapp.launch_new_instance()
"""

KERNEL_SPEC = KernelSpec(
    argv=[
        sys.executable,
        *("-c", _LAUNCHER, "-f", "{connection_file}"),
        *("--HistoryManager.enabled=False", "--IPKernelApp.log_level=CRITICAL"),
        "--IPKernelApp.outstream_class=None",  # output goes nowhere, however much is printed
    ],
    display_name="Python in a sandbox",
    language="python",
)
