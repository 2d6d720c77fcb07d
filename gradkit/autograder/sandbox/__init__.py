"""The sandbox: student code runs in it, and can reach nothing except its own files.

    config          its settings: folders to read, folder of the sockets, user, limits
    seccomp         the filter of system calls
    bwrap           a command as bubblewrap runs it
    separate_user   a command as another user runs it, where bubblewrap cannot
    launch          the start and the end of a command in a sandbox; the self-test
    watchdog        kills a sandbox that exceeds its limits
    provisioner     lets Jupyter start its kernels in sandboxes

In: the student's tree and the data, read-only. Out: the kernel's messages, through Unix sockets in
a folder of its own. The sandbox has no network, sees no other process, and reads no file except
those of the interpreter, the system's libraries and the folders named in its settings. Its /tmp has
a fixed size and ends with it. The filter refuses system calls that use memory which counts as no
process's own, or that reach the kernel's less tested parts.

Containers forbid what bubblewrap needs. In a container root can still let another user run the
code: it then has no network and no privileges, and cannot read files closed to that user, as the
instructor's tree must be. But it sees the container's other files and processes, and its files in
/tmp stay there. That suffices where each container grades one submission.
"""

from gradkit.autograder.sandbox.bwrap import end_sandboxes
from gradkit.autograder.sandbox.config import WORK, Isolation, SandboxConfig, SandboxError
from gradkit.autograder.sandbox.launch import FIRST_FREE_UID, open_sandbox, self_test

__all__ = [
    "FIRST_FREE_UID",
    "WORK",
    "Isolation",
    "SandboxConfig",
    "SandboxError",
    "end_sandboxes",
    "open_sandbox",
    "self_test",
]
