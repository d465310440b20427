"""Loops that sleep although they have something to do, and times in which the whole process stood still."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis.explanations import EXPLANATIONS
from taskscope.model import Cause, Finding, Frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from taskscope.model import Stall

RECENT = 600.0
"""Seconds for which both are remembered after they are over."""

SHOWN = 8
"""Frames of a stack given as evidence; more if the first of the program's own comes later."""


def is_pause(stall: Stall) -> bool:
    """Whether the process was stopped for most of it: then the line that was running is not to blame."""
    return stall.paused > stall.duration / 2


def overslept(stalls: Iterable[Stall], now: float) -> tuple[Finding, ...]:
    """One finding for each line whose task a sleeping loop did not go on with, the longest sleep first."""
    by_line: dict[tuple[int, str, int], list[Stall]] = defaultdict(list)
    for stall in stalls:
        if stall.why in ("asleep", "stranded") and stall.began + stall.duration >= now - RECENT:
            where = _where(stall.stack)
            by_line[stall.loop if not where.file else 0, where.file, where.line].append(stall)
    found = [_overslept(each) for each in by_line.values()]
    return tuple(sorted(found, key=lambda finding: -float(finding.evidence["longest_seconds"])))


def paused(stalls: Iterable[Stall], now: float) -> tuple[Finding, ...]:
    """One finding for all times in which the process stood still while a loop was running a callback."""
    found = [
        stall
        for stall in stalls
        if stall.why == "held" and is_pause(stall) and stall.began + stall.duration >= now - RECENT
    ]
    if not found:
        return ()
    longest, total = max(stall.paused for stall in found), sum(stall.paused for stall in found)
    text = f"the process stood still {_times(found)}, {longest:,.2f} s at the longest, and used no processor"
    return (
        Finding(
            level="info",
            kind="stall",
            id=0,
            site=Frame("", 0, "(the whole process)", "stdlib"),
            user_site=None,
            coroutine="(the whole process)",
            live=0,
            rate_per_min=0.0,
            since=min(stall.began for stall in found),
            text=text,
            evidence={
                "why": "paused",
                "count": len(found),
                "longest_seconds": round(longest, 3),
                "total_seconds": round(total, 3),
            },
            cause=Cause(
                "process paused", "it was stopped, or got no processor", (), EXPLANATIONS["process paused"]
            ),
        ),
    )


def _overslept(stalls: list[Stall]) -> Finding:
    worst = max(stalls, key=lambda stall: stall.duration)
    lasting = next((stall for stall in stalls if not stall.over), None)
    told = lasting or worst
    where = _where(told.stack)
    user = next((frame for frame in told.stack if frame.origin == "user"), None)
    verb = "has been asleep" if lasting else "was asleep"
    least = "at least " if told.at_least else ""
    length = f"{verb} for {least}{told.duration:,.1f} s"
    return Finding(
        level="suspect",
        kind="wakeup",
        id=0,
        site=where,
        user_site=user,
        coroutine=where.function,
        live=0,
        rate_per_min=0.0,
        since=told.began,
        since_at_least=told.at_least,
        text=f"event loop {told.loop} {length} {_left_undone(told)}{_WOKEN if told.woken else ''}",
        evidence={
            "why": "overslept",
            "count": len(stalls),
            "lasting": lasting is not None,
            "loop": told.loop,
            "ready": told.queued,
            "woken_by_taskscope": told.woken,
            "longest_seconds": round(worst.duration, 3),
            "task": told.task,
        },
        cause=Cause(
            "lost wake-up",
            "another thread gave this loop something to do without waking it",
            tuple(f"{_at(each)} in {each.function}" for each in guilty_part(told.stack)),
            EXPLANATIONS["lost wake-up"],
        ),
    )


_WOKEN = ", until TaskScope woke it for what was asked of it"


def _left_undone(stall: Stall) -> str:
    if not stall.queued:
        return "past the time of a timer"
    if stall.why == "stranded":
        return f"with {wording.plural(stall.queued, 'task')} waiting for what is done"
    return f"with {wording.plural(stall.queued, 'callback')} ready to run"


def guilty_part(stack: Sequence[Frame]) -> Sequence[Frame]:
    """The innermost frames, down to the first of the program's own at least."""
    own = next((number for number, frame in enumerate(stack) if frame.origin == "user"), 0)
    return stack[: max(SHOWN, own + 1)]


def _where(stack: Sequence[Frame]) -> Frame:
    """The innermost frame outside the standard library: it waits for what another thread has set."""
    inner = next((frame for frame in stack if frame.origin != "stdlib"), None)
    return inner or Frame("", 0, "(not known)", "stdlib")


def _times(stalls: Sequence[Stall]) -> str:
    return "once" if len(stalls) == 1 else f"{len(stalls):,} times"


def _at(frame: Frame) -> str:
    return f"{frame.file.rpartition('/')[2]}:{frame.line}"
