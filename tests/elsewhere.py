"""Runs TaskScope or a program as on macOS, as far as Linux can show it: ``python -m tests.elsewhere …``.

What follows is a program (``x.py``) or a verb of TaskScope with its arguments.  It runs without the names
that Python lacks on macOS, and with ``sys.platform`` changed once the standard library is loaded.
`without_proc` takes ``/proc`` away as well.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # noqa: F401  (loaded before the platform changes)
import importlib
import re
import runpy
import selectors
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import _socket

_OF_SOCKET = r"SO_PEERCRED|MSG_NOSIGNAL|SOCK_(CLOEXEC|NONBLOCK)|(AF|PF)_(NETLINK|PACKET|VSOCK|ALG|TIPC|CAN)"
_OF_OS = r"O_(PATH|TMPFILE|NOATIME)|sched_.*|pidfd_open|memfd_create|eventfd.*|splice|.*xattr"
_ABSENT = {
    "socket": _OF_SOCKET,
    "_socket": _OF_SOCKET,
    "os": _OF_OS,
    "posix": _OF_OS,
    "select": "epoll|EPOLL.*",
    "resource": "prlimit|RLIMIT_(MSGQUEUE|NICE|OFILE|RTPRIO|RTTIME|SIGPENDING)",
    "fcntl": "F_(ADD|GET)_SEALS|F_(SET|GET)PIPE_SZ|F_SEAL.*|F_NOTIFY|F_(SET|GET)LEASE|DN_.*",
    "signal": "SIGRT.*|SIGPWR|SIGPOLL|SIGSTKFLT|sigwaitinfo|sigtimedwait",
    "time": "CLOCK_(BOOTTIME|TAI)|pthread_getcpuclockid",
}


def become_mac() -> None:
    """From here on."""
    from taskscope import endpoint

    selectors.DefaultSelector = selectors.SelectSelector  # type: ignore[misc, assignment]
    tempfile._O_TMPFILE_WORKS = False  # type: ignore[attr-defined]
    credentials = socket.SO_PEERCRED
    for name, absent in _ABSENT.items():
        module = importlib.import_module(name)
        for attribute in [each for each in vars(module) if re.fullmatch(absent, each)]:
            delattr(module, attribute)
    sys.platform = "darwin"

    def peer(connection: _socket.socket) -> endpoint.Peer:  # this kernel has no LOCAL_PEERCRED
        found = connection.getsockopt(socket.SOL_SOCKET, credentials, 12)
        return endpoint.Peer(*struct.unpack("3i", found)[:2])

    endpoint._peer_on_mac = peer


def without_proc(*command: str) -> list[str]:
    """A command that runs ``command`` with an empty ``/proc``; skips the test if that takes more rights."""
    apart = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"]
    if shutil.which("unshare") is None or subprocess.run([*apart, "true"], capture_output=True).returncode:
        pytest.skip("only root can take /proc away")
    return [*apart, *command]


if __name__ == "__main__":
    asyncio.new_event_loop().close()  # loads what it needs
    become_mac()
    del sys.argv[0]
    if sys.argv[0].endswith(".py"):
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        from taskscope.__main__ import main

        sys.exit(main(sys.argv))
