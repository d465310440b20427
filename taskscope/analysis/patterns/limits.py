"""Resources that are used up, or climb although no task does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis.onset import Onset
from taskscope.analysis.patterns.pattern import ProcessPattern, process_finding, said
from taskscope.analysis.piles import explain
from taskscope.model import Frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from taskscope.analysis.busier import Busier
    from taskscope.analysis.piles import Grown
    from taskscope.analysis.resources import Climb, Exhausted
    from taskscope.model import Finding, Resource

SOON = 3600.0
"""Seconds: a limit that near is a suspect, no note."""

MOST = 3
"""Kinds of descriptors named."""

FAR = 3.0
"""A trend is taken no more than this many times as far ahead as it has been seen."""

_IN_USE = {
    "fds": (
        "file descriptors",
        "file descriptors are in use",
        "opening a file or a socket fails with EMFILE",
    ),
    "rss": ("memory", "of memory is in use", "allocation fails, or the process is killed"),
    "threads": ("threads", "threads are in use", "starting a thread fails"),
}

_GROWS = {"fds": "file descriptors grow", "rss": "memory grows", "threads": "threads grow"}
_LOOK = {
    "fds": "look for files, sockets and pipes that are opened and never closed",
    "rss": "look at finished tasks that are still referenced, timers, and caches without a bound",
    "threads": "look at the threads view: extensions start threads that Python does not see",
}


def exhausted(used_up: Iterable[Exhausted]) -> tuple[Finding, ...]:
    """One finding per resource at its limit."""
    return tuple(_limit_finding(each) for each in used_up)


def _limit_finding(used_up: Exhausted) -> Finding:
    noun, in_use, then = _IN_USE[used_up.resource]
    spell = _megabytes if used_up.resource == "rss" else "{:,}".format
    by = f" ({used_up.limit_by})" if used_up.limit_by else ""
    return process_finding(
        "limit",
        "limit",
        Frame("", 0, noun, "stdlib"),
        used_up.since,
        f"{spell(used_up.used)} of {spell(used_up.limit)} {in_use}{by}",
        {"resource": used_up.resource, "used": used_up.used, "limit": used_up.limit},
        LIMIT_REACHED.cause(said("little or nothing is left", more=f"then {then}"), ()),
    )


def unexplained(
    climbs: Iterable[Climb], now: float, piles: Sequence[Grown] = (), descriptors: Sequence[Resource] = ()
) -> tuple[Finding, ...]:
    """One finding per resource that climbs although no task does: a suspect if its limit is near."""
    return tuple(
        _growth_finding(each, now, descriptors)
        for each in climbs
        if each.unexplained and not explain(piles, each)
    )


def _growth_finding(climb: Climb, now: float, descriptors: Sequence[Resource]) -> Finding:
    ahead = climb.projection
    spell = wording.bytes if climb.resource == "rss" else wording.count
    text = f"{_GROWS[climb.resource]} by {spell(climb.slope.rate)}/min"
    if ahead is not None:
        by = f" ({ahead.limit_by})" if ahead.limit_by else ""
        text += f"; {spell(climb.used)} of {spell(ahead.limit)}{by}"
    finding = process_finding(
        "growth",
        "unexplained",
        Frame("", 0, _IN_USE[climb.resource][0], "stdlib"),
        climb.since,
        text,
        {
            "resource": climb.resource,
            "used": climb.used,
            "gained": climb.gained,
            "rate_per_min": round(climb.slope.rate, 2),
            "rate_low": round(climb.slope.low, 2),
            "rate_high": round(climb.slope.high, 2),
            "seconds_left": None if ahead is None else round(ahead.seconds),
        },
        UNEXPLAINED_GROWTH.cause("no task or thread grows with it", tuple(_evidence(climb, descriptors))),
    )
    near = ahead is not None and ahead.seconds <= min(SOON, FAR * (now - climb.since.since))
    return replace(finding, level="suspect" if near else "info", projection=ahead)


def _evidence(climb: Climb, descriptors: Sequence[Resource]) -> Iterator[str]:
    if climb.resource == "fds":
        most = sorted(descriptors, key=lambda each: -each.count)[:MOST]
        yield from (f"{each.count:,} open: {each.name} {each.detail}".rstrip() for each in most)
    yield _LOOK[climb.resource]


def busier(climb: Busier | None, now: float) -> tuple[Finding, ...]:
    """The note that the CPU climbs although there is no more to do."""
    if climb is None:
        return ()
    first, last = wording.percent(climb.first), wording.percent(climb.last)
    note = process_finding(
        "growth",
        "unexplained",
        Frame("", 0, "CPU", "stdlib"),
        Onset(climb.since, at_least=True),
        f"CPU climbs: {first} to {last} of a core in {wording.age(now - climb.since)}",
        {"resource": "cpu", "first": round(climb.first, 3), "last": round(climb.last, 3)},
        CPU_CLIMBS.cause("no task grows with it", ("the CPU view (key 7) shows which line uses it",)),
    )
    return (note,)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"


LIMIT_REACHED = ProcessPattern(
    name="limit reached",
    find=lambda process: exhausted(process.exhausted),
    noun="limit",
    verb=" reached",
    explanation="The process uses all it is allowed.",
    remedy=(
        "Find what grows with it, and close what is no longer needed; if something leaks, a higher limit "
        "(ulimit, LimitNOFILE, the container's memory or pids) only gains time."
    ),
)

UNEXPLAINED_GROWTH = ProcessPattern(
    name="growth without tasks",
    find=lambda process: unexplained(process.climbs, process.now, process.piles, process.descriptors),
    noun="resource",
    verb=" growing without tasks",
    explanation="The process needs more and more, but the number of its tasks and threads does not grow.",
    remedy=(
        "It may be a cache that still fills.  If it does not stop, compare two snapshots of the heap "
        "(tracemalloc) or of the open descriptors (lsof)."
    ),
)

CPU_CLIMBS = ProcessPattern(
    name="CPU climbs without tasks",
    find=lambda process: busier(process.busier, process.now),
    noun="resource",
    verb=" growing without tasks",
    explanation="The process needs ever more CPU, but neither the number of its tasks nor their births grow.",
    remedy=(
        "Something is done ever more often, or on ever more data: a timer armed twice, a list to search. "
        "The app shows which line uses the CPU (key 7)."
    ),
)

PATTERNS: tuple[ProcessPattern, ...] = (LIMIT_REACHED, UNEXPLAINED_GROWTH, CPU_CLIMBS)
"""In the order they are reported."""
