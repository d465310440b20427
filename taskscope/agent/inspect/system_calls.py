"""The system call that a thread of this process waits in, and the descriptors it waits on.

The kernel tells both, whatever made the call: Python, an extension, a library in C.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from taskscope.system import system

MOST = 64
"""Descriptors of one call that are read."""

_POLLED = struct.Struct("ihh")

_MACHINES = ("x86_64", "aarch64")
_FD = {"read": (0, 63), "write": (1, 64), "pread64": (17, 67), "readv": (19, 65), "writev": (20, 66)}
_FD |= {"connect": (42, 203), "accept": (43, 202), "accept4": (288, 242), "sendto": (44, 206)}
_FD |= {"recvfrom": (45, 207), "sendmsg": (46, 211), "recvmsg": (47, 212), "recvmmsg": (299, 243)}
_FD |= {"sendfile": (40, 71), "fcntl": (72, 25), "flock": (73, 32), "fsync": (74, 82), "fdatasync": (75, 83)}
_NONE = {"futex": (202, 98), "wait4": (61, 260), "waitid": (247, 95), "nanosleep": (35, 101)}
_NONE |= {
    "clock_nanosleep": (230, 115),
    "pause": (34, -1),
    "rt_sigtimedwait": (128, 137),
    "openat": (257, 56),
}
_NUMBERS: dict[str, dict[str, tuple[int, int]]] = {
    "fd": _FD,
    "poll": {"poll": (7, -1), "ppoll": (271, 73)},
    "select": {"select": (23, -1), "pselect6": (270, 72)},
    "epoll": {"epoll_wait": (232, -1), "epoll_pwait": (281, 22), "epoll_pwait2": (441, 441)},
    "": _NONE,
}
"""Numbers of system calls on each machine, by where their arguments hold descriptors."""

_machine = system.uname().machine
_CALLS: dict[int, tuple[str, str]] = {
    numbers[_MACHINES.index(_machine)]: (name, how)
    for how, names in _NUMBERS.items()
    for name, numbers in names.items()
    if _machine in _MACHINES
}


class SystemCall(NamedTuple):
    """``numbers``: descriptors it waits on.  ``endless``: no time-out ends it."""

    name: str
    numbers: tuple[int, ...] = ()
    endless: bool = False


def of_thread(native: int) -> SystemCall | None:
    """The call in which a thread waits; None if it runs, or this is unknown."""
    if not native:
        return None
    try:
        words = system.contents(f"/proc/self/task/{native}/syscall").split()
        number, given = int(words[0]), [int(each, 16) for each in words[1:7]]
        name, how = _CALLS[number]
        return SystemCall(name, _numbers(how, given), _is_endless(name, how, given))
    except (OSError, ValueError, LookupError):
        return None


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


def _numbers(how: str, given: list[int]) -> tuple[int, ...]:
    """Raises OSError."""
    if how == "fd":
        return (given[0],)
    if how == "epoll":
        return watched_by(given[0]) or (given[0],)
    if how == "poll":
        data = _memory(given[0], min(given[1], MOST) * _POLLED.size)
        return tuple(each[0] for each in _POLLED.iter_unpack(data) if each[0] >= 0)
    if how == "select":
        most = min(given[0], 1024)
        sets = [_memory(at, (most + 63) // 64 * 8) for at in given[1:4] if at and most]
        bits = 0
        for each in sets:
            bits |= int.from_bytes(each, "little")
        return tuple(number for number in range(most) if bits >> number & 1)[:MOST]
    return ()


def watched_by(epoll: int) -> tuple[int, ...]:
    """The descriptors that an epoll descriptor watches.  Raises OSError."""
    lines = system.contents(f"/proc/self/fdinfo/{epoll}").split(b"\n")
    return tuple(int(each.split()[1]) for each in lines if each.startswith(b"tfd:"))[:MOST]


def _memory(address: int, length: int) -> bytes:
    """Memory of this process as the kernel reads it: an address that is gone is an error.  Raises OSError."""
    descriptor = system.open("/proc/self/mem", 0o2000000)
    try:
        return system.pread(descriptor, length, address)
    finally:
        system.close(descriptor)
