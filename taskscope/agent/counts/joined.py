"""Tasks of one coroutine from before and after the agent's start, counted as one site.

The creation of the older ones was not observed.  As long as only one line starts that coroutine, they are
attributed to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope import model

if TYPE_CHECKING:
    from taskscope.agent.counts.site_record import SiteRecord


class Joined:
    """Which sites of older tasks are counted under which other sites."""

    def __init__(self) -> None:
        self._pairs: dict[int, tuple[SiteRecord, SiteRecord]] = {}
        self.changed = False  # since the last sample: the next one must be full, so that clients drop sites

    def join(self, older: SiteRecord, newer: SiteRecord) -> None:
        """Counts under ``newer`` what belongs to ``older``, from now on."""
        self.changed = self.changed or older.id not in self._pairs
        self._pairs[older.id] = older, newer
        self.catch_up()

    def part(self, older: SiteRecord) -> None:
        """Moves the live ones back: they may not belong to ``newer`` after all."""
        _, newer = self._pairs.pop(older.id, (older, older))
        if newer is older:
            return
        chunks = [chunk for chunk in list(newer.chunks) if chunk.origin is older]
        count = sum(len(chunk) for chunk in chunks)
        for chunk in chunks:
            newer.chunks.remove(chunk)
            chunk.site = older
        older.chunks[:0] = chunks
        newer.born, older.born = newer.born - count, older.born + count
        newer.adopted, older.adopted = newer.adopted - count, older.adopted + count

    def catch_up(self) -> None:
        """Moves what was counted at the older sites in the meantime.

        The program keeps running: code that pops a task from its chunk counts it at the chunk's site, and may
        have read that site before it changed.
        """
        for older, newer in self._pairs.values():
            chunks, older.chunks, older.chunk, older.room = older.chunks, [], None, 0
            for chunk in chunks:
                chunk.site = newer
            behind = sum(1 for chunk in list(newer.chunks) if chunk.origin is not newer)
            newer.chunks[behind:behind] = chunks  # younger ones come later
            newer.take_counts(older)
            newer.kept.update(older.kept)
            older.kept.clear()

    def of(self, record: SiteRecord) -> SiteRecord:
        """The site under which this one is counted."""
        pair = self._pairs.get(record.id)
        return pair[1] if pair is not None else record

    def older(self, site: int) -> list[int]:
        """The sites that are counted under this one."""
        return [older.id for older, newer in self._pairs.values() if newer.id == site]


def summed(one: model.SiteHistory, other: model.SiteHistory) -> model.SiteHistory:
    """Two sites' histories as the first's.  Before the other's begins, its first counts are assumed."""
    if not other.times:
        return one
    times = sorted({*one.times, *other.times})
    columns = [[0] * len(times) for _ in range(3)]
    for past, early in ((one, (0, 0, 0)), (other, (other.live[0], other.born[0], other.ended[0]))):
        points = zip(past.live, past.born, past.ended, strict=True)
        known = dict(zip(past.times, points, strict=True))
        held = early
        for row, time in enumerate(times):
            held = known.get(time, held)
            for column, value in zip(columns, held, strict=True):
                column[row] += value
    return model.SiteHistory(one.site, tuple(times), *(tuple(column) for column in columns))
