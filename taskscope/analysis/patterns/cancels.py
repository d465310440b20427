"""Tasks that were cancelled and run on, while others wait for their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis.onset import Onset
from taskscope.analysis.patterns.pattern import UNKNOWN, ProcessPattern, line_finding, place, said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.model import Awaiter, Cancelled, Finding, Frame, WaitGraph

PATIENCE = 20.0
"""Seconds that a task may take to clean up."""


def swallowed(graph: WaitGraph | None) -> tuple[Finding, ...]:
    """One finding per line that catches it, or that they are at if that is unknown; the longest first."""
    if graph is None:
        return ()
    late = [each for each in graph.cancelled if graph.monotonic - (each.task.since or 0.0) >= PATIENCE]
    late.sort(key=lambda each: each.task.since or 0.0)
    alike: dict[Frame | None, list[Cancelled]] = {}
    for each in late:
        alike.setdefault(each.caught or each.task.frame, []).append(each)
    return tuple(_finding(each, graph.monotonic) for each in alike.values())


def _finding(every: Sequence[Cancelled], now: float) -> Finding:
    """``every``: alike, the longest first."""
    cancelled = every[0]
    task, caught = cancelled.task, cancelled.caught
    where = task.frame or UNKNOWN
    since = task.since or 0.0
    behind = f"{wording.plural(task.waiting, 'task')} {'waits' if task.waiting == 1 else 'wait'} for its end"
    if caught is not None:
        why = f"CancelledError is caught at {place(caught)} in {caught.function}, and not raised again"
    else:
        why = "it swallowed CancelledError, or takes long to clean up"
    times = "" if cancelled.requests < 2 else f" {cancelled.requests:,} times"
    return line_finding(
        "suspect",
        "cancel",
        "cancelled",
        where,
        task.user_frame,
        Onset(since, at_least=True),
        f"task {task.name} was cancelled{times} at least {wording.age(now - since)} ago and still runs"
        + (f", as do at least {len(every) - 1:,} more" if len(every) > 1 else ""),
        {
            "count": len(every),
            "task": task.number,
            "waiting": task.waiting,
            "requests": cancelled.requests,
            "caught_at": f"{caught.file}:{caught.line}" if caught is not None else None,
        },
        CANCEL_SWALLOWED.cause(
            said(why, more=behind if task.waiting else ""),
            (
                f"it is at {place(where)} in {where.function} ({task.text})",
                *(_awaits(each) for each in cancelled.awaiters),
            ),
        ),
        live=len(every),
    )


def _awaits(each: Awaiter) -> str:
    at = f" at {place(each.frame)} in {each.frame.function}" if each.frame is not None else ""
    by = f", after calling cancel at {place(each.cancels)}" if each.cancels is not None else ""
    return f"task {each.name} waits for its end{at}{by}"


CANCEL_SWALLOWED = ProcessPattern(
    name="cancel swallowed",
    find=lambda process: swallowed(process.waits),
    noun="swallowed cancel",
    explanation="cancel() is a request: a task that catches CancelledError and goes on does not end.",
    remedy="Re-raise CancelledError after cleaning up; catch Exception, not BaseException.",
)

PATTERNS = (CANCEL_SWALLOWED,)
"""In the order they are reported."""
