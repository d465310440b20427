"""Walks over live tasks that never hold the GIL for long.

A request that looks at many tasks is a generator: it yields None wherever it may be paused, and the
server lets the program run before it goes on.  Its return value is the answer.  200 tasks are about
0.3 ms; the pause in between is what keeps the loop's latency flat, see ``server.PAUSE``.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, TypeVar

from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from taskscope.agent.registry import Registry, SiteRecord

T = TypeVar("T")
Job = Generator[None, None, T]
"""An answer being worked out; every ``yield`` is a place to pause."""

SLICE = 0.0003
"""Seconds of work between two pauses."""


_end = 0.0


def begin_slice() -> None:
    """Called by whoever resumes a job, after the pause."""
    global _end  # noqa: PLW0603
    _end = clock.perf_counter() + SLICE


def spent() -> bool:
    """Whether the running job has used up its slice and should yield."""
    return clock.perf_counter() >= _end


def run(job: Job[T], pause: float = 0.0) -> T:
    """Runs a job to its end in the caller's thread, pausing ``pause`` seconds between slices."""
    while True:
        begin_slice()
        try:
            next(job)
            if pause:
                clock.sleep(pause)
        except StopIteration as end:
            result: T = end.value
            return result


PAUSE = 0.0005
"""Seconds between two slices of work, in which the program has the GIL for itself."""


def live_tasks(records: Iterable[SiteRecord]) -> Iterator[Any | None]:
    """Live tasks of these sites, oldest first within a site; None wherever a pause is due.

    The caller yields on None.  Nothing is referenced between two of them but the task just given.
    """
    looked_at = 0
    for record in records:
        for reference in record.references():
            task = reference()
            if task is not None and not task.done():
                yield task
            del task
            looked_at += 1
            if not looked_at & 7 and spent():
                yield None


def merged(registry: Registry, records: list[SiteRecord]) -> Iterator[Any | None]:
    """As ``live_tasks``, in order of birth over all ``records`` (k-way merge by serial)."""
    import heapq

    streams = (
        ((serial, reference) for chunk in list(r.chunks) for serial, reference in chunk.references().items())
        for r in records
    )
    for _, reference in heapq.merge(*streams, key=_serial):
        task = reference()
        if task is not None and not task.done():
            yield task
            del task
        if spent():
            yield None


def _serial(entry: tuple[int, Any]) -> int:
    return entry[0]
