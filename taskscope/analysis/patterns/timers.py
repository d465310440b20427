"""Timers that are armed again and again, due late, and never cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis.patterns.pattern import ProcessPattern, Said, place, said
from taskscope.analysis.patterns.piles import explained, pile_finding
from taskscope.model import Frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from taskscope.analysis.resources import Climb
    from taskscope.analysis.timers import PiledUp
    from taskscope.model import Finding, KeptByTimers, Projection


def piled_up(timers: Sequence[PiledUp], now: float, climbs: Iterable[Climb] = ()) -> tuple[Finding, ...]:
    """One finding per group of timers that grows; the forecast of memory goes to the first, the worst."""
    ahead = explained([each.grown for each in timers], climbs)
    return tuple(_finding(each, now, None if at else ahead) for at, each in enumerate(timers))


def _finding(timers: PiledUp, now: float, projection: Projection | None) -> Finding:
    group, kept = timers.group, timers.kept
    where = (*group.armed, group.frame, Frame("", 0, group.function, "stdlib"))
    return pile_finding(
        "timer",
        timers.grown,
        next(each for each in where if each is not None),
        group.function,
        group.live,
        _sentence(timers, now),
        {
            "delay": None if timers.delay is None else round(timers.delay, 1),
            "due_first": round(group.nearest - now, 1),
            "due_last": round(group.furthest - now, 1),
            "each": kept.each,
            "holds": kept.type,
        },
        TIMERS_PILE_UP.cause(_cause(timers), _evidence(timers, now)),
        known="exact" if group.known == "exact" else "imputed",
        projection=projection,
        since_estimated=not timers.grown.since.at_least,
    )


def _sentence(timers: PiledUp, now: float) -> str:
    group = timers.group
    due = f"the next is due in {wording.seconds(max(0.0, group.nearest - now))}"
    text = f"{group.live:,} timers pending, {wording.per_minute(timers.grown.verdict.rate)}; {due}"
    if timers.kept.each:
        text += f"; each keeps {wording.bytes(timers.kept.each)}"
    return text


def _cause(timers: PiledUp) -> Said:
    kept = timers.kept
    if timers.again:
        same = f"most call {timers.group.function} for the same {kept.of} as another one"
        return said("timers are armed again, and the earlier ones are not cancelled", same)
    holds = f"each keeps {_what(kept)} alive for {wording.seconds(_delay(timers))}"
    return said("timers are armed and never cancelled", more=holds)


def _delay(timers: PiledUp) -> float:
    return timers.delay if timers.delay is not None else timers.group.furthest - timers.grown.reading.now


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
    if timers.again:
        lines.append(f"{kept.again:,} of {group.live:,} do what another one does too, for the same {kept.of}")
    else:
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
    explanation="Until it is due or cancelled, a timer keeps what it calls and all that this refers to.",
    remedy=(
        "Cancel the timer on every path on which its object is done with, errors included, and before it is "
        "armed again; or let one timer look after all objects."
    ),
)

PATTERNS: tuple[ProcessPattern, ...] = (TIMERS_PILE_UP,)
"""In the order they are reported."""
