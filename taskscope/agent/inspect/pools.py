"""Since when thread pools have been full, as seen by any client's requests."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope import model

if TYPE_CHECKING:
    from collections.abc import Sequence

UNSEEN = 30.0
"""Seconds between looks beyond which the time between is unknown."""


class Fullness:
    """Tracks the pools that were full at the last look."""

    def __init__(self) -> None:
        self._since: dict[int, float] = {}
        self._looked = float("-inf")

    def mark(self, threads: Sequence[model.Thread], now: float) -> tuple[model.Thread, ...]:
        """``threads`` with ``full_since`` set in full pools."""
        pools: dict[int, list[model.Thread]] = defaultdict(list)
        for each in threads:
            if each.executor is not None:
                pools[each.executor.id].append(each)
        known = self._since if now - self._looked <= UNSEEN else {}
        full = {id: known.get(id, now) for id, workers in pools.items() if model.is_full(workers)}
        self._since, self._looked = full, now
        return tuple(_with(each, full) for each in threads)


def _with(thread: model.Thread, full: dict[int, float]) -> model.Thread:
    pool = thread.executor
    if pool is None or pool.id not in full:
        return thread
    return replace(thread, executor=replace(pool, full_since=full[pool.id]))
