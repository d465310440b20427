"""Sites that start ever more tasks, though none stays and nothing else grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis.patterns.pattern import ProcessPattern, place, said
from taskscope.model import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from taskscope.analysis.churn import Climbing
    from taskscope.model import Cause
    from taskscope.model.vocabulary import Level

SURE = 165.0
"""Seconds of climbing from which chains that renew themselves leak: a start-up is over by then."""

FEWEST = 3
"""Fewest chains, and fewest that came while we watched: the rate of a single one may be meant to change."""

NOTED, TWICE = 60.0, 1.6
"""Seconds and ratio from which it is noted where nothing shows who starts the tasks."""


def renewing(climbing: Iterable[Climbing]) -> tuple[Finding, ...]:
    """One finding per site whose tasks arm the timers that start the next ones."""
    return tuple(
        _finding("leak" if each.lasted >= SURE and _adds(each) else "suspect", each, _renewing(each))
        for each in climbing
        if _renews(each)
    )


def rising(climbing: Iterable[Climbing]) -> tuple[Finding, ...]:
    """One note per site that starts ever more tasks for another reason, as far as one can see."""
    return tuple(
        _finding("info", each, _rising(each))
        for each in climbing
        if not _renews(each)
        and each.clear
        and each.alone
        and each.lasted >= NOTED
        and each.last >= TWICE * each.first
    )


def _renews(climb: Climbing) -> bool:
    renewal = climb.renewal
    if renewal is None or renewal.renewed is None or renewal.pending < FEWEST:
        return False
    return climb.clear or _adds(climb)


def _adds(climb: Climbing) -> bool:
    """Whether it was seen that there are more chains than before."""
    first, last = climb.pending
    return last - first >= FEWEST


def _finding(level: Level, climb: Climbing, cause: Cause) -> Finding:
    site, renewal = climb.site, climb.renewal
    frame = renewal.armed[0] if renewal is not None and renewal.armed else site.frame
    begun = renewal.begun if renewal is not None else ()
    user = next((each for each in (frame, *begun) if each.origin == "user"), site.user_frame)
    return Finding(
        level=level,
        kind="churn",
        id=site.id,
        site=frame,
        user_site=user,
        coroutine=site.coroutine,
        live=0,
        rate_per_min=0.0,
        since=climb.begun,
        since_at_least=True,
        text=_text(climb),
        evidence={
            "why": "churns",
            "births_first": round(climb.first, 2),
            "births_last": round(climb.last, 2),
            "births_per_second_per_min": round(climb.per_minute, 2),
            "watched_seconds": round(climb.lasted, 1),
            "pending": climb.pending[1],
        },
        cause=cause,
        known=site.known,
    )


def _text(climb: Climbing) -> str:
    first, last = (wording.rate_per_second(each) for each in (climb.first, climb.last))
    return f"starts {last} tasks/s, {first}/s {wording.seconds(climb.lasted)} ago; none stays"


def _renewing(climb: Climbing) -> Cause:
    renewal = climb.renewal
    assert renewal is not None
    text = "each task arms the timer that starts the next, and none of these chains ends"
    begun = renewal.begun[0] if renewal.begun else None
    more = f"{begun.function} starts another at {place(begun)}" if begun is not None else ""
    return CHAINS.cause(said(text, more=more), tuple(_evidence(climb)))


def _rising(climb: Climbing) -> Cause:
    return RISING.cause("no other site, descriptor or thread grows with it", tuple(_evidence(climb)))


def _evidence(climb: Climbing) -> Iterator[str]:
    yield f"{climb.per_minute:+,.1f} births/s per minute over {wording.seconds(climb.lasted)}"
    renewal = climb.renewal
    if renewal is None or not renewal.pending:
        return
    first, last = climb.pending
    grown = f", {first:,} when first looked at" if first < last else ""
    yield f"{wording.plural(last, 'timer')} will start one{grown}"
    yield from (f"armed at {place(each)} in {each.function}" for each in renewal.armed)
    if renewal.renewed is not None:
        yield f"armed again by the task at {place(renewal.renewed)}"
    yield from (f"also armed at {place(each)} in {each.function}" for each in renewal.begun)


CHAINS = ProcessPattern(
    name="chains that renew themselves",
    find=lambda process: renewing(process.climbing),
    noun="site",
    verb=" starting ever more tasks",
    explanation=(
        "A task that arms the timer of its successor never stops by itself. Where another chain is started "
        "(a reconnect, a retry) and the one before is not cancelled, the process works ever more."
    ),
    remedy="Keep the timer or task of the chain, and cancel it before another is started.",
)

RISING = ProcessPattern(
    name="births climb",
    find=lambda process: rising(process.climbing),
    noun="site",
    verb=" starting ever more tasks",
    explanation="More and more tasks are started here; they end as fast, so none piles up.",
    remedy="It may be load that nothing else shows; or something that triggers itself more and more often.",
)

PATTERNS = (CHAINS, RISING)
"""In the order they are reported."""
