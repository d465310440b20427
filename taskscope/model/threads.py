"""Threads and their pools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.model import vocabulary as words  # noqa: TC001  (field types are resolved at run time)
from taskscope.model.descriptors import Descriptor, at_length
from taskscope.model.frames import Frame  # noqa: TC001  (field types are resolved at run time)
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Executor", "Thread", "ThreadDetail", "is_full"]


@dataclass(frozen=True, slots=True)
class Executor:
    """A pool of threads or processes, and the jobs that wait for a worker.

    ``max_workers`` 0: unbounded.  ``more_queued``: ``queued`` is a lower bound.  ``full_since``: it was full,
    with jobs waiting, on every look since then.
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
    """A thread.  ``state`` is a best effort.

    ``ident`` is Python's, ``native_id`` the kernel's (0: unknown), ``cpu`` its seconds of CPU time.
    ``frame``: the innermost user frame, else the innermost; None: it runs no Python code now.  ``python``
    false: a native thread.  ``loop``: id of the loop it runs.  ``text`` describes what it does, the same for
    all threads that do the same; ``detail`` is specific to the thread.  ``system_call``: the one it waits in,
    ``descriptors``: the first few that it waits on.
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
    system_call: str = ""
    descriptors: tuple[Descriptor, ...] = ()

    @property
    def doing(self) -> str:
        """``waits for a socket, 10.0.0.1:443``."""
        more = self.detail or (self.descriptors[0].text if self.descriptors else "")
        return f"{self.text}, {more}" if more else self.text

    @property
    def doing_at_length(self) -> str:
        """``waits for a socket, fd 7, tcp to 10.0.0.1:443 from 10.0.0.2:5000, 0 bytes unread``."""
        return at_length(self.text, self.detail, self.descriptors)


def is_full(workers: Sequence[Thread]) -> bool:
    """Whether the pool of these threads has waiting jobs and no idle worker."""
    pool = workers[0].executor
    return (
        pool is not None
        and 0 < pool.max_workers <= len(workers)
        and pool.queued > 0
        and all(each.state != "idle" for each in workers)
    )


@dataclass(frozen=True, slots=True)
class ThreadDetail:
    """One thread with its stack and the stack that started it, innermost first."""

    thread: Thread
    stack: tuple[Frame, ...]
    creation: tuple[Frame, ...]
