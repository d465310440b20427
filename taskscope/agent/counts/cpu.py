"""Whether a thread got the CPU it wanted, and who had it instead."""

from __future__ import annotations

from typing import NamedTuple

from taskscope.agent.counts.limits import groups
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
    return Taken(_stolen(), max((_throttled(each) for each in groups("cpu")), default=0.0))


def _stolen() -> float:
    try:
        lines = system.contents("/proc/stat").split(b"\n")
        cpus = sum(1 for each in lines if each.startswith(b"cpu")) - 1
        return int(lines[0].split()[8]) / _TICK / max(1, cpus)
    except (OSError, ValueError, IndexError):
        return 0.0


def _throttled(group: str) -> float:
    try:
        lines = system.contents(f"{group}/cpu.stat").split(b"\n")
    except OSError:
        return 0.0
    known = dict(each.split() for each in lines if len(each.split()) == 2)
    return int(known.get(b"throttled_usec", 0)) / 1e6 or int(known.get(b"throttled_time", 0)) / 1e9


def blocked_since(native: int, now: float) -> float | None:
    """When a thread that does not run now last did, by the kernel's scheduler; None: unknown."""
    own, theirs = _last_ran(system.get_native_id()), _last_ran(native)
    return now - (own - theirs) / 1e3 if own is not None and theirs is not None and theirs <= own else None


def _last_ran(native: int) -> float | None:
    """In milliseconds of the scheduler's clock."""
    try:
        lines = system.contents(f"/proc/self/task/{native}/sched").split(b"\n")
        return next(float(each.split()[-1]) for each in lines if each.startswith(b"se.exec_start"))
    except (OSError, ValueError, StopIteration):
        return None
