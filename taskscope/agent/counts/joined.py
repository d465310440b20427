"""Tasks of one coroutine from before and after the agent came, counted as one site.

The creation of the older ones was not seen.  While one line alone starts the same coroutine, they are its.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope import model

if TYPE_CHECKING:
    from taskscope.agent.counts.registry import SiteRecord

_MOVED = ("finished", "failed", "cancelled", "lost", "unseen", "retained", "born", "adopted")
"""Births come last: for a moment fewer tasks live, never more."""


class Joined:
    """Which sites of older tasks are counted as which others."""

    def __init__(self) -> None:
        self._pairs: dict[int, tuple[SiteRecord, SiteRecord]] = {}
        self.changed = False  # since the last sample: the next one must be full, so that clients drop sites

    def join(self, older: SiteRecord, newer: SiteRecord) -> None:
        """From now on what is counted at ``older`` is counted at ``newer``."""
        self.changed = self.changed or older.id not in self._pairs
        self._pairs[older.id] = older, newer
        self.settle()

    def part(self, older: SiteRecord) -> None:
        """The reverse, of those that live: it is doubted now that they belong there."""
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

    def settle(self) -> None:
        """Moves what came to be at the older sites meanwhile.

        The program goes on: whoever pops a task from its chunk counts it at the chunk's site, and may have
        read that before it was changed.
        """
        for older, newer in self._pairs.values():
            chunks, older.chunks, older.chunk, older.room = older.chunks, [], None, 0
            for chunk in chunks:
                chunk.site = newer
            behind = sum(1 for chunk in list(newer.chunks) if chunk.origin is not newer)
            newer.chunks[behind:behind] = chunks  # the younger ones come later
            for name in _MOVED:
                count = getattr(older, name)
                setattr(newer, name, getattr(newer, name) + count)
                setattr(older, name, getattr(older, name) - count)
            newer.kept.update(older.kept)
            older.kept.clear()

    def of(self, record: SiteRecord) -> SiteRecord:
        """Where what is noted at this site is counted."""
        pair = self._pairs.get(record.id)
        return pair[1] if pair is not None else record

    def older(self, site: int) -> list[int]:
        """The sites that are counted as this one."""
        return [older.id for older, newer in self._pairs.values() if newer.id == site]


def summed(one: model.SiteHistory, other: model.SiteHistory) -> model.SiteHistory:
    """The past of two sites as that of the first.  Until the other begins, those of it were there already."""
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
