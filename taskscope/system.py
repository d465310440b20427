"""The clock and the operating system as the interpreter provides them, whatever the program patched.

freezegun, pyfakefs and tests replace ``time.monotonic``, ``os.read`` or ``socket.socket``: in their modules,
and under every name that a loaded module has for them.  So we call attributes of the objects below, taken
from the built-in modules; those of ``time`` from a fresh copy, since it may be patched before our import.
"""

from __future__ import annotations

import _socket
import _thread
import fcntl
import posix
import select
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    _time = time
else:
    from _frozen_importlib import BuiltinImporter

    _spec = BuiltinImporter.find_spec(time.__name__)
    _time = BuiltinImporter.create_module(_spec)
    BuiltinImporter.exec_module(_time)


class _Clock:
    """Seconds; see the functions of these names in ``time``.  ``wall`` is ``time.time``."""

    monotonic = staticmethod(_time.monotonic)
    perf_counter = staticmethod(_time.perf_counter)
    process_time = staticmethod(_time.process_time)
    sleep = staticmethod(_time.sleep)
    thread_time = staticmethod(_time.thread_time)
    wall = staticmethod(_time.time)


class _System:
    """See the functions of these names in ``os``, ``fcntl``, ``select``, ``socket`` and ``_thread``."""

    access = staticmethod(posix.access)
    chmod = staticmethod(posix.chmod)
    close = staticmethod(posix.close)
    ioctl: staticmethod[[int, int, bytes], bytes] = staticmethod(fcntl.ioctl)
    fcntl = staticmethod(fcntl.fcntl)  # hides the module from here on
    fstat = staticmethod(posix.fstat)
    getcwd = staticmethod(posix.getcwd)
    geteuid = staticmethod(posix.geteuid)
    getpid = staticmethod(posix.getpid)
    getuid = staticmethod(posix.getuid)
    listdir = staticmethod(posix.listdir)
    lstat = staticmethod(posix.lstat)
    mkdir = staticmethod(posix.mkdir)
    open = staticmethod(posix.open)
    poll = staticmethod(select.poll)
    pread = staticmethod(posix.pread)
    read = staticmethod(posix.read)
    readlink = staticmethod(posix.readlink)
    rename = staticmethod(posix.rename)
    stat = staticmethod(posix.stat)
    sysconf = staticmethod(posix.sysconf)
    uname = staticmethod(posix.uname)
    unlink = staticmethod(posix.unlink)
    urandom = staticmethod(posix.urandom)
    write = staticmethod(posix.write)

    RLock = staticmethod(_thread.RLock)
    allocate_lock = staticmethod(_thread.allocate_lock)
    get_ident = staticmethod(_thread.get_ident)
    get_native_id = staticmethod(_thread.get_native_id)
    start_new_thread = staticmethod(_thread.start_new_thread)

    socket = _socket.socket

    def exists(self, path: str) -> bool:
        """Whether anything has this name, including a dangling link."""
        try:
            self.lstat(path)
        except OSError:
            return False
        return True

    def contents(self, path: str, most: int = 1 << 20) -> bytes:
        """The contents of a file in ``/proc`` or ``/sys``, at most ``most`` bytes.  Raises OSError."""
        descriptor = self.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
        try:
            parts = []
            while most > 0 and (part := self.read(descriptor, min(most, 65536))):
                parts.append(part)
                most -= len(part)
            return b"".join(parts)
        finally:
            self.close(descriptor)


clock = _Clock()
system = _System()
