"""Timers that are armed again and again, due late, and never cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis.patterns.pattern import ProcessPattern, Said, place, said
from taskscope.model import Finding, Frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from taskscope.analysis.resources import Climb
    from taskscope.analysis.timers import PiledUp
    from taskscope.model import KeptByTimers


HALF = 0.5


def explain(timers: Iterable[PiledUp], climb: Climb) -> bool:
    """Whether it is memory that climbs, and what timers keep makes up at least half of it."""
    if climb.resource != "rss":
        return False
    return sum(each.verdict.rate * each.kept.each for each in timers) >= HALF * climb.slope.rate


def piled_up(timers: Sequence[PiledUp], now: float, climbs: Iterable[Climb] = ()) -> tuple[Finding, ...]:
    """One finding per group of timers that grows; the forecast of memory goes to the first, the worst."""
    climb = next((each for each in climbs if explain(timers, each)), None)
    return tuple(_finding(each, now, None if at else climb) for at, each in enumerate(timers))


def _finding(timers: PiledUp, now: float, climb: Climb | None) -> Finding:
    group, verdict, reading = timers.group, timers.verdict, timers.reading
    where = (*group.armed, group.frame, Frame("", 0, group.function, "stdlib"))
    armed = next(each for each in where if each is not None)
    kept = timers.kept
    return Finding(
        level="leak" if timers.level == "leak" else "suspect",
        kind="timer",
        id=0,
        site=armed,
        user_site=armed if armed.origin == "user" else None,
        coroutine=group.function,
        live=group.live,
        rate_per_min=round(verdict.rate, 2),
        since=timers.since.since,
        since_at_least=timers.since.at_least,
        since_estimated=not timers.since.at_least,
        text=_sentence(timers, now),
        evidence={
            "why": verdict.why,
            "rate_low": round(verdict.low, 2),
            "rate_high": round(verdict.high, 2),
            "gained": reading.gained,
            "watched_seconds": round(reading.window, 1),
            "delay": None if timers.delay is None else round(timers.delay, 1),
            "due_first": round(group.nearest - now, 1),
            "due_last": round(group.furthest - now, 1),
            "each": kept.each,
            "holds": kept.type,
        },
        cause=TIMERS_PILE_UP.cause(_cause(timers), _evidence(timers, now)),
        known="exact" if group.known == "exact" else "imputed",
        projection=climb.projection if climb is not None else None,
        until_told=verdict.until if timers.level == "suspect" else None,
    )


def _sentence(timers: PiledUp, now: float) -> str:
    group = timers.group
    due = f"the next is due in {wording.seconds(max(0.0, group.nearest - now))}"
    text = f"{group.live:,} timers pending, {wording.per_minute(timers.verdict.rate)}; {due}"
    if timers.kept.each:
        text += f"; each keeps {wording.bytes(timers.kept.each)}"
    return text


def _cause(timers: PiledUp) -> Said:
    kept = timers.kept
    holds = f"each keeps {_what(kept)} alive for {wording.seconds(_delay(timers))}"
    return said("timers are armed and never cancelled", more=holds)


def _delay(timers: PiledUp) -> float:
    return timers.delay if timers.delay is not None else timers.group.furthest - timers.reading.now


def _what(kept: KeptByTimers) -> str:
    """``a closed H11Protocol (25 kB)``."""
    if not kept.type or kept.objects < kept.inspected:
        return f"{wording.bytes(kept.each)} of its own"
    closed = kept.closed == kept.inspected
    article = "a closed" if closed else "an" if kept.type[:1] in "AEIOU" else "a"
    return f"{article} {kept.type} ({wording.bytes(kept.each)})"


def _evidence(timers: PiledUp, now: float) -> tuple[str, ...]:
    group, kept = timers.group, timers.kept
    lines = [f"they call {group.function}" + (f" ({place(group.frame)})" if group.frame is not None else "")]
    if timers.delay is not None:
        lines.append(f"each is armed {wording.seconds(timers.delay)} ahead")
    first, last = (wording.seconds(max(0.0, each - now)) for each in (group.nearest, group.furthest))
    lines.append(f"due in {first} to {last}")
    if kept.closed:
        lines.append(f"the connection of {_of(kept.closed, kept)} is closed")
    lines.append(f"nothing but the timer keeps what it holds, in {_of(kept.alone, kept)}")
    lines += [f"{place(each)} in {each.function} may arm them too" for each in group.armed[1:]]
    return tuple(lines)


def _of(number: int, kept: KeptByTimers) -> str:
    return (
        f"all {number} inspected" if number == kept.inspected else f"{number} of {kept.inspected} inspected"
    )


TIMERS_PILE_UP = ProcessPattern(
    name="timers never cancelled",
    find=lambda process: piled_up(process.timers, process.now, process.climbs),
    noun="line",
    verb=" piling up timers",
    explanation="A timer keeps alive what it calls, and all that refers to, until it is due or cancelled.",
    remedy=(
        "Cancel the timer on every path on which its object is done with, errors included; or let one timer "
        "look after all objects."
    ),
)

PATTERNS = (TIMERS_PILE_UP,)
"""In the order they are reported."""
