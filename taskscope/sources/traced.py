"""A recording as a trace: every task that its details name, as long as it was seen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from taskscope import wire
from taskscope.checked import unpack
from taskscope.export.trace import Span, Trace
from taskscope.export.trace_stream import OLDER
from taskscope.model import Sample, requests
from taskscope.model.recording import Found, Start
from taskscope.sources.rpc import unpacked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from taskscope.model import Ended, Hello, Stall, Task
    from taskscope.sources.recorded import RecordedSource

MAX_SPANS = 300_000
"""Tasks of one agent that are shown; what comes later is left out."""

_KINDS: dict[Any, type[requests.Request[Any]]] = {
    each.method: each for each in (requests.Tasks, requests.Task, requests.Ended, requests.Stalls)
}

POINTS = 1_000
"""Values of a site's count, at most, over the whole recording."""


class RecordedTrace:
    """The trace of an opened recording, written step by step."""

    def __init__(self, source: RecordedSource, write: Callable[[bytes], object]) -> None:
        self.tasks = 0
        """Tasks in it, once it is complete."""
        self.samples = 0
        """Samples in it, so far."""
        self._source = source
        self._write = write

    def steps(self) -> Iterator[float]:
        """Writes it; yields the moments that it has come to, so that whoever waits can tell how far it is."""
        source = self._source
        fold: _Fold | None = None
        for kind, value in source.every_line():
            try:
                if kind == "start":
                    hello = unpack(Start, value).hello
                    fold = fold or _Fold(
                        Trace(self._write, hello.process), (source.end - source.begin) / POINTS
                    )
                    fold.begin(hello)
                elif fold is not None:
                    fold.feed(kind, value)
                    self.samples += kind == "sample"
                    yield fold.wall
            except wire.WireError:
                source.damaged += 1
        if fold is None:
            return
        fold.flush()
        fold.trace.close()
        self.tasks = fold.trace.spans


class _Fold:
    """What has been read of one agent, until it is written."""

    def __init__(self, trace: Trace, step: float) -> None:
        self.trace = trace
        self.wall = 0.0
        """When the last sample was taken."""
        self._step = step
        self._since: float | None = None
        self._offset = 0.0  # from the target's monotonic clock to the epoch
        self._tasks: dict[int, Task] = {}
        self._seen: dict[int, float] = {}
        self._ended: dict[int, Ended] = {}
        self._stalls: dict[tuple[int, float], Stall] = {}
        self._counted: dict[int, float] = {}
        self._alarms: set[object] = set()

    def begin(self, hello: Hello) -> None:
        """A member begins, of the same agent or another."""
        if self._since is not None and self._since != hello.agent_since:
            self.flush()
            self.trace.restart()
        self._since, self._offset = hello.agent_since, hello.wall - hello.monotonic

    def feed(self, kind: str, value: Any) -> None:
        """The next line.  Raises WireError."""
        if kind == "sample":
            self._sample(unpack(Sample, value))
        elif kind == "findings":
            self._findings(unpack(Found, value))
        elif kind == "answer":
            self._answered(value)

    def _answered(self, value: Any) -> None:
        match value:
            case {"method": str(method), "value": answer, "monotonic": float(seen)} if method in _KINDS:
                self._answer(unpacked(_KINDS[method], answer), seen)

    def _sample(self, sample: Sample) -> None:
        self.wall, self._offset = sample.wall, sample.wall - sample.monotonic
        self.trace.sites.update((site.id, site) for site in sample.new_sites)
        self.trace.sample(sample)
        for each in sample.sites:
            if sample.wall >= self._counted.get(each.site, 0.0) + self._step:
                self._counted[each.site] = sample.wall
                self.trace.live(each.site, each.counts.live, sample.wall)

    def _findings(self, found: Found) -> None:
        alarms = {(each.level, each.kind, each.id, each.site): each for each in found.findings}
        for key, finding in alarms.items():
            if finding.level != "info" and key not in self._alarms:
                self.trace.finding(finding, found.monotonic + self._offset)
        self._alarms = set(alarms)

    def _answer(self, answer: Any, seen: float) -> None:
        for each in getattr(answer, "tasks", ()):
            self._note(each, seen)
        if (task := getattr(answer, "task", None)) is not None:
            for each in (task, *answer.waits_for, *answer.awaited_by):
                self._note(each, seen)
        if isinstance(answer, tuple):
            for each in answer:
                if hasattr(each, "duration"):
                    self._stalls[each.loop, each.began] = each
                elif len(self._ended) < MAX_SPANS:
                    self._ended[each.serial] = each

    def _note(self, task: Task, seen: float) -> None:
        if len(self._tasks) < MAX_SPANS or task.serial in self._tasks:
            self._tasks[task.serial] = task
            self._seen[task.serial] = max(seen, self._seen.get(task.serial, 0.0))

    def flush(self) -> None:
        """Writes the spans of what was seen of this agent."""
        for serial in self._tasks.keys() | self._ended.keys():
            self.trace.span(self._span(serial))
        for stall in self._stalls.values():
            self.trace.stall(stall, stall.began + self._offset)
        for every in (self._tasks, self._seen, self._ended, self._stalls, self._counted):
            every.clear()
        self._alarms.clear()

    def _span(self, serial: int) -> Span:
        task, ended = self._tasks.get(serial), self._ended.get(serial)
        named = task or ended
        assert named is not None
        since = self._since or 0.0
        begin = since if named.birth is None else named.birth
        end = ended.end if ended else self._seen[serial]
        args: dict[str, Any] = {"began": OLDER} if named.birth is None else {}
        args |= {"ended": ended.outcome} if ended else {"last seen": "at its end"}
        if ended and ended.error:
            args["error"] = ended.error
        names = (serial, named.name, named.coroutine, named.site)
        span = Span(*names, 0, 0, begin + self._offset, end + self._offset, args)
        return replace(span, loop=task.loop, parent=task.parent) if task else span
