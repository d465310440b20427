"""A pattern: one known cause of trouble, with its check and all its text."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from taskscope.model import Cause, Finding, Frame
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from taskscope.analysis.busier import Busier
    from taskscope.analysis.churn import Climbing
    from taskscope.analysis.clues import Clues
    from taskscope.analysis.fruitless import Fruitless
    from taskscope.analysis.mishaps import MishapTrack
    from taskscope.analysis.onset import Onset
    from taskscope.analysis.piles import Grown
    from taskscope.analysis.resources import Climb, Exhausted
    from taskscope.analysis.spinning import Spinning
    from taskscope.analysis.stock import PiledResource
    from taskscope.analysis.strength import Strength
    from taskscope.analysis.timers import PiledUp
    from taskscope.model import Loop, ParkedGroup, Resource, Stall, Thread, WaitGraph
    from taskscope.model.vocabulary import FindingKind, Level, Reason

UNKNOWN = Frame("", 0, "(unknown)", "stdlib")
"""A line that is not known."""


class Said(NamedTuple):
    """The sentence of a cause; ``shorter``: forms of it for where there is less room, longest first."""

    text: str
    shorter: tuple[str, ...] = ()


def said(what: str, how: str = "", more: str = "") -> Said:
    """``what: how; more``, where each may be left out with what follows it."""
    explained = f"{what}: {how}" if how else what
    text = f"{explained}; {more}" if more else explained
    return Said(text, tuple(dict.fromkeys(each for each in (explained, what) if each != text)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """``name`` is stable output.  ``explanation``: what happens.  ``remedy``: the usual fix.

    Patterns of one name are one fault, whose fix depends on what was seen.
    """

    name: str
    explanation: str
    remedy: str

    def cause(self, sentence: Said | str, evidence: tuple[str, ...]) -> Cause:
        """The cause of a finding."""
        text, shorter = sentence if isinstance(sentence, Said) else (sentence, ())
        return Cause(self.name, text, evidence, f"{self.explanation} {self.remedy}", shorter)


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePattern(Pattern):
    """Why the tasks or threads of one site do not end.

    ``check`` returns the sentence for the cause, or None if the pattern does not match.  ``strength``: None
    if it leaves that to other evidence.  ``only_names``: it leaves that to the next pattern that matches.
    """

    check: Callable[[Clues], Said | str | None]
    strength: Strength | Callable[[Clues], Strength | None] | None = None
    only_names: bool = False

    def strength_of(self, seen: Clues) -> Strength | None:
        return self.strength(seen) if callable(self.strength) else self.strength


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """The state of loops and pools at ``now``.  ``slow``: since when callbacks run late.

    ``exhausted``: resources at their limit; ``climbs``: those that climb; ``timers``, ``piled``: timers
    and other resources that grow; ``descriptors``: all that are open, by what they are;
    ``climbing``: sites that start ever more tasks, ``fruitless``: that start them for nothing;
    ``busier``: the CPU climbs.
    """

    now: float
    stalls: Sequence[Stall]
    threads: Sequence[Thread]
    loops: Sequence[Loop]
    slow: Onset
    exhausted: Sequence[Exhausted] = ()
    climbs: Sequence[Climb] = ()
    waits: WaitGraph | None = None
    mishaps: MishapTrack | None = None
    timers: Sequence[PiledUp] = ()
    piled: Sequence[PiledResource] = ()
    descriptors: Sequence[Resource] = ()
    spins: Sequence[Spinning] = ()
    climbing: Sequence[Climbing] = ()
    fruitless: Sequence[Fruitless] = ()
    busier: Busier | None = None

    @property
    def piles(self) -> list[Grown]:
        """All that piles up."""
        return [*(each.grown for each in self.timers), *(each.grown for each in self.piled)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessPattern(Pattern):
    """What holds up a whole loop, pool or process.  Several are summed up as ``2 {noun}s{verb}``."""

    find: Callable[[ProcessFacts], tuple[Finding, ...]]
    noun: str
    verb: str = ""


def place(frame: Frame) -> str:
    """``service.py:40``."""
    return f"{frame.file.rpartition('/')[2]}:{frame.line}"


def parked_at(group: ParkedGroup) -> str:
    """``service.py:40 in work``."""
    return f"{place(group.frame)} in {group.frame.function}"


def where_they_wait(seen: Clues) -> str:
    """``all 40 wait at service.py:40 in work (asyncio.sleep)``."""
    group = seen.group
    if group is None:
        return "where they wait is unknown"
    sampled = seen.facts.sampled
    share = f"all {sampled:,}" if group.live == sampled > 1 else f"{group.live:,} of {sampled:,}"
    return f"{share} wait at {parked_at(group)} ({group.text})"


def process_finding(
    kind: FindingKind,
    why: Reason,
    frame: Frame,
    since: Onset,
    text: str,
    evidence: dict[str, object],
    cause: Cause,
) -> Finding:
    """A finding about the whole process, at level ``info``."""
    user = frame if frame.origin == "user" else None
    return line_finding("info", kind, why, frame, user, since, text, evidence, cause, live=0)


def line_finding(
    level: Level,
    kind: FindingKind,
    why: Reason,
    frame: Frame,
    user: Frame | None,
    since: Onset,
    text: str,
    evidence: dict[str, object],
    cause: Cause,
    *,
    live: int = 1,
) -> Finding:
    """A finding at a line, not on a site.  ``live``: how many of what it is about."""
    return Finding(
        level=level,
        kind=kind,
        id=0,
        site=frame,
        user_site=user,
        coroutine=frame.function,
        live=live,
        rate_per_min=0.0,
        since=since.since,
        since_at_least=since.at_least,
        text=text,
        evidence={"why": why, **evidence},
        cause=cause,
    )
