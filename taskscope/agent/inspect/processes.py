"""Other processes: their threads, children, and what the kernel lets us see of them."""

from __future__ import annotations

from taskscope.system import system

MOST = 1_000
"""Processes below this one that are looked at."""

MOST_THREADS = 16
"""Threads of another process that are looked at: 40 microseconds each."""

_TIMERS = sum(1 << (signal - 1) for signal in (14, 26, 27))  # SIGALRM, SIGVTALRM, SIGPROF


def threads_of(pid: int) -> list[int]:
    """The kernel's ids of its threads; none if it has ended, or has more than a look can take."""
    found = [int(each) for each in _listed(f"/proc/{pid}/task")]
    return found if len(found) <= MOST_THREADS else []


def children_of(pid: int) -> list[int]:
    """0: of this process."""
    who = pid or "self"
    lists = (_contents(f"/proc/{who}/task/{each}/children") for each in _listed(f"/proc/{who}/task"))
    return [int(each) for found in lists for each in found.split()]


def behind(number: int) -> int:
    """The pid of the process that a descriptor of this one stands for; 0: none."""
    for line in _contents(f"/proc/self/fdinfo/{number}").split(b"\n"):
        if line.startswith(b"Pid:"):
            return max(0, int(line.split()[1]))
    return 0


def name_of(pid: int) -> str:
    return _contents(f"/proc/{pid}/comm").decode("utf-8", "replace").strip()


def has_timers(pid: int) -> bool:
    """Whether it catches the signals of timers, which need no other process to come."""
    for line in _contents(f"/proc/{pid}/status").split(b"\n"):
        if line.startswith(b"SigCgt:"):
            return int(line.split()[1], 16) & _TIMERS != 0
    return True


def are_readable() -> bool:
    """Whether the descriptors of all processes below this one can be seen."""
    left, seen = children_of(0), 0
    while left and seen < MOST:
        pid = left.pop()
        seen += 1
        try:
            system.listdir(f"/proc/{pid}/fd")
        except PermissionError:
            return False
        except OSError:  # it has ended
            continue
        left += children_of(pid)
    return not left


def _contents(path: str) -> bytes:
    try:
        return system.contents(path, 1 << 16)
    except OSError:
        return b""


def _listed(path: str) -> list[str]:
    try:
        return system.listdir(path)
    except OSError:
        return []
