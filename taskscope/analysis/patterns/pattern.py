"""What a pattern is: one known reason for trouble, with all that is ever said of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskscope.model import Cause, Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from taskscope.analysis.clues import Clues
    from taskscope.analysis.onset import Onset
    from taskscope.analysis.resources import Exhausted
    from taskscope.model import Frame, Loop, ParkedGroup, Stall, Thread
    from taskscope.model.vocabulary import FindingKind

BOUNDED = -2
"""The sign of what cannot grow past its bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """``name`` is stable: outputs carry it.  ``explanation``: what goes on.  ``remedy``: the usual fix."""

    name: str
    explanation: str
    remedy: str

    def cause(self, text: str, evidence: tuple[str, ...]) -> Cause:
        """This pattern as the cause of a finding; ``text`` is the sentence for it."""
        return Cause(self.name, text, evidence, f"{self.explanation} {self.remedy}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePattern(Pattern):
    """Why the tasks or threads of one site do not end.

    ``check`` returns the sentence that says what was seen, or None where the pattern does not fit.  ``sign``:
    how far the pattern shows that they will not end (see ``causes.signs``).  None: it shows nothing.
    """

    check: Callable[[Clues], str | None]
    sign: int | Callable[[Clues], int | None] | None = None

    def sign_of(self, seen: Clues) -> int | None:
        return self.sign(seen) if callable(self.sign) else self.sign


@dataclass(frozen=True, slots=True)
class Process:
    """What loops and pools do at the moment ``now``.  ``slow``: since when callbacks are late.

    ``exhausted``: resources that have met their limit.
    """

    now: float
    stalls: Sequence[Stall]
    threads: Sequence[Thread]
    loops: Sequence[Loop]
    slow: Onset
    exhausted: Sequence[Exhausted] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindrance(Pattern):
    """What holds a whole loop, pool or process up.  ``noun`` and ``did`` count it: ``2 lines`` ``did``."""

    find: Callable[[Process], tuple[Finding, ...]]
    noun: str
    did: str = ""


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
        return "where they wait is not known"
    sampled = seen.facts.sampled
    share = f"all {sampled:,}" if group.live == sampled > 1 else f"{group.live:,} of {sampled:,}"
    return f"{share} wait at {parked_at(group)} ({group.text})"


def process_note(
    kind: FindingKind, frame: Frame, since: Onset, text: str, evidence: dict[str, object], cause: Cause
) -> Finding:
    """A finding that belongs to no site, at ``info``: worth a note, no leak."""
    return Finding(
        level="info",
        kind=kind,
        id=0,
        site=frame,
        user_site=frame if frame.origin == "user" else None,
        coroutine=frame.function,
        live=0,
        rate_per_min=0.0,
        since=since.since,
        since_at_least=since.at_least,
        text=text,
        evidence=evidence,
        cause=cause,
    )
