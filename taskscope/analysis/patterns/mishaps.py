"""Mishaps of single tasks: wrong loop, wrong thread, destroyed while pending, the same error each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis.onset import Onset
from taskscope.analysis.patterns.pattern import (
    UNKNOWN,
    Pattern,
    ProcessPattern,
    line_finding,
    place,
    said,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from taskscope.analysis.mishaps import Ending, MishapTrack
    from taskscope.analysis.patterns.pattern import ProcessFacts
    from taskscope.model import Cause, Failure, Finding, Frame, Lost
    from taskscope.model.vocabulary import Level, Reason

RECENT = 600.0
"""Seconds for which something that does not happen again is told."""

WRONG_LOOP_SAYS = ("is bound to a different event loop", "attached to a different loop")
"""How asyncio words the RuntimeError of an object that is used by a second loop."""


def is_wrong_loop(failure: Failure) -> bool:
    """Whether a task failed because an asyncio object belongs to another loop."""
    return failure.error.startswith("RuntimeError") and any(each in failure.error for each in WRONG_LOOP_SAYS)


def _wrong_loops(track: MishapTrack) -> Iterator[Finding]:
    now = track.now
    for failure in now.failures if now is not None else ():
        if is_wrong_loop(failure) and now is not None and failure.last >= now.monotonic - RECENT:
            where = failure.user_frame or failure.raised or UNKNOWN
            times = "once" if failure.count == 1 else f"{failure.count:,} times"
            yield _finding(
                "suspect",
                "wrong loop",
                where,
                failure.user_frame,
                failure.count,
                failure.first,
                f"used by a second event loop {times}: the task fails",
                {"error": failure.error, "count": failure.count, "site": failure.site},
                WRONG_LOOP.cause(
                    "an asyncio object is used by two event loops", (f"last error: {failure.error}",)
                ),
            )


def _wrong_threads(track: MishapTrack) -> Iterator[Finding]:
    now = track.now
    for each in now.from_other_threads if now is not None else ():
        site = track.sites.get(each.site)
        if site is None or now is None or each.last < now.monotonic - RECENT:
            continue  # a new site is named by the next sample
        where = site.frame
        yield _finding(
            "suspect",
            "wrong thread",
            where,
            site.user_frame,
            each.count,
            each.first,
            f"{wording.plural(each.count, 'task')} created in thread {each.thread}, "
            "which does not run the loop",
            {"thread": each.thread, "count": each.count, "site": each.site},
            WRONG_THREAD.cause(
                f"thread {each.thread} creates tasks for a loop that runs in another thread",
                (f"at {place(where)} in {where.function}",),
            ),
        )


def _failing(track: MishapTrack) -> Iterator[Finding]:
    for each in track.endings:
        failure = each.failure
        where = failure.user_frame or failure.raised or UNKNOWN
        error = failure.error.partition(":")[0]
        raised = f"raised at {place(failure.raised)} in {failure.raised.function}" if failure.raised else ""
        yield _finding(
            "info",
            "failing",
            where,
            failure.user_frame,
            each.failed,
            failure.first,
            f"{each.failed:,} of {each.ended:,} tasks that ended failed with {error}, {_rate(each)}",
            {"error": failure.error, "failed": each.failed, "ended": each.ended, "site": failure.site},
            MOST_FAIL.cause(
                f"most tasks of {_name(track, failure.site)} end with {error}",
                tuple(line for line in (raised, f"last error: {failure.error}") if line),
            ),
        )


def _rate(each: Ending) -> str:
    per_second = each.failed / max(each.seconds, 1e-9)
    return f"{per_second:.1f} a second" if per_second >= 0.95 else f"{60 * per_second:.0f} a minute"


def _timed_out(track: MishapTrack) -> Iterator[Finding]:
    for each in track.now.timed_out if track.now is not None else ():
        if any(ending.failure.site == each.site for ending in track.endings):
            continue  # the error says more
        where = each.frame
        per_second = each.count / max(each.last - each.first, 1.0)
        yield _finding(
            "info",
            "timed out",
            where,
            each.user_frame,
            each.count,
            each.first,
            f"{each.count:,} of {each.ended:,} tasks ended after {each.seconds:,.1f} s each, "
            f"{per_second:.1f} a second, and live ones wait for {each.text}",
            {"seconds": round(each.seconds, 3), "count": each.count, "ended": each.ended, "site": each.site},
            MOST_TIME_OUT.cause(
                f"tasks of {_name(track, each.site)} wait for {each.text} until a time-out of "
                f"{each.seconds:,.1f} s ends them",
                (f"they wait at {place(where)} in {where.function} ({each.text})",),
            ),
        )


def _retrying(track: MishapTrack) -> Iterator[Finding]:
    for each in track.now.retried if track.now is not None else ():
        share = "the only task" if each.looked_at == 1 else f"{each.count:,} of {each.looked_at:,} tasks"
        raised = f"raised at {place(each.raised)} in {each.raised.function}" if each.raised else ""
        yield _finding(
            "info",
            "failing",
            each.frame,
            each.frame if each.frame.origin == "user" else None,
            each.count,
            each.first,
            f"{share} {'sleeps' if each.count == 1 else 'sleep'} after {each.error}, over and over",
            {"error": each.error, "count": each.count, "looked_at": each.looked_at, "site": each.site},
            SWALLOWED.cause(
                f"tasks of {_name(track, each.site)} handle {each.error} again and again, and nobody else "
                "learns of it",
                (raised,) if raised else (),
            ),
        )


def _name(track: MishapTrack, site: int) -> str:
    known = track.sites.get(site)
    return f"{place(known.frame)} ({known.coroutine})" if known is not None else "one line"


def lost_cause(lost: Lost | None) -> Cause:
    """The cause of tasks that were destroyed while pending."""
    frame = lost.frame if lost is not None else None
    at = f" at {place(frame)} in {frame.function}" if frame is not None else ""
    evidence = (f"the last one waited{at}",) if at else ()
    destroyed = f"the garbage collector destroyed them while they waited{at}"
    return LOST.cause(said(destroyed, "nothing kept them"), evidence)


def _finding(
    level: Level,
    why: Reason,
    site: Frame,
    user_site: Frame | None,
    count: int,
    since: float,
    text: str,
    evidence: dict[str, object],
    cause: Cause,
) -> Finding:
    began = Onset(since)
    return line_finding(level, "mishap", why, site, user_site, began, text, evidence, cause, live=count)


LOST = Pattern(
    name="lost to the collector",
    explanation=(
        "The event loop refers to tasks only weakly: one that nothing else refers to, and that waits for "
        "something only it refers to, is garbage."
    ),
    remedy="Keep the result of create_task until the task is done (in a set, or a TaskGroup).",
)


def _in_mishaps(
    find: Callable[[MishapTrack], Iterable[Finding]],
) -> Callable[[ProcessFacts], tuple[Finding, ...]]:
    return lambda process: tuple(find(process.mishaps)) if process.mishaps is not None else ()


WRONG_LOOP = ProcessPattern(
    name="wrong loop",
    find=_in_mishaps(_wrong_loops),
    noun="object of another loop",
    explanation=(
        "Locks, events, queues and futures of asyncio belong to the loop that used them first. In another "
        "loop they fail as soon as someone has to wait, and a release in one loop does not wake the other."
    ),
    remedy="Create one per loop, or use a lock of threading in a thread; do not keep them in a module.",
)

WRONG_THREAD = ProcessPattern(
    name="wrong thread",
    find=_in_mishaps(_wrong_threads),
    noun="line",
    verb=" creating tasks in the wrong thread",
    explanation=(
        "create_task and call_soon are not thread-safe: the loop is not woken, so the task starts whenever "
        "something else wakes it, and the loop's queues may be damaged."
    ),
    remedy="Use asyncio.run_coroutine_threadsafe or loop.call_soon_threadsafe.",
)

MOST_FAIL = ProcessPattern(
    name="most fail",
    find=_in_mishaps(_failing),
    noun="line",
    verb=" whose tasks mostly fail",
    explanation="An error in a task is raised only where the task is awaited: until then nobody sees it.",
    remedy="Await the tasks or log their errors, and look at what makes them fail.",
)

SWALLOWED = ProcessPattern(
    name="errors swallowed",
    find=_in_mishaps(_retrying),
    noun="line",
    verb=" that swallows the same error",
    explanation="A task that catches each error, sleeps and tries again lives on, and does not do its work.",
    remedy="Log the error, wait longer each time, and let it end the task after so many tries.",
)

MOST_TIME_OUT = ProcessPattern(
    name="most time out",
    find=_in_mishaps(_timed_out),
    noun="line",
    verb=" whose tasks mostly time out",
    explanation="They end after the same time while they still wait: a time-out ends them, not an answer.",
    remedy="Find out why what they wait for does not come: a full pool, a server that does not answer.",
)

PATTERNS = (WRONG_LOOP, WRONG_THREAD, MOST_FAIL, MOST_TIME_OUT, SWALLOWED)
"""In the order they are reported."""
