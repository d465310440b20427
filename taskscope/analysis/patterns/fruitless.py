"""Sites that start task after task in a process that gets nothing to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis.patterns.pattern import ProcessPattern, said
from taskscope.analysis.spinning import ENOUGH
from taskscope.model import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from taskscope.analysis.fruitless import Fruitless
    from taskscope.model import Cause
    from taskscope.model.vocabulary import Level

LASTING, LONGER = 9.0, 60.0
"""Seconds from which it is no brief wait; the latter if the loop sleeps in between."""

DEAR = 0.1
"""Share of a core from which asking in vain is a fault, though the loop sleeps in between."""


def for_nothing(fruitless: Iterable[Fruitless]) -> tuple[Finding, ...]:
    """One finding per site."""
    found = ((each, _level(each)) for each in fruitless)
    return tuple(_finding(level, each) for each, level in found if level is not None)


def _level(each: Fruitless) -> Level | None:
    """Only if all that the tasks reach was compared it is known that nothing comes of them."""
    whole = each.starting.whole
    if not each.sleeps:
        level: Level = "suspect" if whole else "info"
        return level if each.lasted >= LASTING else None
    if not whole or each.lasted < LONGER:
        return None
    dear = (each.turns.cpu or 0.0) >= DEAR and each.starting.looks >= ENOUGH
    return "suspect" if dear and each.all_broken_off else "info"


def _finding(level: Level, each: Fruitless) -> Finding:
    site = each.site
    return Finding(
        level=level,
        kind="churn",
        id=site.id,
        site=site.frame,
        user_site=site.user_frame,
        coroutine=site.coroutine,
        live=0,
        rate_per_min=0.0,
        since=each.since,
        since_at_least=True,
        text=_text(each),
        evidence={
            "why": "churns",
            "births_per_second": round(each.rate, 1),
            "cpu": None if each.turns.cpu is None else round(each.turns.cpu, 2),
            "watched_seconds": round(each.lasted, 1),
        },
        cause=_cause(each),
        known=site.known,
        via=site.via,
    )


def _text(each: Fruitless) -> str:
    comes = "nothing comes of them" if each.starting.whole else "the loop never sleeps"
    return f"starts {each.rate:,.0f} tasks/s, and {comes}"


def _cause(each: Fruitless) -> Cause:
    starting = each.starting
    if starting.chain:
        what = "each starts the next"
    elif starting.function:
        what = f"{starting.function} starts them again and again"
    else:
        what = "they are started again and again"
    changes = "nothing they work on changes" if starting.whole else "nothing seen of their work changes"
    return FOR_NOTHING.cause(
        said(what, more="none succeeds" if each.all_broken_off else changes), tuple(_evidence(each))
    )


def _evidence(each: Fruitless) -> Iterator[str]:
    turns, starting = each.turns, each.starting
    broken_off = f", {starting.broken_off:,} failed or were cancelled" if starting.broken_off else ""
    yield f"{starting.births:,} started in {turns.seconds:.1f} s{broken_off}"
    share = f", {wording.percent(turns.cpu)} of a core" if turns.cpu is not None else ""
    slept = f"slept on {turns.asleep:,} of {turns.looks:,} looks" if each.sleeps else "never slept"
    yield f"the loop {slept}{share}"
    if starting.looks >= ENOUGH:
        yield f"nothing else to run on {starting.looks - starting.others:,} of {starting.looks:,} looks"
    if starting.parent and not starting.chain:
        yield f"started by task {starting.parent}, {starting.function}"


FOR_NOTHING = ProcessPattern(
    name="tasks for nothing",
    find=lambda process: for_nothing(process.fruitless),
    noun="site",
    verb=" starting tasks for nothing",
    explanation=(
        "These tasks find nothing to do, end, and are started again: each costs a turn of the loop, and "
        "together they burn a core, or part of one."
    ),
    remedy=(
        "Await what they look for (an Event, a Future, Queue.get) without starting again; where only asking "
        "helps, sleep in between."
    ),
)

PATTERNS = (FOR_NOTHING,)
