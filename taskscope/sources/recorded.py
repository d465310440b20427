"""A recording as a source: it shows one moment, at first the last, and moves to any other."""

from __future__ import annotations

import asyncio
import contextlib
import time as clock
from typing import TYPE_CHECKING, Any, TypeVar, cast

from taskscope import model, wire
from taskscope.checked import unpack
from taskscope.export.recording import RecordingError
from taskscope.export.recording_file import LATEST, RecordingFile
from taskscope.model import Sample, requests
from taskscope.model.recording import Found
from taskscope.model.state import merge
from taskscope.sources.base import NotAvailable, SourceError
from taskscope.sources.lines import text_in
from taskscope.sources.moment import Moment
from taskscope.sources.rpc import unpacked
from taskscope.sources.saved import source_here

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from taskscope.model.requests import Request

T = TypeVar("T")

WINDOW = 620.0
"""Seconds before a moment that are read to the second; what lies before, one point for each member."""

MAX_COARSE, COARSE_SECONDS = 600, 1.0
"""Members read for the time before, and the seconds that may take."""

_NO: dict[type[Request[Any]], str] = {
    requests.SetInterval: "a recording has no sampling interval",
    requests.Cancel: "the tasks in a recording cannot be cancelled",
    requests.Console: "A recording has no console: it needs a running process.",
    requests.Snapshot: "a recording holds no snapshot: it has the details of the worst sites only",
    requests.Groups: "not recorded: a recording does not walk all tasks",
    requests.Tasks: "not recorded at this time: a recording lists the oldest tasks of the worst sites",
    requests.Task: "not recorded at this time: a recording has the oldest tasks of the worst sites",
    requests.Thread: "not recorded at this time: a recording has the stacks of a few threads",
    requests.Ended: "not recorded at this time",
    requests.Timers: "not recorded at this time: timers are recorded every five minutes",
    requests.Resources: "not recorded at this time: resources are recorded every five minutes",
}


