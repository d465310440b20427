"""Records a source: samples, findings and details as lines of a recording, in bounded memory.

It is one more picture of a `Pump`, and folds as all others do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

from taskscope import __version__, wire
from taskscope.export.recording import line
from taskscope.model import History, SiteCounts, requests
from taskscope.model.recording import FORMAT, SCHEMA, Answer, Found, Start
from taskscope.model.state import TargetState
from taskscope.sources.base import SourceError
from taskscope.sources.details import Details
from taskscope.sources.pump import Pump

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from taskscope.export.recording import RecordingWriter
    from taskscope.model import Finding, Hello, Sample, SiteHistory
    from taskscope.model.recording import Kind
    from taskscope.model.requests import Request
    from taskscope.sources.base import Source

MEMBER_SECONDS = 60.0
"""A member is at least this long: to show a moment, it is read from its beginning."""

MEMBER_SHARE = 3
"""A member's lines are at least so many times its first ones, which repeat what is known."""

MEMBER_BYTES = 8 << 20
"""Bytes of a member, before compression, at which another begins in any case."""

FINDINGS_EVERY = 10.0
"""Seconds between findings that differ in numbers only; another verdict is written at once."""

DETAILS_EVERY = 60.0
DETAILS_SOON = 5.0
"""Seconds between looks at details; the latter after another verdict."""

DETAILS_KEPT = 900.0
"""Seconds for which details are repeated."""

RESOURCES_EVERY = 300.0
"""Seconds between looks at timers and other resources, which cost the target a walk over its objects."""

KEEPS = 20
"""Fewest timers, or resources, of a group of which it is told what they keep alive."""

MAX_ANSWER, MAX_ANSWERS = 256 << 10, 1 << 20
"""Bytes of one answer, and of those that a new member repeats."""


class Recorder:
    """Writes what ``source`` shows."""

    def __init__(self, source: Source, hello: Hello, writer: RecordingWriter) -> None:
        self.samples = 0
        self.findings: tuple[Finding, ...] = ()
        self._source = source
        self._hello = hello
        self._writer = writer
        self._pump = Pump(source, hello, self)
        self._state = TargetState(hello)
        self._waiting: list[bytes] = []
        self._answers: dict[Request[Any], tuple[float, bytes]] = {}
        self._found = b""
        self._verdict: object = None
        self._verdict_at = self._details_at = self._resources_at = self._member_at = float("-inf")
        self._first_bytes = 0
        self._looking: asyncio.Task[None] | None = None
        self._caught_up = asyncio.Event()

    async def record(self, interval: float) -> AsyncGenerator[Sample, None]:
        """Yields each sample once it is written.  Raises SourceError, RecordingError."""
        judging = asyncio.create_task(self._judge(), name="taskscope-judging")
        try:
            async for sample in self._pump.samples(interval):
                self._take(sample)
                yield sample
        finally:
            for task in filter(None, (judging, self._looking)):
                task.cancel()
                await asyncio.wait([task])
            if self._waiting and self._first_bytes:
                self._writer.add(self._waiting)

    async def caught_up(self) -> None:
        """Waits until all samples so far are judged."""
        await self._caught_up.wait()

    def apply(self, sample: Sample) -> None:
        """The next sample."""
        self.samples += 1
        self._caught_up.clear()
        self._state.apply(sample)

    def recall(self, past: History | tuple[SiteHistory, ...]) -> None:
        """What the agent knows of the time before."""
        kind: Kind = "history" if isinstance(past, History) else "site_history"
        self._waiting.append(line(kind, wire.pack(past)))

    async def _judge(self) -> None:
        """Judges beside the samples: an agent that is slow to answer delays verdicts only."""
        with contextlib.suppress(SourceError):  # the samples tell why
            while True:
                await self._pump.came()
                taken, now = self.samples, self._state.now
                self.findings = await self._pump.judged()
                self._note_findings(now)
                if taken == self.samples:
                    self._caught_up.set()

    def _take(self, sample: Sample) -> None:
        """Writes a sample, after what came since the last one."""
        now = sample.monotonic
        told, self._waiting = self._waiting, []
        if not self._is_long(now):
            self._writer.add([*told, line("sample", _packed(sample))])
        else:
            if told and self._first_bytes:
                self._writer.add(told)
            self._begin()
        self._look(now)

    def _note_findings(self, now: float) -> None:
        """Notes the findings if they differ from the last ones."""
        verdict = [
            (each.level, each.kind, each.id, each.site, each.why, each.cause and each.cause.pattern)
            for each in self.findings
        ]
        if verdict == self._verdict and now < self._verdict_at + FINDINGS_EVERY:
            return
        if verdict != self._verdict:
            self._details_at = min(self._details_at, now - DETAILS_EVERY + DETAILS_SOON)
        self._verdict, self._verdict_at = verdict, now
        self._found = line("findings", wire.pack(Found(now, self.findings)))
        self._waiting.append(self._found)

    def _is_long(self, now: float) -> bool:
        """Whether another member has to begin."""
        begun, due = self._writer.begun, MEMBER_SHARE * self._first_bytes
        return begun > max(MEMBER_BYTES, due) or (now >= self._member_at + MEMBER_SECONDS and begun >= due)

    def _begin(self) -> None:
        """Begins a member: everything that is known now."""
        whole = self._state.whole()
        assert whole is not None
        hello = self._state.hello or self._hello
        start = Start(FORMAT, SCHEMA, __version__, hello)
        repeated = [text for _, text in self._answers.values()]
        lines = [line("start", wire.pack(start)), line("sample", _packed(whole)), *repeated]
        if self._found:
            lines.append(self._found)
        self._writer.begin(whole.wall, whole.monotonic, lines)
        self._member_at, self._first_bytes = whole.monotonic, self._writer.begun

    # -- details

    def _look(self, now: float) -> None:
        """Reads the details now and then, beside the samples."""
        if now < self._details_at + DETAILS_EVERY or (self._looking and not self._looking.done()):
            return
        self._details_at = now
        self._looking = asyncio.create_task(self._ask(), name="taskscope-details")

    async def _ask(self) -> None:
        counts = [state.counts for state in self._state.sites.values() if state.site.kind == "task"]
        found = Details(self._source)
        with contextlib.suppress(SourceError):  # the samples tell why
            await found.look(self.findings, counts)
            if self._state.now >= self._resources_at + RESOURCES_EVERY:
                self._resources_at = self._state.now
                for whole in (requests.Timers(keeps=KEEPS), requests.Resources(keeps=KEEPS)):
                    await found.ask(whole)
        for question, answer in found.told.items():
            self._note(question, answer)

    def _note(self, question: Request[Any], answer: Any) -> None:
        params = json.loads(json.dumps(requests.params(question)))
        text = line("answer", wire.pack(Answer(self._state.now, question.method, params, answer)))
        if len(text) > MAX_ANSWER:
            return
        self._answers.pop(question, None)
        self._answers[question] = (self._state.now, text)
        size = sum(len(each) for _, each in self._answers.values())
        for old, (at, each) in list(self._answers.items()):
            if size <= MAX_ANSWERS and at >= self._state.now - DETAILS_KEPT:
                break
            size -= len(each)
            del self._answers[old]
        self._waiting.append(text)


def _packed(sample: Sample) -> dict[str, Any]:
    """A sample with its counts as rows, as agents send it."""
    packed = {name: wire.pack(getattr(sample, name)) for name in sample.__slots__ if name != "sites"}
    rows: tuple[SiteCounts, ...] = sample.sites
    return packed | {"sites": [wire.pack_row(each) for each in rows]}
