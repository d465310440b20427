"""Whether a thread got the CPU it wanted, and who had it instead."""

from __future__ import annotations

from typing import NamedTuple

from taskscope import cgroups
from taskscope.system import system

_TICK = system.sysconf("SC_CLK_TCK")


class Taken(NamedTuple):
    """Seconds of CPU time so far that the hypervisor gave to other machines, per CPU, and that the control
    group's quota withheld.
    """

    stolen: float
    throttled: float


def delay_of(native: int) -> float | None:
    """Seconds that a thread of this process was ready to run and waited for a CPU; None: unknown."""
    try:
        return int(system.contents(f"/proc/self/task/{native}/schedstat").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def taken() -> Taken:
    """What others took so far; 0 where that is not told."""
    return Taken(_stolen(), cgroups.throttled())


def _stolen() -> float:
    try:
        lines = system.contents("/proc/stat").split(b"\n")
        cpus = sum(1 for each in lines if each.startswith(b"cpu")) - 1
        return int(lines[0].split()[8]) / _TICK / max(1, cpus)
    except (OSError, ValueError, IndexError):
        return 0.0


def blocked_since(native: int, now: float) -> float | None:
    """When a thread that does not run now last did, by the kernel's scheduler; None: unknown.

    Each CPU has a clock of its own, which leaves out what others took: only times of one CPU can be compared.
    """
    own, theirs = _last_ran(system.get_native_id()), _last_ran(native)
    if own is None or theirs is None or own.cpu != theirs.cpu or theirs.at > own.at:
        return None
    return now - (own.at - theirs.at) / 1e3


class _Ran(NamedTuple):
    """The CPU that a thread ran on last, and when, in milliseconds of that CPU's clock."""

    cpu: bytes
    at: float


def _last_ran(native: int) -> _Ran | None:
    folder = f"/proc/self/task/{native}"
    try:
        cpu = system.contents(f"{folder}/stat").rpartition(b")")[2].split()[36]
        lines = system.contents(f"{folder}/sched").split(b"\n")
        return _Ran(cpu, next(float(each.split()[-1]) for each in lines if each.startswith(b"se.exec_start")))
    except (OSError, ValueError, StopIteration, IndexError):
        return None
