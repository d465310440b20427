"""Whether the process needs ever more CPU although it has no more to do."""

from __future__ import annotations

from collections import deque
from itertools import combinations
from typing import NamedTuple

from taskscope.values import dataclass

WIDTH = 5.0
"""Seconds per bin."""

KEPT = 120
"""Bins kept: ten minutes."""

LEAST_BINS = 24
"""Two minutes: less may be the start-up."""

PARTS, ORDERED = 6, 13
"""Parts compared, and how many of their 15 pairs must be in rising order."""

GAIN, TIMES = 0.1, 1.5
"""Least gain as a share of a core, and as a multiple of the first part."""

LOAD = 1.2
"""Tasks or births that grow by this factor are load."""


class _Bin(NamedTuple):
    time: float
    cpu: float
    tasks: float
    born: float


@dataclass(frozen=True, slots=True)
class Busier:
    """CPU as a share of a core: ``first`` at ``since``, ``last`` now."""

    since: float
    first: float
    last: float


class CpuTrack:
    """CPU use over the last minutes, with the tasks meanwhile."""

    def __init__(self) -> None:
        self._bins: deque[_Bin] = deque(maxlen=KEPT)
        self._open: list[_Bin] = []

    def add(self, time: float, cpu: float | None, tasks: float | None, born: float | None) -> None:
        """Adds a sample; None: unknown."""
        if cpu is None or tasks is None or born is None:
            return
        if self._open and time - self._open[0].time >= WIDTH:
            cpus = [each.cpu for each in self._open]
            self._bins.append(self._open[-1]._replace(cpu=sum(cpus) / len(cpus)))
            self._open = []
        self._open.append(_Bin(time, cpu, tasks, born))

    def found(self) -> Busier | None:
        """The climb, if there is one that no load explains."""
        bins = list(self._bins)
        if len(bins) < LEAST_BINS:
            return None
        size = len(bins) // PARTS
        parts = [bins[at * size : (at + 1) * size] for at in range(PARTS)]
        cpu = [sum(each.cpu for each in part) / size for part in parts]
        rising = sum(after > before for before, after in combinations(cpu, 2))
        if rising < ORDERED or cpu[-1] < max(cpu[0] + GAIN, cpu[0] * TIMES, 0.9 * cpu[-2]):
            return None
        return None if _is_load(parts[0], parts[-1]) else Busier(bins[0].time, cpu[0], cpu[-1])


def _is_load(early: list[_Bin], late: list[_Bin]) -> bool:
    """Whether there is more to do: more tasks live, or more are started."""
    before, after = (sum(each.tasks for each in part) / len(part) for part in (early, late))
    births_before, births_after = (part[-1].born - part[0].born for part in (early, late))
    return after > LOAD * before + 2 or births_after > LOAD * births_before + 2
