"""Child processes whose output nobody reads, so that they cannot end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis.onset import Onset
from taskscope.analysis.patterns.chains import STILL, named, standing
from taskscope.analysis.patterns.pattern import UNKNOWN, ProcessPattern, line_finding, said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.model import Finding, Frame, UnreadOutput, WaitGraph

PATIENCE = 25.0
"""Seconds after which somebody would have come to read."""


def unread(graph: WaitGraph | None) -> tuple[Finding, ...]:
    """One finding per line, longest first; none of those in a deadlock, which says more."""
    if graph is None:
        return ()
    stuck = {each.number for each in graph.nodes if each.kind == "process"}
    late = [
        each
        for each in graph.unread
        if graph.monotonic - each.since >= (STILL if each.alone else PATIENCE)
        and each.process.number not in stuck
    ]
    by_line: dict[tuple[Frame | None, bool], list[UnreadOutput]] = {}
    for each in sorted(late, key=lambda each: each.since):
        by_line.setdefault((each.waiter.frame, each.alone), []).append(each)
    return tuple(_finding(first, more, graph.monotonic) for first, *more in by_line.values())


def _finding(each: UnreadOutput, more: Sequence[UnreadOutput], now: float) -> Finding:
    child, since = named(each.process), wording.age(now - each.since)
    others = wording.plural(len(more), f"more {each.waiter.kind}")
    reads = "nobody else has it, so nobody will read it" if each.alone else "nobody reads it"
    return line_finding(
        "hang" if each.alone else "suspect",
        "deadlock",
        "deadlock",
        each.waiter.frame or UNKNOWN,
        each.waiter.user_frame,
        Onset(each.since, at_least=True),
        f"{named(each.waiter)} waits for {child} to end, which has waited for at least {since} to be read",
        {"pid": each.process.number, "unread": [on.unread for on in each.on]},
        OUTPUT_NOT_READ.cause(
            said(f"the output of {child} fills its pipe, and {reads}"),
            (
                standing(each.waiter),
                *(f"the pipe, at our end: {on.text}" for on in each.on),
                *([f"{others} in the same way at the same line"] if more else []),
            ),
        ),
        live=1 + len(more),
    )


OUTPUT_NOT_READ = ProcessPattern(
    name="output not read",
    find=lambda process: unread(process.waits),
    noun="child",
    verb=" whose output is not read",
    explanation="A process that writes to a full pipe waits until it is read, and does not end before.",
    remedy="Read while the child runs (communicate), or give it a file or DEVNULL instead of a pipe.",
)

PATTERNS = (OUTPUT_NOT_READ,)
"""In the order they are reported."""
