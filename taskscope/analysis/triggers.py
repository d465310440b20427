"""Decides when a rule fires: samples, findings and stalls in, what is new out.

Whatever a rule sees has a key: the line that leaks, the line that blocked the loop, the resource.  It is
reported once, and again only after it was away for a while: a leak that lasts all night is one leak.
"""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import TYPE_CHECKING

from taskscope.text import bytes as spelt_bytes
from taskscope.text import count, latency, place, seconds
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from taskscope.analysis.rules import Rule
    from taskscope.model import Finding, Frame, Process, Sample, Stall

AWAY = 600.0
"""Seconds without it after which the same thing is reported again."""

MAX_KEYS = 1_000
"""Things remembered; beyond this the one not seen for longest is forgotten."""

POINTS = 240
"""Points of the live count per window of ``growth``."""

LEAST = 10
"""Tasks gained below which growth in percent means nothing."""

_SPELT = {"fds": "descriptors", "rss": "memory", "threads": "threads"}


@dataclass(frozen=True, slots=True)
class Event:
    """Something new.  ``word``: that of the rule it answers to; ``text``: a sentence."""

    key: Hashable
    word: str
    text: str
    finding: Finding | None = None


class Triggers:
    """What one rule waits for, on one run of a target."""

    def __init__(self, rule: Rule, process: Process) -> None:
        self.rule = rule
        self.due: dict[Hashable, Event] = {}
        """What nobody has acted on yet, worst first as it came."""
        self._process = process
        self._seen: dict[Hashable, float] = {}
        self._done: set[Hashable] = set()
        self._counts: deque[tuple[float, int]] = deque()
        self._until = float("inf")

    def see(self, sample: Sample, findings: Sequence[Finding], stalls: Sequence[Stall]) -> None:
        """Takes in the state after a sample."""
        self._process = sample.process or self._process
        now = sample.monotonic
        self._forget(now)
        for event in self._events(sample, findings, stalls):
            self._seen.pop(event.key, None)  # to the end: the order is that of forgetting
            self._seen[event.key] = now
            if event.key not in self._done:
                self.due[event.key] = event
        self._until = now

    def done(self, events: Sequence[Event]) -> None:
        """Somebody has acted on these."""
        for each in events:
            self.due.pop(each.key, None)
            if each.word == "growth":
                self._counts.clear()  # the next window begins now
            else:
                self._done.add(each.key)

    def impossible(self) -> Iterator[str]:
        """Sentences on what can never be seen of this process."""
        for resource in self.rule.shares:
            if self._process.limit(resource) is None:
                yield f"no limit of its {_SPELT[resource]} is known"

    def _forget(self, now: float) -> None:
        for key, seen in list(self._seen.items()):
            if now - seen < AWAY and len(self._seen) <= MAX_KEYS:
                break
            del self._seen[key]
            self._done.discard(key)
            self.due.pop(key, None)

    def _events(
        self, sample: Sample, findings: Sequence[Finding], stalls: Sequence[Stall]
    ) -> Iterator[Event]:
        for each in findings:
            if each.level in self.rule.levels:
                key = each.kind, each.id, _line(each.site)
                yield Event(key, each.level, f"{each.level}: {place(each)}, {each.text}", each)
        yield from self._of_stalls(stalls)
        for resource, share in self.rule.shares.items():
            used, limit = getattr(sample, resource), self._process.limit(resource)
            if used is not None and limit and used >= share * limit:
                spell = spelt_bytes if resource == "rss" else count
                text = f"{_SPELT[resource]}: {spell(used)} of {spell(limit)} in use"
                yield Event(resource, _SPELT[resource], text)
        yield from self._of_growth(sample)

    def _of_stalls(self, stalls: Sequence[Stall]) -> Iterator[Event]:
        if self.rule.stall is None:
            return
        for each in stalls:
            lasts = not each.over or each.began + each.duration > self._until  # the others are known
            if lasts and each.duration >= self.rule.stall:
                own = (frame for frame in each.stack if frame.origin == "user")
                where = next(own, each.stack[0] if each.stack else None)
                at = f" at {where.file}:{where.line} in {where.function}" if where else ""
                text = f"stall: an event loop did not run for {latency(each.duration)}{at}"
                yield Event(("stall", each.why, where and (where.file, where.function)), "stall", text)

    def _of_growth(self, sample: Sample) -> Iterator[Event]:
        if self.rule.growth is None:
            return
        share, window = self.rule.growth
        counts, now = self._counts, sample.monotonic
        if not counts or now - counts[-1][0] >= window / POINTS:
            counts.append((now, sample.tasks.live))
        while len(counts) > 1 and counts[1][0] <= now - window:
            counts.popleft()
        if now - counts[0][0] < 0.99 * window:
            return
        tenth = max(1, len(counts) // 10)
        values = [value for _, value in counts]
        before, after = median(values[:tenth]), min(values[-tenth:])  # a burst that ends is none
        if after - before >= LEAST and after > before * (1 + share):
            text = f"growth: live tasks from {count(before)} to {count(after)} in {seconds(window)}"
            yield Event("growth", "growth", text)


def _line(frame: Frame) -> tuple[str, int, str]:
    return frame.file, frame.line, frame.function
