"""Counts of tasks and threads by function and by the line at which they wait, over many looks.

Who created them cannot be seen from outside.  So a site is the line at which the tasks of one coroutine wait,
and marked as such; a task that moves to another line leaves one site and joins another.  One that runs counts
where it waited last.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import field
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.sources.tallied import SITE_PAST, Change
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.attach.reading.frames import ThreadStack
    from taskscope.attach.reading.tasks import OutsideTask
    from taskscope.model.vocabulary import SiteKind

MOST_SITES = 5_000
"""Beyond these, tasks are counted by their coroutine alone; beyond twice as many, all together."""

_Key = tuple["SiteKind", str, model.Frame]
_NOWHERE = model.Frame("", 0, "")


@dataclass(slots=True)
class SiteTally:
    """The counts of one site: ``came`` and ``left`` since the first look, at which ``first`` were there."""

    site: model.Site
    first: int = 0
    live: int = 0
    came: int = 0
    left: int = 0
    past: deque[Change] = field(default_factory=lambda: deque(maxlen=SITE_PAST))

    def counts(self) -> model.SiteCounts:
        born = self.first + self.came
        return model.SiteCounts(
            self.site.id, model.Counts(live=self.live, born=born, unseen=self.left), adopted=self.first
        )


@dataclass(slots=True)
class Known:
    """A task or thread seen: its serial, and the site it counts at."""

    serial: int
    site: int


class Tally:
    """The state after all looks so far."""

    def __init__(self) -> None:
        self.sites: dict[int, SiteTally] = {}
        self.tasks: dict[tuple[int, str], Known] = {}
        """By address and name: an address may be reused."""
        self.threads: dict[int, Known] = {}
        """By native id."""
        self.new_sites: list[model.Site] = []
        """Sites not yet reported."""
        self.changed: set[int] = set()
        """Sites whose counts are not yet reported."""
        self.born = self.ended = 0
        self._ids: dict[_Key, int] = {}
        self._serial = 0
        self._looks = 0

    def counts(self) -> model.Counts:
        """Those of tasks."""
        return model.Counts(live=len(self.tasks), born=self.born, unseen=self.ended)

    def take(
        self, at: float, tasks: Sequence[OutsideTask], threads: Sequence[ThreadStack], main: int
    ) -> None:
        """Adds a look.  ``main``: the thread that is not counted, as it is always there."""
        changed: set[int] = set()
        before = self.tasks
        self.tasks = {}
        for each in tasks:
            key = (each.address, each.name)
            known = before.get(key)
            self.tasks[key] = self._moved(known, self._place_of(each, known), changed)
        self.born += len(self.tasks.keys() - before.keys())
        self.ended += len(before.keys() - self.tasks.keys())
        gone = [before[key] for key in before.keys() - self.tasks.keys()]
        earlier, self.threads = self.threads, {}
        for thread in threads:
            if thread.native != main and thread.frames:
                where = _place_of_thread(thread)
                self.threads[thread.native] = self._moved(earlier.get(thread.native), where, changed)
        gone += [earlier[key] for key in earlier.keys() - self.threads.keys()]
        for each_gone in gone:
            self.sites[each_gone.site].left += 1
            changed.add(each_gone.site)
        self._close(at, changed)

    def _place_of(self, task: OutsideTask, known: Known | None) -> _Key | None:
        """The key of the site it counts at; None: it runs, and is known."""
        stack = task.chain.stack
        if task.chain.place and known is not None:
            return None
        frame = model.user_line(stack) or model.library_line(stack) or _NOWHERE
        return "task", task.chain.coroutine, frame

    def _moved(self, known: Known | None, key: _Key | None, changed: set[int]) -> Known:
        """A task or thread of this look."""
        if key is None:
            assert known is not None
            return known
        site = self._site(key)
        if known is None:
            self._serial += 1
            known = Known(self._serial, site.site.id)
        elif known.site == site.site.id:
            return known
        else:
            self.sites[known.site].left += 1
            changed.add(known.site)
            known.site = site.site.id
        if self._looks:
            site.came += 1
        else:
            site.first += 1
        changed.add(site.site.id)
        return known

    def _site(self, key: _Key) -> SiteTally:
        kind, coroutine, frame = key
        if key not in self._ids and len(self._ids) >= MOST_SITES:
            frame = _NOWHERE
            key = kind, coroutine, frame
        if key not in self._ids and len(self._ids) >= 2 * MOST_SITES:
            coroutine = "others"
            key = kind, coroutine, frame
        id = self._ids.get(key)
        if id is None:
            id = self._ids[key] = len(self._ids) + 1
            user = frame if frame.origin == "user" else None
            site = model.Site(id, kind, frame, user, coroutine, "parked")
            self.sites[id] = SiteTally(site)
            self.new_sites.append(site)
        return self.sites[id]

    def _close(self, at: float, changed: set[int]) -> None:
        live = Counter(known.site for known in (*self.tasks.values(), *self.threads.values()))
        for id in changed:
            site = self.sites[id]
            site.live = live[id]
            site.past.append((at, site.live, site.first + site.came, site.left))
        self.changed |= changed
        self._looks += 1


def _place_of_thread(thread: ThreadStack) -> _Key:
    frames = thread.frames
    outermost = next((each for each in reversed(frames) if each.origin != "stdlib"), frames[-1])
    frame = model.user_line(frames) or model.library_line(frames) or frames[0]
    return "thread", outermost.function, frame
