"""What holds everybody up: a loop that stands still or does not keep up, a pool with no worker free, a limit.

Worth a note, no leak.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis.explanations import EXPLANATIONS
from taskscope.analysis.onset import Onset
from taskscope.analysis.sleeping import guilty_part, is_pause
from taskscope.model import Cause, Finding, Frame, is_full

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from taskscope.analysis.resources import Exhausted
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

    Where a loop had many callbacks to run no line held it (see ``crowded``).
    """
    by_line: dict[tuple[str, int], list[Stall]] = defaultdict(list)
    for stall in stalls:
        held = stall.why == "held" and not stall.queued and not is_pause(stall)
        if held and stall.began + stall.duration >= now - RECENT:
            frame = _guilty(stall.stack)
            by_line[frame.file, frame.line].append(stall)
    found = [_stall_finding(each) for each in by_line.values()]
    return tuple(sorted(found, key=lambda finding: -float(finding.evidence["total_seconds"])))


def crowded(loops: Iterable[Loop], threads: Sequence[Thread], since: Onset) -> tuple[Finding, ...]:
    """One finding for each loop that has more to run than it gets through, as it is since then."""
    return tuple(
        _crowd_finding(loop, next((each for each in threads if each.loop == loop.id), None), since)
        for loop in loops
        if (loop.latency_p50 or 0.0) >= CROWDED and (loop.ready is None or loop.ready >= QUEUED)
    )


def saturated(threads: Iterable[Thread], now: float) -> tuple[Finding, ...]:
    """One finding for each pool whose workers are all at work while jobs wait."""
    pools: dict[int, list[Thread]] = defaultdict(list)
    for thread in threads:
        if thread.executor is not None:
            pools[thread.executor.id].append(thread)
    return tuple(_pool_finding(workers, now) for workers in pools.values() if is_full(workers))


def exhausted(used_up: Iterable[Exhausted]) -> tuple[Finding, ...]:
    """One finding for each resource that has met its limit."""
    return tuple(_limit_finding(each) for each in used_up)


def _guilty(stack: Sequence[Frame]) -> Frame:
    """The innermost frame of the user's, who called what blocks."""
    user = next((frame for frame in stack if frame.origin == "user"), None)
    return user or (stack[0] if stack else Frame("", 0, "(not known)", "stdlib"))


def _stall_finding(stalls: list[Stall]) -> Finding:
    longest, total = max(stall.duration for stall in stalls), sum(stall.duration for stall in stalls)
    worst = max(stalls, key=lambda stall: stall.duration)
    frame = _guilty(worst.stack)
    said = tuple(f"{_at(each)} in {each.function}" for each in guilty_part(worst.stack))
    held = next((stall for stall in stalls if not stall.over), None)
    if held is None:
        cause = f"a call made in {frame.function} kept the loop from running for {longest:,.2f} s"
    else:
        cause = f"a call made in {frame.function} has not returned to the loop for {held.duration:,.2f} s"
    return _finding(
        "stall",
        frame,
        Onset(min(stall.began for stall in stalls)),
        f"the loop stood still {_times(stalls)}",
        {
            "why": "stall",
            "count": len(stalls),
            "longest_seconds": round(longest, 3),
            "total_seconds": round(total, 3),
            "task": worst.task,
            "stack": [f"{each.file}:{each.line} in {each.function}" for each in worst.stack],
        },
        Cause("loop held", cause, said, EXPLANATIONS["loop held"]),
    )


def _times(stalls: Sequence[Stall]) -> str:
    """``once, for 1.50 s`` or ``3 times, for up to 2.00 s, 3.00 s in all``."""
    longest, total = max(stall.duration for stall in stalls), sum(stall.duration for stall in stalls)
    if len(stalls) == 1:
        return f"once, for {longest:,.2f} s"
    return f"{len(stalls):,} times, for up to {longest:,.2f} s, {total:,.2f} s in all"


def _crowd_finding(loop: Loop, thread: Thread | None, since: Onset) -> Finding:
    said = [] if loop.ready is None else [_waiting(loop.ready, "callback") + " now"]
    if thread is not None and thread.frame is not None:
        said.append(f"just now it was in {thread.frame.function}, {_at(thread.frame)}")
    half, most = loop.latency_p50 or 0.0, loop.latency_p99 or 0.0
    return _finding(
        "loop",
        Frame("", 0, loop.kind.rpartition(".")[2], "stdlib"),
        since,
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


def _waiting(number: int, noun: str) -> str:
    """``1 job waits``, ``7 jobs wait``."""
    return f"{wording.plural(number, noun)} {'waits' if number == 1 else 'wait'}"


def _pool_finding(workers: Sequence[Thread], now: float) -> Finding:
    pool = workers[0].executor
    assert pool is not None
    frame = next((each.frame for each in workers if each.frame is not None), None)
    where = frame or Frame("", 0, "(not known)", "stdlib")
    all_workers = "its one worker is" if pool.max_workers == 1 else f"all {pool.max_workers:,} workers are"
    least = "at least " if pool.more_queued else ""
    said = tuple(dict.fromkeys(each.text for each in workers))[:5]
    return _finding(
        "executor",
        where,
        Onset(now if pool.full_since is None else pool.full_since, at_least=True),
        f"{pool.name}: {all_workers} at work and {least}{_waiting(pool.queued, 'job')}",
        {"why": "saturated", "workers": pool.max_workers, "queued": pool.queued},
        Cause(
            "pool saturated",
            "every worker is at work, so new jobs wait",
            said,
            EXPLANATIONS["pool saturated"],
        ),
    )


_IN_USE = {
    "fds": (
        "file descriptors",
        "file descriptors are in use",
        "opening a file or a socket fails with EMFILE",
    ),
    "rss": ("memory", "of memory is in use", "allocating fails, or the process is killed"),
    "threads": ("threads", "threads are in use", "starting a thread fails"),
}


def _limit_finding(used_up: Exhausted) -> Finding:
    noun, in_use, then = _IN_USE[used_up.resource]
    spell = _megabytes if used_up.resource == "rss" else "{:,}".format
    by = f" ({used_up.limit_by})" if used_up.limit_by else ""
    return _finding(
        "limit",
        Frame("", 0, noun, "stdlib"),
        used_up.since,
        f"{spell(used_up.used)} of {spell(used_up.limit)} {in_use}{by}",
        {"why": "limit", "resource": used_up.resource, "used": used_up.used, "limit": used_up.limit},
        Cause("limit reached", f"little or nothing is left; then {then}", (), EXPLANATIONS["limit reached"]),
    )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"


def _finding(
    kind: str, frame: Frame, since: Onset, text: str, evidence: dict[str, object], cause: Cause
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
        since=since.since,
        since_at_least=since.at_least,
        text=text,
        evidence=evidence,
        cause=cause,
    )
