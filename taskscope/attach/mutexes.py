"""Native mutexes that threads of a process wait for, and their owners, read from outside.

A thread that waits in ``pthread_mutex_lock`` sleeps in a futex at the mutex, in which the C library keeps the
owner's thread id.  Nothing of the process runs for this, so it also works where no Python code can run.
"""

from __future__ import annotations

import struct
from pathlib import Path

from taskscope.attach import procfs
from taskscope.attach.reading.memory import Memory
from taskscope.kernel_calls import HERE
from taskscope.values import dataclass

MOST_THREADS = 200
"""Threads looked at: 60 µs each."""

_WAIT, _OPERATION = 0, 0x7F
_CONTENDED = 2
_MUTEX = struct.Struct("<iIi")  # glibc: lock, count, owner


@dataclass(frozen=True, slots=True)
class Awaited:
    """Thread ``waiter`` waits for a mutex that thread ``owner`` has locked."""

    waiter: int
    owner: int


def awaited(pid: int) -> tuple[Awaited, ...]:
    """Every wait for a mutex with a known owner.  Raises OSError."""
    threads = {inner(pid, tid): tid for tid in procfs.threads(pid)[:MOST_THREADS]}
    found = []
    for tid in threads.values():
        owner = threads.get(_owner(pid, tid))
        if owner is not None and owner != tid:
            found.append(Awaited(tid, owner))
    return tuple(found)


def _owner(pid: int, tid: int) -> int:
    """The owner of the mutex that a thread waits for, as the process numbers it; 0: it waits for none."""
    try:
        call = procfs.blocked_in(pid, tid)
        if (
            call is None
            or call[0] != HERE.get("futex")
            or call[2] & _OPERATION != _WAIT
            or call[3] != _CONTENDED
        ):
            return 0
        with Memory(pid) as memory:
            lock, _, owner = _MUTEX.unpack(memory.read(call[1], _MUTEX.size))
    except OSError:
        return 0
    return owner if lock == _CONTENDED else 0


def inner(pid: int, tid: int) -> int:
    """A thread's id in the innermost PID namespace."""
    try:
        lines = Path(f"/proc/{pid}/task/{tid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return 0
    named = next((line.split()[-1] for line in lines if line.startswith("NSpid:")), str(tid))
    return int(named)


def outer(pid: int, number: int) -> int:
    """The thread that has this id in the innermost PID namespace; 0: it has ended."""
    return next((tid for tid in procfs.threads(pid) if inner(pid, tid) == number), 0)