class RecordedSource:
    """The recording at ``path``.  ``begin``, ``end`` and ``position`` are seconds since the epoch.

    ``samples`` yields what brings a picture from the last moment yielded to the one shown: a full sample
    after a jump, else what has changed.
    """

    live = False

    def __init__(self, path: str) -> None:
        self.path = path
        self.begin = self.end = self.position = 0.0
        self.damaged = 0
        """Lines that could not be read."""
        self._file: RecordingFile | None = None
        self._past = Moment()
        self._moment = Moment()
        self._lines: Iterator[tuple[float, str, Any]] = iter(())
        self._next: tuple[float, str, Any] | None = None
        self._new: list[model.Sample] = []
        self._jumped = True

    # -- the protocol of sources

    async def open(self) -> model.Hello:
        """Reads the file and goes to its end.  Raises SourceError if it is not a recording."""
        try:
            await asyncio.to_thread(self._open)
        except RecordingError as error:
            raise SourceError(str(error)) from None
        return self.hello

    async def close(self) -> None:
        """Closes the file; idempotent."""
        if self._file is not None:
            self._file.close()

    async def samples(self) -> AsyncIterator[model.Sample]:
        """Yields one sample at most: the way from the last moment yielded to the one shown."""
        whole = self._moment.state.whole()
        if self._jumped and whole is not None:
            self._jumped, self._new = False, []
            yield whole
        elif self._new:
            new, self._new = self._new, []
            yield merge(*new)

    async def ask(self, request: Request[T]) -> T:
        own = getattr(self, f"_{request.method}", None)
        if own is not None:
            return cast("T", await own(request))
        return self._recorded(request)

    # -- moving

    @property
    def hello(self) -> model.Hello:
        """Of the agent that was recorded at the moment shown."""
        hello = self._moment.hello
        assert hello is not None
        return hello

    @property
    def findings(self) -> tuple[model.Finding, ...]:
        """The findings at the moment shown, worst first."""
        return self._moment.findings

    @property
    def judged(self) -> model.Judged:
        """How long had been judged at the moment shown."""
        return model.Judged(self.position - self.begin)

    def texts(self, sites: Iterable[model.Site]) -> dict[int, str]:
        """The text of the lines of sites as it was then, where it is known."""
        known: list[model.SourceLines] = []
        for each in self._moment.answers:
            if isinstance(each, requests.Source):
                with contextlib.suppress(NotAvailable):  # damaged
                    known.append(self._recorded(each))
        found = {}
        for site in sites:
            text = next((text for lines in known if (text := text_in(lines, site.frame))), "")
            if text:
                found[site.id] = text
        return found

    def every_line(self) -> Iterator[tuple[str, Any]]:
        """All lines, unchecked: a kind and its value."""
        for _, kind, value in self._read(0, len(self._opened.members)):
            yield kind, value

    def every_sample(self) -> Iterator[model.Sample]:
        """All samples, one after the other; those that are damaged are left out."""
        for kind, value in self.every_line():
            if kind == "sample":
                try:
                    yield unpack(Sample, value)
                except wire.WireError:
                    self.damaged += 1

    async def seek(self, time: float) -> None:
        """Jumps to a moment."""
        await asyncio.to_thread(self._seek, time)

    async def advance(self, seconds: float) -> None:
        """Moves on by some seconds, at most to the end."""
        await asyncio.to_thread(self._run_to, min(self.position + seconds, self.end))

    async def next_finding(self) -> bool:
        """Jumps to where the next finding begins; False if none does."""
        time = await asyncio.to_thread(self._next_finding)
        if time is not None:
            await self.seek(time)
        return time is not None

    # -- reading

    @property
    def _opened(self) -> RecordingFile:
        if self._file is None:
            raise SourceError(f"{self.path} has not been opened")
        return self._file

    def _open(self) -> None:
        file = self._file = RecordingFile(self.path)
        times = [time for time, kind, _ in self._read(0, 1) if kind == "sample"]
        for number in reversed(range(len(file.members))):
            if ends := [time for time, kind, _ in self._read(number, number + 1) if kind == "sample"]:
                self.begin, self.end = times[0] if times else ends[0], ends[-1]
                break
        else:
            raise RecordingError(f"{self.path} is damaged: no sample in it can be read")
        self._read_past()
        self._seek(self.end)
        if self._moment.state.sample is None:
            raise RecordingError(f"{self.path} is damaged: no sample in it can be read")

    def _read(self, first: int, last: int) -> Iterator[tuple[float, str, Any]]:
        """The lines of some members, with their time."""
        file = self._opened
        for number in range(first, last):
            member = file.members[number]
            time = member.at
            for kind, value in file.lines(number):
                if kind == "sample" and isinstance(value, dict):
                    now = value.get("monotonic")
                    if isinstance(now, (int, float)) and 0 <= now < LATEST:
                        time = max(time, member.at + now - member.monotonic)
                yield time, kind, value

    def _read_past(self) -> None:
        """One point of each member, for the time before the seconds that are read in full."""
        file, until = self._opened, clock.monotonic() + COARSE_SECONDS
        step = -(-len(file.members) // MAX_COARSE)
        for number in range(0, len(file.members), step):
            samples = 0
            for _, kind, value in self._read(number, number + 1):
                samples += kind == "sample"
                if samples == 2 and number:  # in the first one, the agent's own record is among its lines
                    break
                if kind in ("start", "sample", "history", "site_history"):
                    self._feed(self._past, kind, value)
            if clock.monotonic() > until:
                return

    def _seek(self, time: float) -> None:
        file, time = self._opened, min(max(time, self.begin), self.end)
        number = file.member_at(time)
        shown, moment, self._moment = self.position, self._moment, Moment()
        self._lines = self._read(file.member_at(time - WINDOW), len(file.members))
        self._next, self._new = None, []
        self._run_to(time)
        if self._moment.state.sample is None:  # all of it is damaged
            self._moment, self.position = moment, shown
            self._lines = self._read(number, len(file.members))
            return
        self._jumped = True

    def _run_to(self, time: float) -> None:
        remembered = self._moment.state.sample is not None
        while (line := self._next or next(self._lines, None)) is not None:
            self._next = None
            at, kind, value = line
            if at > time + 0.0005:  # times are kept to the millisecond
                self._next = line
                break
            before = self._moment.hello
            sample = self._feed(self._moment, kind, value)
            if sample is not None:
                self._new.append(sample)
                if not remembered:
                    remembered = True
                    self._moment.remember(self._past)
            elif self._moment.hello is not before and before is not None:
                self._jumped = self._jumped or before.agent_since != self.hello.agent_since
            if len(self._new) >= 256:
                self._new = [merge(*self._new)]
        self.position = time

    def _feed(self, moment: Moment, kind: str, value: Any) -> model.Sample | None:
        try:
            return moment.feed(kind, value)
        except wire.WireError:
            self.damaged += 1
            return None

    def _next_finding(self) -> float | None:
        file, known = self._opened, _alarms(self.findings)
        for number in range(file.member_at(self.position), len(file.members)):
            member = file.members[number]
            for text in file.raw_lines(number):
                if not text.startswith(b'{"findings"'):
                    continue
                try:
                    found = unpack(Found, wire.decode(text)["findings"])
                except (wire.WireError, TypeError, KeyError):
                    continue
                time = member.at + found.monotonic - member.monotonic
                if time <= self.position + 0.0005:
                    continue
                now = _alarms(found.findings)
                if now - known:
                    return time
                known = now
        return None

    # -- answers

    def _recorded(self, request: Request[T]) -> T:
        answer = self._moment.answers.get(request)
        if answer is None:
            raise NotAvailable(_NO.get(type(request), "not recorded at this time"))
        try:
            return unpacked(type(request), answer.value)
        except wire.WireError as error:
            raise NotAvailable(f"this part of the recording is damaged: {error}") from None

    async def _history(self, query: requests.History) -> model.History:
        return self._moment.history(query.seconds)

    async def _site_history(self, query: requests.SiteHistory) -> tuple[model.SiteHistory, ...]:
        return tuple(self._moment.site_history(site, query.seconds) for site in query.sites)

    async def _tasks(self, query: requests.Tasks) -> model.TaskPage:
        """The beginning of the list, whatever the page."""
        import dataclasses

        for known in self._moment.answers:
            if isinstance(known, requests.Tasks) and known.sites == query.sites:
                if query.parent is not None or query.parked is not None or query.order != known.order:
                    break
                page = self._recorded(known)
                tasks = page.tasks if query.after is None else ()
                return dataclasses.replace(page, tasks=tasks[: query.limit], after=None)
        raise NotAvailable(_NO[requests.Tasks])

    async def _ended(self, query: requests.Ended) -> tuple[model.Ended, ...]:
        return self._whatever(requests.Ended)[: query.limit]

    async def _timers(self, query: requests.Timers) -> model.Timers:
        return self._whatever(requests.Timers)

    async def _resources(self, query: requests.Resources) -> model.Resources:
        return self._whatever(requests.Resources)

    def _whatever(self, kind: type[Request[T]]) -> T:
        """The answer to a request of that kind, with whatever parameters it was recorded."""
        for known in self._moment.answers:
            if isinstance(known, kind):
                return self._recorded(known)
        raise NotAvailable(_NO[kind])

    async def _source(self, query: requests.Source) -> model.SourceLines:
        """As it was recorded; else the file as it is on this machine now."""
        asked = [each for each in self._moment.answers if isinstance(each, requests.Source)]
        of_file = [each for each in asked if each.file == query.file]
        for known in sorted(of_file, key=lambda each: abs(each.line - query.line)):
            lines = self._recorded(known)
            if lines.first <= query.line < lines.first + len(lines.lines):
                return lines
        return source_here(query, "the recording does not contain its source")


def _alarms(findings: tuple[model.Finding, ...]) -> set[tuple[object, ...]]:
    """What is alarming in these findings."""
    return {
        (each.level, each.kind, each.id, each.site.file, each.site.line)
        for each in findings
        if each.level != "info"
    }
