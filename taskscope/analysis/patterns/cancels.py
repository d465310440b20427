"""Tasks that were cancelled and run on, while others wait for their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis.patterns.pattern import ProcessPattern, place
from taskscope.model import Finding, Frame

if TYPE_CHECKING:
    from taskscope.model import WaitGraph, WaitNode

PATIENCE = 20.0
"""Seconds that a task may take to clean up."""


def swallowed(graph: WaitGraph | None) -> tuple[Finding, ...]:
    """One finding per task, longest first."""
    if graph is None:
        return ()
    late = [each for each in graph.cancelled if graph.monotonic - (each.since or 0.0) >= PATIENCE]
    late.sort(key=lambda each: each.since or 0.0)
    return tuple(_finding(each, graph.monotonic) for each in late)


def _finding(task: WaitNode, now: float) -> Finding:
    where = task.frame or Frame("", 0, "(unknown)", "stdlib")
    since = task.since or 0.0
    behind = f"{wording.plural(task.waiting, 'task')} {'waits' if task.waiting == 1 else 'wait'} for its end"
    return Finding(
        level="suspect",
        kind="cancel",
        id=0,
        site=where,
        user_site=task.user_frame,
        coroutine=where.function,
        live=1,
        rate_per_min=0.0,
        since=since,
        since_at_least=True,
        text=f"task {task.name} was cancelled at least {wording.age(now - since)} ago and still runs",
        evidence={"why": "cancelled", "task": task.number, "waiting": task.waiting},
        cause=CANCEL_SWALLOWED.cause(
            f"it swallowed CancelledError, or takes long to clean up; {behind}",
            (f"it is at {place(where)} in {where.function} ({task.text})",),
        ),
    )


CANCEL_SWALLOWED = ProcessPattern(
    name="cancel swallowed",
    find=lambda process: swallowed(process.waits),
    noun="swallowed cancel",
    explanation="cancel() is a request: a task that catches CancelledError and goes on does not end.",
    remedy="Re-raise CancelledError after cleaning up; catch Exception, not BaseException.",
)

PATTERNS = (CANCEL_SWALLOWED,)
"""In the order they are reported."""
