"""The interpreter lock and a native mutex taken in opposite order, seen from outside: nobody runs again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from taskscope.attach import mutexes, procfs
from taskscope.attach.reading import frames

if TYPE_CHECKING:
    from collections.abc import Container

    from taskscope.model import Frame


def of_gil(pid: int, asking: Container[int], still: Container[int]) -> str:
    """What happened, as a sentence; "" if there is no such deadlock.

    ``asking``: the threads that ask for the GIL again and again; ``still``: those that have not moved.  One
    that has not moved waits for a mutex whose owner asks for the GIL: only the one that waits can have it.
    """
    try:
        found = next(
            (each for each in mutexes.awaited(pid) if each.waiter in still and each.owner in asking), None
        )
        if found is None:
            return ""
        stacks = frames.read(pid)
        lines = stacks.lines if stacks is not None else {}
        waiter, owner = (_named(pid, tid, lines) for tid in (found.waiter, found.owner))
    except OSError:
        return ""
    return (
        f"process {pid} hangs for good: its {waiter} holds the GIL and waits in pthread_mutex_lock for a "
        f"mutex that its {owner} has locked, which waits for the GIL; neither can go on, and no Python code "
        "can run"
    )


def _named(pid: int, tid: int, lines: dict[int, tuple[Frame, ...]]) -> str:
    """``thread 4711 (case.py:20 in record_heartbeat)``."""
    stack = lines.get(mutexes.inner(pid, tid), ())
    name = procfs.thread_name(pid, tid)
    at = f"{os.path.basename(stack[0].file)}:{stack[0].line} in {stack[0].function}" if stack else ""  # noqa: PTH119
    told = ", ".join(each for each in (name, at) if each)
    return f"thread {tid} ({told})" if told else f"thread {tid}"
