"""The system call that a thread waits in, and the descriptors, or the process, that it waits on.

The kernel tells them, whatever made the call: Python, an extension, a library in C, another program.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from taskscope.kernel_calls import NAMES
from taskscope.system import system

MOST = 64
"""Descriptors of one call that are read."""

_POLLED = struct.Struct("ihh")

_BY_WAY = {
    "fd": "read write pread64 readv writev connect accept accept4 sendto recvfrom sendmsg recvmsg recvmmsg "
    "sendfile fcntl flock fsync fdatasync",
    "poll": "poll ppoll",
    "select": "select pselect6",
    "epoll": "epoll_wait epoll_pwait epoll_pwait2",
    "": "futex wait4 waitid nanosleep clock_nanosleep pause rt_sigtimedwait openat",
}
_HOW = {name: how for how, names in _BY_WAY.items() for name in names.split()}
"""Where the arguments of a system call hold descriptors."""


_WRITING = ("write", "pwrite64", "writev", "sendto", "sendmsg", "sendfile")
_READING = ("read", "pread64", "readv", "recvfrom", "recvmsg", "recvmmsg")
_IN, _OUT = 1, 4  # of poll and epoll
_PRIVATE = 128  # FUTEX_PRIVATE_FLAG: only threads of the same process can wake it


class On(NamedTuple):
    """A descriptor, and whether a call waits until it can read or write it; neither: for something else."""

    number: int
    reads: bool = False
    writes: bool = False


class SystemCall(NamedTuple):
    """``on``: descriptors it waits on, ``pid``: a process; 0: none, or any child.

    ``endless``: no time-out ends it.  ``inside``: only a thread of its own process can.
    """

    name: str
    on: tuple[On, ...] = ()
    endless: bool = False
    pid: int = 0
    inside: bool = False

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(each.number for each in self.on)


def of_thread(native: int, process: int | str = "self") -> SystemCall | None:
    """The call in which a thread waits; None if it runs, or this is unknown."""
    if not native:
        return None
    try:
        words = system.contents(f"/proc/{process}/task/{native}/syscall").split()
        number, given = int(words[0]), [int(each, 16) for each in words[1:7]]
        name = NAMES[number]
        how = _HOW[name]
        endless, inside = _is_endless(name, how, given), name == "futex" and given[1] & _PRIVATE != 0
        return SystemCall(name, _waited_on(name, how, given, process), endless, _pid(name, given), inside)
    except (OSError, ValueError, LookupError):
        return None


def _pid(name: str, given: list[int]) -> int:
    """The one process that a call waits for."""
    at = {"wait4": 0, "waitid": 1}.get(name)
    if at is None or (name == "waitid" and given[0] != 1):  # P_PID
        return 0
    pid = given[at] & 0xFFFFFFFF
    return pid if pid < 1 << 31 else 0  # -1: any


_TIMEOUT_AT = {"ppoll": 2, "select": 4, "pselect6": 4, "epoll_pwait2": 3, "futex": 3}
"""Where a pointer to the time-out is, 0 if there is none."""

_MILLISECONDS_AT = {"poll": 2, "epoll_wait": 3, "epoll_pwait": 3}
"""Where the time-out itself is, negative if there is none."""


def _is_endless(name: str, how: str, given: list[int]) -> bool:
    if name in _TIMEOUT_AT:
        return given[_TIMEOUT_AT[name]] == 0
    if name in _MILLISECONDS_AT:
        return given[_MILLISECONDS_AT[name]] & 0x80000000 != 0
    return how == "fd" or name in ("wait4", "waitid", "pause", "openat")


def _waited_on(name: str, how: str, given: list[int], process: int | str) -> tuple[On, ...]:
    """Raises OSError."""
    if how == "fd":
        return (On(given[0], name in _READING, name in _WRITING),)
    if how == "epoll":
        return watched_by(given[0], process) or (On(given[0], reads=True),)
    if how == "poll":
        data = _memory(given[0], min(given[1], MOST) * _POLLED.size, process)
        polled = (_on(number, events) for number, events, _ in _POLLED.iter_unpack(data) if number >= 0)
        return tuple(polled)
    if how == "select":
        most = min(given[0], 1024)
        sets = [_memory(at, (most + 63) // 64 * 8, process) if at and most else b"" for at in given[1:4]]
        reads, writes, errors = (int.from_bytes(each, "little") for each in sets)
        bits = reads | writes | errors
        found = (On(n, bool(reads >> n & 1), bool(writes >> n & 1)) for n in range(most) if bits >> n & 1)
        return tuple(found)[:MOST]
    return ()


def _on(number: int, events: int) -> On:
    return On(number, bool(events & _IN), bool(events & _OUT))


def watched_by(epoll: int, process: int | str = "self", most: int | None = MOST) -> tuple[On, ...]:
    """What an epoll descriptor watches.  Raises OSError."""
    lines = (each.split() for each in system.contents(f"/proc/{process}/fdinfo/{epoll}").split(b"\n"))
    return tuple(_on(int(each[1]), int(each[3], 16)) for each in lines if each[:1] == [b"tfd:"])[:most]


def _memory(address: int, length: int, process: int | str) -> bytes:
    """Memory of a process as the kernel reads it: an address that is gone is an error.  Raises OSError."""
    descriptor = system.open(f"/proc/{process}/mem", 0o2000000)
    try:
        return system.pread(descriptor, length, address)
    finally:
        system.close(descriptor)
