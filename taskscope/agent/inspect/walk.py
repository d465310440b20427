"""Walks over live tasks that never hold the GIL for long.

A request that reads many tasks is a generator: it yields None wherever it may be paused, and the server lets
the program run before it resumes.  Its return value is the answer.  200 tasks take about 0.3 ms; the pauses
keep the loop's latency flat, see ``PAUSE``.
"""

from __future__ import annotations

from collections.abc import Generator
from heapq import heappop, heappush, heapreplace
from itertools import dropwhile, islice
from typing import TYPE_CHECKING, Any, TypeVar

from taskscope.agent.inspect.futures import is_done
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from weakref import ref

    from taskscope.agent.counts.site_record import SiteRecord

T = TypeVar("T")
Job = Generator[None, None, T]
"""An answer in progress; every ``yield`` is a point to pause."""

SLICE, LONGEST = 0.0003, 0.0006
"""Seconds of work between pauses; at most, where each pause takes long."""

LATE = 0.001
"""Seconds by which a pause is too long, from which slices are longer.  Others wait for their turn as we do;
and a walk would take ten times as long as its work.
"""


_end = 0.0


def begin_slice(late: float = 0.0) -> None:
    """Call after each pause, before resuming a job.  ``late``: seconds by which the pause was too long."""
    global _end  # noqa: PLW0603
    _end = clock.perf_counter() + (LONGEST if late >= LATE else SLICE)


def left() -> float:
    """Seconds that the running job may go on."""
    return _end - clock.perf_counter()


def spent() -> bool:
    """Whether the running job has used up its slice and should yield."""
    return clock.perf_counter() >= _end


def run(job: Job[T], pause: float = 0.0) -> T:
    """Runs a job to completion in the caller's thread, pausing ``pause`` seconds between slices."""
    while True:
        begin_slice()
        try:
            next(job)
            if pause:
                clock.sleep(pause)
        except StopIteration as end:
            result: T = end.value
            return result


def at_once(job: Job[T]) -> T:
    """Runs what is part of another job, or known to be short, without pauses."""
    while True:
        try:
            next(job)
        except StopIteration as end:
            result: T = end.value
            return result


PAUSE = 0.00025
"""Seconds between slices, during which the program has the GIL."""


def live_tasks(records: Iterable[SiteRecord]) -> Iterator[Any | None]:
    """Yields the live tasks of these sites, oldest first within a site; None wherever a pause is due.

    The caller yields on None.  Between items, only the task just yielded is referenced.
    """
    looked_at = 0
    for record in records:
        for reference in record.references():
            task = reference()
            if task is not None and not is_done(task):
                yield task
            del task
            looked_at += 1
            if not looked_at & 7 and spent():
                yield None


Entry = tuple[int, "ref[Any]"]
"""A serial and a weak reference to its task."""

FEW = 8
"""Entries first taken from a chunk: enough for a page in most cases."""


def merged(
    records: Iterable[SiteRecord], *, newest: bool = False, after: int | None = None
) -> Iterator[Entry | None]:
    """Yields tasks of all ``records`` in birth order, beyond ``after``; None wherever a pause is due.

    Starting costs O(sites), each task O(log sites).  Chunks before the cursor are skipped, so a page deep
    inside 300,000 tasks costs no more than the first.  A site has its stream from its first task on: to free
    those of thousands of sites at once, when the page is full, would hold the GIL for 5 ms.
    """
    sites = list(records)
    heap: list[tuple[int, int, ref[Any], Iterator[Entry] | None]] = []
    for number, record in enumerate(sites):
        for serial, reference in _entries(record, after, newest=newest):
            heappush(heap, (-serial if newest else serial, number, reference, None))
            break
        if spent():
            yield None
    while heap:
        key, number, reference, stream = heap[0]
        yield abs(key), reference
        if stream is None:
            stream = _beyond(key, _entries(sites[number], after, newest=newest), newest=newest)
        for serial, reference in stream:
            heapreplace(heap, (-serial if newest else serial, number, reference, stream))
            break
        else:
            heappop(heap)
        if spent():
            yield None


def _beyond(key: int, stream: Iterator[Entry], *, newest: bool) -> Iterator[Entry]:
    """The entries after that one: it may have left the chunk."""
    return dropwhile(lambda entry: (-entry[0] if newest else entry[0]) <= key, stream)


def _entries(record: SiteRecord, after: int | None, *, newest: bool) -> Iterator[Entry]:
    chunks = list(record.chunks)
    if newest:
        chunks.reverse()
    for at, chunk in enumerate(chunks):
        if after is not None and not newest and at + 1 < len(chunks):
            following = next(iter(list(islice(chunks[at + 1], 1))), None)
            if following is not None and following <= after:
                continue
        if after is None:
            few = list(islice(reversed(chunk.items()) if newest else chunk.items(), FEW))
            yield from few
            if len(few) < FEW:
                continue
            after_few: int | None = few[-1][0]
        else:
            after_few = after
        references = chunk.references()
        rest = sorted(references, reverse=newest)
        if after_few is not None:
            rest = [serial for serial in rest if (serial < after_few if newest else serial > after_few)]
        for serial in rest:
            yield serial, references[serial]
