"""Births and ends derived from successive aiomonitor lists, since it counts neither.

Pure: timed lists in, counts and history out.  A task's id is its address, which may be reused: its age, or
if unknown its name, distinguishes it from an earlier one.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.sources.aiomonitor import api
from taskscope.sources.tallied import SITE_PAST, Change
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.model.vocabulary import Outcome

ENDED_KEPT = 2_000

SLACK = 0.1
"""Seconds by which two ages may disagree beyond the time the lists took."""

_NUMBERED = re.compile(r"Task-(\d+)")


@dataclass(frozen=True, slots=True)
class Look:
    """Both lists, fetched in turn: the times of the request, of the first answer and of the second.

    Times are our monotonic seconds.
    """

    asked: float
    answered: float
    finished: float
    live: Sequence[api.LiveTask]
    ended: Sequence[api.EndedTask] = ()

    @property
    def at(self) -> float:
        """The approximate time of the ages in the first list."""
        return (self.asked + self.answered) / 2

    @property
    def ended_at(self) -> float:
        """Likewise for the second list."""
        return (self.answered + self.finished) / 2

    @property
    def took(self) -> float:
        return self.finished - self.asked


@dataclass(slots=True)
class KnownTask:
    """A live task."""

    serial: int
    id: str
    name: str
    coroutine: str
    state: str
    site: int
    birth: float | None


@dataclass(slots=True)
class Past:
    """A task that ended.  ``trace``: the id of its page, empty if there is none."""

    serial: int
    site: int
    name: str
    coroutine: str
    birth: float | None
    end: float
    trace: str = ""
    outcome: Outcome = "unseen"
    error: str = ""


@dataclass(slots=True)
class SiteTally:
    """The counts of one site and their history."""

    site: model.Site
    live: int = 0
    born: int = 0
    adopted: int = 0
    ended: int = 0
    births: tuple[float, ...] = ()
    past: deque[Change] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.past = deque(maxlen=SITE_PAST)

    def counts(self) -> model.SiteCounts:
        births = self.births
        return model.SiteCounts(
            self.site.id,
            model.Counts(live=self.live, born=self.born, unseen=self.ended),
            oldest=births[0] if births else None,
            median=births[len(births) // 2] if births else None,
            adopted=self.adopted,
        )


class Tally:
    """The state after all looks so far."""

    def __init__(self) -> None:
        self.sites: dict[int, SiteTally] = {}
        self.tasks: dict[int, KnownTask] = {}
        """Live tasks by serial, oldest first."""
        self.ended: deque[Past] = deque(maxlen=ENDED_KEPT)
        self.new_sites: list[model.Site] = []
        """Sites not yet reported, or changed since."""
        self.changed: set[int] = set()
        """Sites whose counts are not yet reported."""
        self.missed = 0
        self.last: Look | None = None
        self._by_key: dict[tuple[str, str], int] = {}
        self._by_id: dict[str, KnownTask] = {}
        self._traces: dict[str, float] = {}
        self._serial = 0

    def counts(self) -> model.Counts:
        sites = self.sites.values()
        return model.Counts(
            live=len(self.tasks),
            born=sum(site.born for site in sites),
            unseen=sum(site.ended for site in sites),
        )

    def take(self, look: Look) -> None:
        """Adds a look."""
        first = self.last is None
        present: dict[str, KnownTask] = {}
        fresh: list[api.LiveTask] = []
        for task in look.live:
            known = self._by_id.get(task.id)
            if known is not None and self._same(known, task, look):
                known.name, known.state = task.name, task.state
                present[task.id] = known
            else:
                fresh.append(task)
        gone = [known for known in self._by_id.values() if present.get(known.id) is not known]
        ended = [self._end(known, look.at) for known in gone]
        fresh.sort(key=lambda task: -(task.age if task.age is not None else float("inf")))
        for task in fresh:
            present[task.id] = self._birth(task, look.at, adopted=first)
        self._by_id = present
        self._take_ended(look, ended, first=first)
        self._close(look.at)
        self.last = look

    def learn(self, site: model.Site) -> None:
        """Replaces a site with one that has better frames."""
        self.sites[site.id].site = site
        self.new_sites.append(site)

    def _same(self, known: KnownTask, task: api.LiveTask, look: Look) -> bool:
        if known.coroutine != task.coroutine:
            return False
        if known.birth is None or task.age is None:
            return known.birth is None and task.age is None and known.name == task.name
        return abs(look.at - task.age - known.birth) <= self._blur(look)

    def _blur(self, look: Look) -> float:
        """How far times derived from this list and the previous one may differ, in seconds."""
        return look.took + (self.last.took if self.last else 0.0) + SLACK

    def _birth(self, task: api.LiveTask, at: float, *, adopted: bool) -> KnownTask:
        site = self._site(task.location, task.coroutine)
        self._serial += 1
        birth = None if task.age is None else at - task.age
        known = KnownTask(self._serial, task.id, task.name, task.coroutine, task.state, site.site.id, birth)
        self.tasks[known.serial] = known
        site.born += 1
        site.adopted += adopted
        self.changed.add(site.site.id)
        return known

    def _end(self, known: KnownTask, at: float) -> Past:
        del self.tasks[known.serial]
        self.sites[known.site].ended += 1
        self.changed.add(known.site)
        past = Past(known.serial, known.site, known.name, known.coroutine, known.birth, at)
        self.ended.append(past)
        return past

    def _take_ended(self, look: Look, gone: Sequence[Past], *, first: bool) -> None:
        """Reads from the list of ended tasks when ``gone`` ended, and which were never seen live."""
        waiting = {(past.name, past.coroutine): past for past in gone}
        traces: dict[str, float] = {}
        news = []
        for task in look.ended:
            end = look.ended_at - task.ended
            traces[task.id] = end
            before = self._traces.get(task.id)
            if before is None or end > before + self._blur(look):
                news.append((end, task))
        if news and self._traces and len(news) == len(look.ended):
            self.missed += 1  # its list is bounded: there may have been more
        self._traces = traces
        for end, task in sorted(news, key=lambda each: each[0]):
            past = waiting.pop((task.name, task.coroutine), None)
            if past is None:
                past = self._never_seen(task, end, look.ended_at - task.age, counted=not first)
            past.trace, past.end = task.id, end

    def _never_seen(self, task: api.EndedTask, end: float, birth: float, *, counted: bool) -> Past:
        site = self._site_of(task.coroutine)
        self._serial += 1
        site.born += counted
        site.ended += counted
        self.changed.add(site.site.id)
        past = Past(self._serial, site.site.id, task.name, task.coroutine, birth, end)
        self.ended.append(past)
        return past

    def _close(self, at: float) -> None:
        """Counts live tasks and records what changed."""
        births: dict[int, list[float]] = {id: [] for id in self.changed}
        live = dict.fromkeys(self.changed, 0)
        for known in self.tasks.values():
            if known.site in live:
                live[known.site] += 1
                if known.birth is not None:
                    births[known.site].append(known.birth)
        for id in self.changed:
            site = self.sites[id]
            site.live, site.births = live[id], tuple(sorted(births[id]))
            site.past.append((at, site.live, site.born, site.ended))

    def _site(self, location: str, coroutine: str) -> SiteTally:
        key = (location, coroutine)
        id = self._by_key.get(key)
        if id is None:
            id = self._by_key[key] = len(self._by_key) + 1
            if location == api.UNKNOWN:
                site = model.Site(id, "task", model.Frame("", 0, coroutine), None, coroutine, "unknown")
            else:
                frame = api.place(location)
                site = model.Site(id, "task", frame, frame if frame.origin == "user" else None, coroutine)
            self.sites[id] = SiteTally(site)
            self.new_sites.append(site)
        return self.sites[id]

    def _site_of(self, coroutine: str) -> SiteTally:
        """The site of a task without a location: the only one of its coroutine, else an unknown one."""
        known = [id for (_, name), id in self._by_key.items() if name == coroutine]
        return self.sites[known[0]] if len(known) == 1 else self._site(api.UNKNOWN, coroutine)


def another_process(before: Look, now: Look) -> bool:
    """Whether the two looks contradict each other, so two processes answer on one port.

    Tasks that existed before, by their age or the number in their name, must be in the earlier list.
    """
    seen = {task.id for task in before.live}
    since = now.answered - before.asked + SLACK
    old = [task.id for task in now.live if task.age is not None and task.age > since]
    if not old:
        highest = max((_number(task) for task in before.live), default=0)
        old = [task.id for task in now.live if 0 < _number(task) <= highest]
    return 2 * sum(id not in seen for id in old) > len(old)


def _number(task: api.LiveTask) -> int:
    match = _NUMBERED.fullmatch(task.name)
    return int(match[1]) if match else 0
