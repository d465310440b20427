"""Slots that were lost and items that were never marked done: nobody is left who would give them back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis.onset import Onset
from taskscope.analysis.patterns.chains import STILL
from taskscope.analysis.patterns.pattern import ProcessPattern, Said, line_finding, place, said

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.model import Finding, Frame, Unreturned, WaitGraph, WaitingAt
    from taskscope.model.vocabulary import Lost


def lines_of(graph: WaitGraph) -> frozenset[Frame]:
    """The lines at which tasks wait for what nobody gives back."""
    return frozenset(line.frame for each in graph.unreturned for line in each.lines)


def _unreturned(graph: WaitGraph | None, kind: Lost) -> tuple[Finding, ...]:
    """One finding per semaphore or queue."""
    if graph is None:
        return ()
    told = _TOLD[kind]
    return tuple(
        told(each, graph.monotonic)
        for each in graph.unreturned
        if each.kind == kind and each.lines and graph.monotonic - each.since >= STILL
    )


def _lost_slots(lost: Unreturned, now: float) -> Finding:
    taken = f"all {lost.size:,} slots are taken" if lost.size > 1 else "every slot is taken"
    what, one, of = "a slot", "one", f"a slot of the {lost.name}"
    if lost.name == "Lock":
        taken, what, one, of = "it is locked", "a lock", "it", "the Lock"
    return _finding(
        SLOTS_LOST,
        lost,
        (lost.takers or lost.lines)[0].frame,
        f"{_have_waited(lost, now)} for {what} that nobody will release",
        said(f"{taken}, and nobody is in code that would release {one}"),
        (
            *(
                f"{_at(each)} calls acquire() without with or finally: an error before release() loses {what}"
                for each in lost.takers
            ),
            *(f"{_waiting(each)} for {of} at {_at(each)}" for each in lost.lines),
        ),
    )


def _lost_members(lost: Unreturned, now: float) -> Finding:
    closed = (f"{lost.closed:,} of them are closed",) if lost.closed else ()
    return _finding(
        MEMBERS_LOST,
        lost,
        lost.lines[0].frame,
        f"{_have_waited(lost, now)} for the {lost.name} of {lost.size:,}, which gets nothing back",
        said(f"all {lost.size:,} are taken, and nothing but the pool has them any more"),
        (*closed, *(f"{_waiting(each)} for one at {_at(each)}" for each in lost.lines)),
    )


def _never_done(lost: Unreturned, now: float) -> Finding:
    idle = sum(each.tasks for each in lost.takers)
    consumers = (
        f"all {idle:,} consumers wait for the next item" if idle > 1 else "its consumer waits for more"
    )
    consumers = consumers if idle else "nobody takes from it"
    return _finding(
        NEVER_DONE,
        lost,
        lost.lines[0].frame,
        f"{_have_waited(lost, now)} in join() for {wording.plural(lost.size, 'item')} that nobody will mark"
        " done",
        said(f"a task_done() is missing: the queue is empty, and {consumers}"),
        (
            *(
                f"{_waiting(each)} for the next item of the {lost.name} at {_at(each)}"
                for each in lost.takers
            ),
            *(f"{_waiting(each)} in join() at {_at(each)}" for each in lost.lines),
        ),
    )


def _finding(
    pattern: ProcessPattern, lost: Unreturned, where: Frame, text: str, cause: Said, evidence: tuple[str, ...]
) -> Finding:
    return line_finding(
        "hang",
        "deadlock",
        "deadlock",
        where,
        where if where.origin == "user" else None,
        Onset(lost.since, at_least=True),
        text,
        {"stuck": lost.waiting, "lost": lost.kind, "size": lost.size},
        pattern.cause(cause, evidence),
        live=lost.waiting,
    )


def _have_waited(lost: Unreturned, now: float) -> str:
    have = "has" if lost.waiting == 1 else "have"
    return (
        f"{wording.plural(lost.waiting, 'task')} {have} waited for at least {wording.age(now - lost.since)}"
    )


def _waiting(line: WaitingAt) -> str:
    return f"{wording.plural(line.tasks, 'task')} {'waits' if line.tasks == 1 else 'wait'}"


def _at(line: WaitingAt) -> str:
    return f"{place(line.frame)} in {line.frame.function}"


SLOTS_LOST = ProcessPattern(
    name="slots lost",
    find=lambda process: _unreturned(process.waits, "slots"),
    noun="semaphore",
    verb=" with lost slots",
    explanation="Whoever took them has ended, or gone on, without release().",
    remedy="Take them by async with, or release in finally, so that no error or cancellation loses one.",
)

NEVER_DONE = ProcessPattern(
    name="task_done missing",
    find=lambda process: _unreturned(process.waits, "items"),
    noun="queue",
    verb=" whose join() never ends",
    explanation="join() waits until task_done() was called once for every item, however its work went.",
    remedy="Call task_done() in a finally around all that follows get(): no continue or error passes it by.",
)

MEMBERS_LOST = ProcessPattern(
    name="connections lost",
    find=lambda process: _unreturned(process.waits, "members"),
    noun="pool",
    verb=" with lost connections",
    explanation="Whoever took them has ended, or gone on, without giving them back to the pool.",
    remedy="Take them by async with, or give them back in finally: no error or cancellation loses one then.",
)

_TOLD: dict[Lost, Callable[[Unreturned, float], Finding]] = {
    "slots": _lost_slots,
    "items": _never_done,
    "members": _lost_members,
}

PATTERNS = (SLOTS_LOST, MEMBERS_LOST, NEVER_DONE)
"""In the order they are reported."""
