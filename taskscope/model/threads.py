"""Threads and the pools that they work for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskscope.model import vocabulary as words  # noqa: TC001  (the fields' types are looked up)
from taskscope.model.frames import Frame  # noqa: TC001  (the fields' types are looked up)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Executor", "Thread", "ThreadDetail", "is_full"]


@dataclass(frozen=True, slots=True)
class Executor:
    """A pool of threads or processes: its workers, and the jobs waiting for one.

    ``max_workers`` 0: the pool has no bound of its own.  ``more_queued``: ``queued`` is a lower bound.
    ``full_since``: it was full, with jobs waiting, each time that somebody looked from then on.
    """

    name: str
    workers: int
    max_workers: int
    queued: int
    id: int = 0
    more_queued: bool = False
    full_since: float | None = None


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread.  ``state`` is as far as it can be told.

    ``ident`` is Python's, ``native_id`` the kernel's (0: unknown), ``cpu`` its seconds of CPU time.
    ``frame``: the innermost of user code, or else the innermost; None: it runs no Python code just now.
    ``python`` false: a native thread that runs no Python code.  ``loop``: id of the loop it runs.
    ``text`` says what it does, the same for all that do alike, ``detail`` what differs from one to another.
    """

    ident: int
    native_id: int
    name: str
    daemon: bool
    python: bool
    site: int | None
    parent: int | None
    birth: float | None
    cpu: float | None
    state: words.ThreadState
    text: str
    loop: int | None
    executor: Executor | None
    frame: Frame | None
    wait: words.Wait = "unknown"
    detail: str = ""

    @property
    def doing(self) -> str:
        """``waits for a socket, 10.0.0.1:443``."""
        return f"{self.text}, {self.detail}" if self.detail else self.text


def is_full(workers: Sequence[Thread]) -> bool:
    """Whether the pool whose threads these are has jobs that wait, and nobody free to take one."""
    pool = workers[0].executor
    return (
        pool is not None
        and 0 < pool.max_workers <= len(workers)
        and pool.queued > 0
        and all(each.state != "idle" for each in workers)
    )


@dataclass(frozen=True, slots=True)
class ThreadDetail:
    """One thread with its stack, innermost first, and the stack that started it."""

    thread: Thread
    stack: tuple[Frame, ...]
    creation: tuple[Frame, ...]
