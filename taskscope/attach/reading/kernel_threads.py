"""What the kernel knows of a thread: whether it runs, what it waits in, and since when."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.attach import mutexes, procfs
from taskscope.attach.reading.symbols import function_at
from taskscope.kernel_calls import NAMES
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from taskscope.attach.reading.memory import Memory

MOST_THREADS = 500
"""Threads looked at: 240 µs each."""

_TICK = os.sysconf("SC_CLK_TCK")

_ON_A_DESCRIPTOR = {
    *("read", "write", "pread64", "connect", "accept", "accept4", "sendto", "recvfrom", "sendmsg", "recvmsg"),
    *("fcntl", "flock", "fsync", "fdatasync", "epoll_wait", "epoll_pwait", "epoll_pwait2"),
}
"""System calls whose first argument is the descriptor that they wait on."""


@dataclass(frozen=True, slots=True)
class KernelThread:
    """``tid`` as numbered here, ``inner`` as the process numbers it.  ``state``: the kernel's letter.

    ``cpu``: seconds used so far; ``started``: seconds since boot.  ``call``: the system call it is in, "" if
    none is known; ``descriptor``: it waits on that.  ``stack``, ``instruction``: where it will go on.
    """

    tid: int
    inner: int
    name: str
    state: str
    cpu: float
    started: float
    call: str = ""
    descriptor: int | None = None
    stack: int = 0
    instruction: int = 0

    @property
    def waits(self) -> bool:
        return self.state in "SDI"


def threads(pid: int, first: Collection[int] = ()) -> dict[int, KernelThread]:
    """By the process's own numbers; if there are too many, the main one, those named by ``first``, and the
    oldest.  Raises OSError if the process has ended.
    """
    found = {}
    for tid in _some(pid, first):
        try:
            each = thread(pid, tid)
        except (OSError, ValueError, IndexError):
            continue  # it has just ended
        if each.inner:
            found[each.inner] = each
    return found


def _some(pid: int, first: Collection[int]) -> Sequence[int]:
    tids = procfs.threads(pid)
    if len(tids) <= MOST_THREADS:
        return tids
    same = mutexes.inner(pid, pid) == pid  # it numbers them as we do
    wanted = {tid for tid in tids if (tid if same else mutexes.inner(pid, tid)) in first}
    return sorted(tids, key=lambda tid: tid != pid and tid not in wanted)[:MOST_THREADS]


def numbered(pid: int, inner: int) -> KernelThread | None:
    """The thread that the process numbers so; None: it has ended."""
    for tid in (inner, *procfs.threads(pid)):  # the same, but in a namespace of its own
        try:
            if mutexes.inner(pid, tid) == inner:
                return thread(pid, tid)
        except (OSError, ValueError, IndexError):
            continue
    return None


def thread(pid: int, tid: int) -> KernelThread:
    """One thread now.  Raises OSError."""
    folder = Path(f"/proc/{pid}/task/{tid}")
    stat = (folder / "stat").read_bytes()
    fields = stat[stat.rindex(b")") + 2 :].split()
    call, descriptor, (stack, instruction) = _waits_in(folder)
    return KernelThread(
        tid=tid,
        inner=mutexes.inner(pid, tid),
        name=procfs.thread_name(pid, tid),
        state=fields[0].decode(),
        cpu=(int(fields[11]) + int(fields[12])) / _TICK,
        started=int(fields[19]) / _TICK,
        call=call,
        descriptor=descriptor,
        stack=stack,
        instruction=instruction,
    )


def _waits_in(folder: Path) -> tuple[str, int | None, tuple[int, int]]:
    """The system call, its descriptor, and the stack and instruction of its caller."""
    try:
        words = (folder / "syscall").read_text().split()
    except OSError:
        return "", None, (0, 0)
    if len(words) < 9:
        return "", None, (0, 0)  # it runs
    name, arguments = NAMES.get(int(words[0]), ""), [int(each, 16) for each in words[1:]]
    if name in ("", "restart_syscall"):
        name = (folder / "wchan").read_text().strip("0")
    descriptor = arguments[0] if name in _ON_A_DESCRIPTOR else None
    return name, descriptor, (arguments[6], arguments[7])


def asleep_for(pid: int, tid: int) -> float | None:
    """For how many seconds a thread has not run; None: this kernel does not tell.

    The kernel's clock for this is no other one: what it says of ourselves is now.
    """
    then, now = _last_run(f"/proc/{pid}/task/{tid}/sched"), _last_run("/proc/thread-self/sched")
    return max(0.0, now - then) if then is not None and now is not None else None


def _last_run(path: str) -> float | None:
    try:
        text = Path(path).read_text()
        line = next(each for each in text.splitlines() if each.startswith("se.exec_start"))
        return float(line.rpartition(":")[2]) / 1000
    except (OSError, ValueError, StopIteration):
        return None


def function_of(memory: Memory, each: KernelThread) -> str:
    """The native function that a waiting thread is in: ``pause``; "" if that is unknown."""
    try:
        return function_at(memory, each.instruction, each.stack) if each.instruction else ""
    except OSError:
        return ""
