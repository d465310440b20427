"""Loops that stand still: held by a call, asleep with something to do, or paused with the whole process."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis.onset import Onset
from taskscope.analysis.patterns.pattern import Hindrance, place, process_note
from taskscope.model import Finding, Frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from taskscope.model import Stall

RECENT = 600.0
"""Seconds for which a stall is remembered after it is over."""

SHOWN = 8
"""Frames of a stack given as evidence; more if the first of the program's own comes later."""


def is_pause(stall: Stall) -> bool:
    """Whether the process was stopped for most of it: then the line that was running is not to blame."""
    return stall.paused > stall.duration / 2


def _guilty_part(stack: Sequence[Frame]) -> Sequence[Frame]:
    """The innermost frames, down to the first of the program's own at least."""
    own = next((number for number, frame in enumerate(stack) if frame.origin == "user"), 0)
    return stack[: max(SHOWN, own + 1)]


def overslept(stalls: Iterable[Stall], now: float) -> tuple[Finding, ...]:
    """One finding for each line whose task a sleeping loop did not go on with, the longest sleep first."""
    by_line: dict[tuple[int, str, int], list[Stall]] = defaultdict(list)
    for stall in stalls:
        if stall.why in ("asleep", "stranded") and stall.began + stall.duration >= now - RECENT:
            where = _where(stall.stack)
            by_line[stall.loop if not where.file else 0, where.file, where.line].append(stall)
    found = [_overslept(each) for each in by_line.values()]
    return tuple(sorted(found, key=lambda finding: -float(finding.evidence["longest_seconds"])))


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
        cause=LOST_WAKE_UP.cause(
            "another thread gave this loop something to do without waking it",
            tuple(f"{place(each)} in {each.function}" for each in _guilty_part(told.stack)),
        ),
    )


_WOKEN = ", until TaskScope woke it for what was asked of it"


def _left_undone(stall: Stall) -> str:
    if not stall.queued:
        return "past the time of a timer"
    if stall.why == "stranded":
        return f"with {wording.plural(stall.queued, 'task')} waiting for what is done"
    return f"with {wording.plural(stall.queued, 'callback')} ready to run"


def _where(stack: Sequence[Frame]) -> Frame:
    """The innermost frame outside the standard library: it waits for what another thread has set."""
    inner = next((frame for frame in stack if frame.origin != "stdlib"), None)
    return inner or Frame("", 0, "(not known)", "stdlib")


LOST_WAKE_UP = Hindrance(
    name="lost wake-up",
    find=lambda process: overslept(process.stalls, process.now),
    noun="lost wake-up",
    explanation=(
        "Objects of asyncio belong to one loop. Another thread used call_soon, or set a future, fed a queue "
        "or released a lock of this loop: the callback is queued, but the loop sleeps on."
    ),
    remedy=(
        "From other threads use loop.call_soon_threadsafe or asyncio.run_coroutine_threadsafe, and share no "
        "lock between loops. TaskScope has not woken it."
    ),
)


def stalled(stalls: Iterable[Stall], now: float) -> tuple[Finding, ...]:
    """One finding for each line that held a loop, the longest in all first.

    Where a loop had many callbacks to run no line held it (see ``overload``).
    """
    by_line: dict[tuple[str, int], list[Stall]] = defaultdict(list)
    for stall in stalls:
        held = stall.why == "held" and not stall.queued and not is_pause(stall)
        if held and stall.began + stall.duration >= now - RECENT:
            frame = _guilty(stall.stack)
            by_line[frame.file, frame.line].append(stall)
    found = [_stall_finding(each) for each in by_line.values()]
    return tuple(sorted(found, key=lambda finding: -float(finding.evidence["total_seconds"])))


def _guilty(stack: Sequence[Frame]) -> Frame:
    """The innermost frame of the user's, who called what blocks."""
    user = next((frame for frame in stack if frame.origin == "user"), None)
    return user or (stack[0] if stack else Frame("", 0, "(not known)", "stdlib"))


def _stall_finding(stalls: list[Stall]) -> Finding:
    longest, total = max(stall.duration for stall in stalls), sum(stall.duration for stall in stalls)
    worst = max(stalls, key=lambda stall: stall.duration)
    frame = _guilty(worst.stack)
    said = tuple(f"{place(each)} in {each.function}" for each in _guilty_part(worst.stack))
    held = next((stall for stall in stalls if not stall.over), None)
    if held is None:
        cause = f"a call made in {frame.function} kept the loop from running for {longest:,.2f} s"
    else:
        cause = f"a call made in {frame.function} has not returned to the loop for {held.duration:,.2f} s"
    return process_note(
        "stall",
        frame,
        Onset(min(stall.began for stall in stalls)),
        f"the loop stood still {_how_long(stalls)}",
        {
            "why": "stall",
            "count": len(stalls),
            "longest_seconds": round(longest, 3),
            "total_seconds": round(total, 3),
            "task": worst.task,
            "stack": [f"{each.file}:{each.line} in {each.function}" for each in worst.stack],
        },
        LOOP_HELD.cause(cause, said),
    )


def _how_long(stalls: Sequence[Stall]) -> str:
    """``once, for 1.50 s`` or ``3 times, for up to 2.00 s, 3.00 s in all``."""
    longest, total = max(stall.duration for stall in stalls), sum(stall.duration for stall in stalls)
    if len(stalls) == 1:
        return f"once, for {longest:,.2f} s"
    return f"{len(stalls):,} times, for up to {longest:,.2f} s, {total:,.2f} s in all"


LOOP_HELD = Hindrance(
    name="loop held",
    find=lambda process: stalled(process.stalls, process.now),
    noun="line",
    did=" blocked the event loop",
    explanation="While a callback or a coroutine runs without an await, no other task of its loop does.",
    remedy=(
        "Use the asynchronous form of the call, or hand it to a thread with asyncio.to_thread; cut long "
        "computations into pieces or give them to a process."
    ),
)


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
    times = "once" if len(found) == 1 else f"{len(found):,} times"
    note = process_note(
        "stall",
        Frame("", 0, "(the whole process)", "stdlib"),
        Onset(min(stall.began for stall in found)),
        f"the process stood still {times}, {longest:,.2f} s at the longest, and used no processor",
        {
            "why": "paused",
            "count": len(found),
            "longest_seconds": round(longest, 3),
            "total_seconds": round(total, 3),
        },
        PROCESS_PAUSED.cause("it was stopped, or got no processor", ()),
    )
    return (note,)


PROCESS_PAUSED = Hindrance(
    name="process paused",
    find=lambda process: paused(process.stalls, process.now),
    noun="pause of the process",
    explanation=(
        "Neither the program nor TaskScope's thread ran or used the processor: the process was stopped "
        "(SIGSTOP, a debugger), the machine was suspended or overcommitted, or a call waited while it held "
        "the interpreter's lock."
    ),
    remedy="The line that was running is not to blame.",
)

PATTERNS = (LOST_WAKE_UP, LOOP_HELD, PROCESS_PAUSED)
"""In the order in which they are told."""
