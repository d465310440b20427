"""What holds everybody up: a loop that stands still or does not keep up, a pool with no worker free.

Worth a note, no leak.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from taskscope.analysis.explanations import EXPLANATIONS
from taskscope.analysis.sleeping import guilty_part, is_pause
from taskscope.model import Cause, Executor, Finding, Frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from taskscope.model import Loop, Stall, Thread

RECENT = 600.0
"""Seconds for which a stall is remembered."""

CROWDED = 0.05
"""Seconds that half of all callbacks wait at least where they are said to queue up."""

QUEUED = 10
"""Callbacks that must wait then: fewer are held up by one slow call, not by each other."""

NO_SITE = 0


def stalled(stalls: Iterable[Stall], now: float) -> tuple[Finding, ...]:
    """One finding for each line that held a loop, the longest in all first.

    Where a loop had many callbacks to run no line held it: see ``crowded``.
    """
    by_line: dict[tuple[str, int], list[Stall]] = defaultdict(list)
    for stall in stalls:
        held = stall.why == "held" and not stall.queued and not is_pause(stall)
        if held and stall.began + stall.duration >= now - RECENT:
            frame = _guilty(stall.stack)
            by_line[frame.file, frame.line].append(stall)
    found = [_stall_finding(each) for each in by_line.values()]
    return tuple(sorted(found, key=lambda finding: -float(finding.evidence["total_seconds"])))


def crowded(loops: Iterable[Loop], threads: Sequence[Thread]) -> tuple[Finding, ...]:
    """One finding for each loop that has more to run than it gets through."""
    return tuple(
        _crowd_finding(loop, next((each for each in threads if each.loop == loop.id), None))
        for loop in loops
        if (loop.latency_p50 or 0.0) >= CROWDED and (loop.ready is None or loop.ready >= QUEUED)
    )


def saturated(threads: Iterable[Thread]) -> tuple[Finding, ...]:
    """One finding for each pool whose workers are all at work while jobs wait."""
    pools: dict[int, list[Thread]] = defaultdict(list)
    for thread in threads:
        if thread.executor is not None:
            pools[thread.executor.id].append(thread)
    return tuple(
        _pool_finding(workers, pool)
        for workers in pools.values()
        if (pool := workers[0].executor) is not None and _is_full(workers, pool)
    )


def _guilty(stack: Sequence[Frame]) -> Frame:
    """The innermost frame of the user's, who called what blocks."""
    user = next((frame for frame in stack if frame.origin == "user"), None)
    return user or (stack[0] if stack else Frame("", 0, "(not known)", "stdlib"))


def _stall_finding(stalls: list[Stall]) -> Finding:
    longest, total = max(stall.duration for stall in stalls), sum(stall.duration for stall in stalls)
    worst = max(stalls, key=lambda stall: stall.duration)
    frame = _guilty(worst.stack)
    times = "once" if len(stalls) == 1 else f"{len(stalls):,} times"
    text = f"the loop stood still {times}, {longest:,.2f} s at the longest, {total:,.2f} s in all"
    said = tuple(f"{_at(each)} in {each.function}" for each in guilty_part(worst.stack))
    return _finding(
        "stall",
        frame,
        min(stall.began for stall in stalls),
        text,
        {
            "why": "stall",
            "count": len(stalls),
            "longest_seconds": round(longest, 3),
            "total_seconds": round(total, 3),
            "task": worst.task,
        },
        Cause("loop held", f"a call made in {frame.function} does not return to the loop", said,
              EXPLANATIONS["loop held"]),
    )  # fmt: skip


def _crowd_finding(loop: Loop, thread: Thread | None) -> Finding:
    said = [] if loop.ready is None else [f"{loop.ready:,} callbacks wait now"]
    if thread is not None and thread.frame is not None:
        said.append(f"just now it was in {thread.frame.function}, {_at(thread.frame)}")
    half, most = loop.latency_p50 or 0.0, loop.latency_p99 or 0.0
    return _finding(
        "loop",
        Frame("", 0, loop.kind.rpartition(".")[2], "stdlib"),
        0.0,
        f"callbacks queue up: half of them wait {half:,.2f} s for their turn, one in a hundred {most:,.2f} s",
        {
            "why": "crowded",
            "ready": loop.ready,
            "latency_p50_seconds": round(half, 3),
            "latency_p99_seconds": round(most, 3),
        },
        Cause(
            "callbacks queue up",
            "more becomes ready than the loop gets through",
            tuple(said),
            EXPLANATIONS["callbacks queue up"],
        ),
    )


def _at(frame: Frame) -> str:
    return f"{frame.file.rpartition('/')[2]}:{frame.line}"


def _is_full(workers: Sequence[Thread], pool: Executor) -> bool:
    return (
        0 < pool.max_workers <= len(workers)
        and pool.queued > 0
        and all(each.state != "idle" for each in workers)
    )


def _pool_finding(workers: Sequence[Thread], pool: Executor) -> Finding:
    frame = next((each.frame for each in workers if each.frame is not None), None)
    where = frame or Frame("", 0, "(not known)", "stdlib")
    text = f"{pool.name}: all {pool.max_workers:,} workers are at work and {pool.queued:,} jobs wait"
    begun = min((each.birth for each in workers if each.birth is not None), default=0.0)
    said = tuple(dict.fromkeys(each.text for each in workers))[:5]
    return _finding(
        "executor",
        where,
        begun,
        text,
        {"why": "saturated", "workers": pool.max_workers, "queued": pool.queued},
        Cause(
            "pool saturated",
            "every worker is at work, so new jobs wait",
            said,
            EXPLANATIONS["pool saturated"],
        ),
    )


def _finding(
    kind: str, frame: Frame, since: float, text: str, evidence: dict[str, object], cause: Cause
) -> Finding:
    return Finding(
        level="info",
        kind=kind,
        id=NO_SITE,
        site=frame,
        user_site=frame if frame.origin == "user" else None,
        coroutine=frame.function,
        live=0,
        rate_per_min=0.0,
        since=since,
        text=text,
        evidence=evidence,
        cause=cause,
    )
