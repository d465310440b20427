"""Stalled loops: blocked by a call, asleep with work to do, or paused with the whole process."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis.onset import Onset
from taskscope.analysis.patterns.chains import Chains, holding_line
from taskscope.analysis.patterns.pattern import (
    UNKNOWN,
    ProcessPattern,
    line_finding,
    place,
    process_finding,
    said,
)
from taskscope.model import Finding, Frame, user_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from taskscope.model import Stall, WaitGraph
    from taskscope.model.vocabulary import Reason, Shortage

RECENT = 600.0
"""Seconds a stall is reported after it ends."""

LASTING = 10.0
"""Seconds after which a sleep that goes on is a hang; a timer or a connection may end a shorter one."""

SHOWN = 8
"""Frames of a stack given as evidence; more if the first user frame is further out."""


def is_pause(stall: Stall) -> bool:
    """Whether the process was stopped or got no CPU for most of it, so the running line is not to blame."""
    return stall.paused + stall.starved > stall.duration / 2


def is_collection(stall: Stall) -> bool:
    """Whether the garbage collector took most of it."""
    return stall.collected > stall.duration / 2


def _excerpt(stack: Sequence[Frame]) -> Sequence[Frame]:
    """The innermost frames, out to at least the first user frame."""
    own = next((number for number, frame in enumerate(stack) if frame.origin == "user"), 0)
    return stack[: max(SHOWN, own + 1)]


def overslept(stalls: Iterable[Stall], now: float) -> tuple[Finding, ...]:
    """One finding per line whose task a sleeping loop failed to resume, longest sleep first."""
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
    stall = lasting or worst
    verb = "has been asleep" if lasting else "was asleep"
    least = "at least " if stall.at_least else ""
    length = f"{verb} for {least}{stall.duration:,.1f} s"
    return line_finding(
        "hang" if lasting and lasting.duration >= LASTING else "suspect",
        "wakeup",
        "overslept",
        stall.queued_at or _where(stall.stack),
        user_line(stall.stack if stall.queued_at is None else (stall.queued_at,)),
        Onset(stall.began, stall.at_least),
        f"event loop {stall.loop} {length} {_left_undone(stall)}{_WOKEN if stall.woken else ''}",
        {
            "count": len(stalls),
            "lasting": lasting is not None,
            "loop": stall.loop,
            "ready": stall.queued,
            "callback": stall.callback or None,
            "queued_at": place(stall.queued_at) if stall.queued_at is not None else None,
            "woken_by_taskscope": stall.woken,
            "longest_seconds": round(worst.duration, 3),
            "task": stall.task,
        },
        LOST_WAKE_UP.cause(
            _who(stall),
            tuple(f"{place(each)} in {each.function}" for each in _excerpt(stall.stack)),
        ),
    )


def _who(stall: Stall) -> str:
    """Who gave it the work, and what."""
    who, what = "another thread", f" ({stall.callback})" if stall.callback else ""
    if stall.queued_at is not None:
        who = f"{stall.queued_at.function}, in another thread,"
    return f"{who} gave this loop work{what} without waking it"


_WOKEN = ", until TaskScope woke it to run a request"


def _left_undone(stall: Stall) -> str:
    if not stall.queued:
        return "with a timer overdue"
    if stall.why == "stranded":
        return f"with {wording.plural(stall.queued, 'task')} waiting for something already done"
    return f"with {wording.plural(stall.queued, 'callback')} ready to run"


def _where(stack: Sequence[Frame]) -> Frame:
    """The innermost frame outside the standard library: it waits for what another thread has set."""
    inner = next((frame for frame in stack if frame.origin != "stdlib"), None)
    return inner or UNKNOWN


LOST_WAKE_UP = ProcessPattern(
    name="lost wake-up",
    find=lambda process: overslept(process.stalls, process.now),
    noun="lost wake-up",
    explanation=(
        "asyncio objects belong to one loop. Another thread called call_soon, set a future, fed a queue or "
        "released a lock of this loop: the callback is queued, but the loop stays asleep."
    ),
    remedy=(
        "From other threads, use loop.call_soon_threadsafe or asyncio.run_coroutine_threadsafe, and share "
        "no lock between loops. TaskScope has not woken it."
    ),
)


def stalled(stalls: Iterable[Stall], now: float, graph: WaitGraph | None = None) -> tuple[Finding, ...]:
    """One finding per line that blocked a loop, longest total first.

    A loop with many ready callbacks is overloaded, not blocked by a line (see ``overload``).  Where a thread
    is part of a hang, that says more.
    """
    hung = {each.user_frame for each in Chains(graph).nodes.values()} if graph is not None else set()
    by_line: dict[tuple[str, int], list[Stall]] = defaultdict(list)
    for stall in stalls:
        held = stall.why == "held" and not stall.queued
        if (
            held
            and not is_pause(stall)
            and not is_collection(stall)
            and stall.began + stall.duration >= now - RECENT
            and (holding_line(stall) is None or holding_line(stall) not in hung)
        ):
            frame = _blocking_frame(stall.stack)
            by_line[frame.file, frame.line].append(stall)
    found = [_stall_finding(each) for each in by_line.values()]
    return tuple(sorted(found, key=lambda finding: -float(finding.evidence["total_seconds"])))


def _blocking_frame(stack: Sequence[Frame]) -> Frame:
    """The innermost user frame, which made the blocking call."""
    return user_line(stack) or (stack[0] if stack else UNKNOWN)


def _stall_finding(stalls: list[Stall]) -> Finding:
    longest, total = max(stall.duration for stall in stalls), sum(stall.duration for stall in stalls)
    worst = max(stalls, key=lambda stall: stall.duration)
    frame = _blocking_frame(worst.stack)
    excerpt = tuple(f"{place(each)} in {each.function}" for each in _excerpt(worst.stack))
    held = next((stall for stall in stalls if not stall.over), None)
    told = held or worst
    call = f"{told.call} in {frame.function}" if told.call else f"a call in {frame.function}"
    verb = "blocked" if held is None else "has been blocking"
    cause = f"{call} {verb} the loop for {_at_least(told)}{told.duration:,.2f} s"
    return process_finding(
        "stall",
        "stall",
        frame,
        Onset(min(stall.began for stall in stalls)),
        f"the loop {_was_blocked(stalls, held, frame)}",
        {
            "count": len(stalls),
            "longest_seconds": round(longest, 3),
            "total_seconds": round(total, 3),
            "lasting_seconds": round(held.duration, 3) if held is not None else None,
            "task": worst.task,
            "call": told.call,
            "waits": told.doing,
            "stack": [f"{each.file}:{each.line} in {each.function}" for each in worst.stack],
        },
        LOOP_HELD.cause(said(cause, f"it {told.doing}" if told.doing else ""), excerpt),
    )


def _was_blocked(stalls: Sequence[Stall], held: Stall | None, frame: Frame) -> str:
    """``was blocked once, for 1.50 s``; if by ``held``: ``is blocked now, for 830 s, by spin.py:4 parse``."""
    if held is None:
        return f"was blocked {_how_long(stalls)}"
    all_told = f"; {_how_long(stalls)}" if len(stalls) > 1 else ""
    now = f"is blocked now, for {_at_least(held)}{held.duration:,.0f} s so far"
    return f"{now}, by {wording.frame(frame)}{all_told}"


def _how_long(stalls: Sequence[Stall]) -> str:
    """``once, for 1.50 s`` or ``3 times, for up to 2.00 s, 3.00 s in total``."""
    longest, total = max(stall.duration for stall in stalls), sum(stall.duration for stall in stalls)
    if len(stalls) == 1:
        return f"once, for {_at_least(stalls[0])}{longest:,.2f} s"
    least = "at least " if any(stall.at_least for stall in stalls) else ""
    return f"{len(stalls):,} times, for up to {longest:,.2f} s, {least}{total:,.2f} s in total"


def _at_least(stall: Stall) -> str:
    return "at least " if stall.at_least else ""


LOOP_HELD = ProcessPattern(
    name="loop held",
    find=lambda process: stalled(process.stalls, process.now, process.waits),
    noun="line",
    verb=" blocked the event loop",
    explanation="While a callback or a coroutine runs without an await, no other task of its loop runs.",
    remedy=(
        "Use an asynchronous version of the call, or run it in a thread (asyncio.to_thread, "
        "trio.to_thread.run_sync); split long computations or run them in a process."
    ),
)


def paused(stalls: Iterable[Stall], now: float) -> tuple[Finding, ...]:
    """One finding for all pauses of the process while a loop ran a callback."""
    found = [each for each in _recently_held(stalls, now) if is_pause(each)]
    if not found:
        return ()
    worst = max(found, key=lambda stall: stall.paused + stall.starved)
    stopped = worst.paused >= worst.starved
    lengths = [each.paused + each.starved for each in found]
    what = "the process was paused" if stopped else "a loop could have run"
    used = "used no CPU" if stopped else "got no CPU"
    cause = "it was stopped, or got no CPU time" if stopped else _SHORTAGES[worst.shortage]
    return (
        _not_the_line(
            "paused", "(the whole process)", found, lengths, PROCESS_PAUSED, (what, f", and {used}"), cause
        ),
    )


_SHORTAGES: dict[Shortage, str] = {
    "throttled": "its control group had used up its CPU quota (cpu.max): it was throttled",
    "stolen": "the hypervisor gave the CPU to other machines (steal time)",
    "contended": "other threads and processes had the CPUs",
    "unknown": "it got no CPU time",
    "": "it got no CPU time",
}


def collections(stalls: Iterable[Stall], now: float) -> tuple[Finding, ...]:
    """One finding for all loops and collections that stood in their way."""
    found = [each for each in _recently_held(stalls, now) if is_collection(each) and not is_pause(each)]
    if not found:
        return ()
    lengths = [each.collected for each in found]
    told = ("the garbage collector stopped the loop", "")
    cause = f"a collection took {max(lengths):,.2f} s, in which no Python code runs"
    return (
        _not_the_line("collected", "(the garbage collector)", found, lengths, COLLECTOR_RAN, told, cause),
    )


def _recently_held(stalls: Iterable[Stall], now: float) -> list[Stall]:
    return [each for each in stalls if each.why == "held" and each.began + each.duration >= now - RECENT]


def _not_the_line(
    why: Reason,
    where: str,
    found: list[Stall],
    lengths: list[float],
    pattern: ProcessPattern,
    told: tuple[str, str],
    cause: str,
) -> Finding:
    """``told``: what happened, before and after how often and how long."""
    times = "once" if len(found) == 1 else f"{len(found):,} times"
    return process_finding(
        "stall",
        why,
        Frame("", 0, where, "stdlib"),
        Onset(min(stall.began for stall in found)),
        f"{told[0]} {times}, for up to {max(lengths):,.2f} s{told[1]}",
        {
            "count": len(found),
            "longest_seconds": round(max(lengths), 3),
            "total_seconds": round(sum(lengths), 3),
        },
        pattern.cause(cause, ()),
    )


PROCESS_PAUSED = ProcessPattern(
    name="process paused",
    find=lambda process: paused(process.stalls, process.now),
    noun="process pause",
    explanation=(
        "Neither the program nor TaskScope's thread ran or used CPU, or the loop's thread was ready to run "
        "and got none: the process was stopped (SIGSTOP, a debugger), its control group was throttled, the "
        "machine was suspended or overcommitted, or a call waited while holding the GIL."
    ),
    remedy="The line that was running is not to blame.",
)

COLLECTOR_RAN = ProcessPattern(
    name="collector ran",
    find=lambda process: collections(process.stalls, process.now),
    noun="collection of garbage",
    verb=" stopped the event loop",
    explanation="A full collection looks at every object of the program, and holds the GIL meanwhile.",
    remedy=(
        "Call gc.freeze() once the program has started, keep fewer objects, or collect when the loop is "
        "idle; the line that was running is not to blame."
    ),
)

PATTERNS = (LOST_WAKE_UP, LOOP_HELD, PROCESS_PAUSED, COLLECTOR_RAN)
"""In the order they are reported."""
