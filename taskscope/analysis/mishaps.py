"""Errors of tasks over time: which sites' tasks mostly end with the same error now."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taskscope.model import Failure, Frame, Lost, Mishaps, Site, SiteCounts

WINDOW = 60.0
"""Seconds over which ends are compared."""

SHORTEST = 8.0
"""Seconds of observation needed."""

FEWEST = 5
"""Failures in the window from which a rate is told."""

MOST = 0.5
"""Share of the ended tasks of a site that failed alike."""

_Key = tuple[int, str, "Frame | None", "Frame | None"]


@dataclass(frozen=True, slots=True)
class Ending:
    """Of ``ended`` tasks of a site in ``seconds``, ``failed`` ended with the same error."""

    failure: Failure
    failed: int
    ended: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Look:
    time: float
    failed: dict[_Key, int]
    ended: dict[int, int]


class MishapTrack:
    """What the judge knows of mishaps.  ``sites``: all, by id."""

    def __init__(self) -> None:
        self.now: Mishaps | None = None
        self.sites: Mapping[int, Site] = {}
        self.endings: tuple[Ending, ...] = ()
        self._looks: deque[_Look] = deque()

    def note(self, mishaps: Mishaps, counts: Mapping[int, SiteCounts], sites: Mapping[int, Site]) -> None:
        """Adds an answer, with the counts of all sites as of now."""
        self.now, self.sites = mishaps, sites
        ended = {
            each.site: counts[each.site].counts.ended for each in mishaps.failures if each.site in counts
        }
        failed = {_key(each): each.count for each in mishaps.failures}
        look = _Look(mishaps.monotonic, failed, ended)
        self._looks.append(look)
        while len(self._looks) > 2 and self._looks[1].time <= look.time - WINDOW:
            self._looks.popleft()
        self.endings = tuple(self._endings(mishaps, self._looks[0], look))

    def _endings(self, mishaps: Mishaps, before: _Look, look: _Look) -> list[Ending]:
        seconds = look.time - before.time
        found = []
        for failure in mishaps.failures if seconds >= SHORTEST else ():
            failed = failure.count - before.failed.get(_key(failure), 0)
            ended = look.ended.get(failure.site, 0) - before.ended.get(failure.site, 0)
            if failed >= FEWEST and failed >= MOST * ended:
                found.append(Ending(failure, failed, max(failed, ended), seconds))
        return found

    def lost_at(self, site: int) -> Lost | None:
        found = self.now.lost if self.now is not None else ()
        return next((each for each in found if each.site == site), None)


def _key(failure: Failure) -> _Key:
    return failure.site, failure.error.partition(":")[0], failure.raised, failure.user_frame
