"""System calls by name and number: the kernel numbers them differently on each kind of machine."""

from __future__ import annotations

from taskscope.system import system

_MACHINES = ("x86_64", "aarch64")

_NUMBERS = {
    "accept": (43, 202), "accept4": (288, 242), "clock_nanosleep": (230, 115), "close": (3, 57),
    "connect": (42, 203), "epoll_pwait": (281, 22), "epoll_pwait2": (441, 441), "epoll_wait": (232, -1),
    "fcntl": (72, 25), "fdatasync": (75, 83), "flock": (73, 32), "fsync": (74, 82), "futex": (202, 98),
    "io_getevents": (208, 4), "io_uring_enter": (426, 426), "madvise": (28, 233), "mmap": (9, 222),
    "munmap": (11, 215), "nanosleep": (35, 101), "newfstatat": (262, 79), "openat": (257, 56),
    "pause": (34, -1), "pipe2": (293, 59), "poll": (7, -1), "ppoll": (271, 73), "pread64": (17, 67),
    "pselect6": (270, 72), "read": (0, 63), "readv": (19, 65), "recvfrom": (45, 207), "recvmmsg": (299, 243),
    "recvmsg": (47, 212), "restart_syscall": (219, 128), "rt_sigsuspend": (130, 133),
    "rt_sigtimedwait": (128, 137), "select": (23, -1), "sendfile": (40, 71), "sendmsg": (46, 211),
    "sendto": (44, 206), "wait4": (61, 260), "waitid": (247, 95), "write": (1, 64), "writev": (20, 66),
}  # fmt: skip
"""On each machine; -1: it has none of that name."""


NUMBERS = {
    machine: {name: each[column] for name, each in _NUMBERS.items() if each[column] >= 0}
    for column, machine in enumerate(_MACHINES)
}
"""By the machine, as ``uname`` calls it, and by name."""

HERE = NUMBERS.get(system.uname().machine, {})
"""By name, on this machine; none if it is not known."""

NAMES = {number: name for name, number in HERE.items()}
"""By number, on this machine."""
