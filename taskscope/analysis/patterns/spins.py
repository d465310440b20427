"""Loops that run the same callback in every iteration, for nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis.onset import Onset
from taskscope.analysis.patterns.pattern import ProcessPattern, line_finding, place, said

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from taskscope.analysis.spinning import Spinning
    from taskscope.model import Cause, Descriptor, Finding, Frame
    from taskscope.model.vocabulary import Level

SOON, LASTING = 4.5, 9.0
"""Seconds from which it is no brief wait: the former if what it is for has ended."""

QUICK = 0.0003
"""CPU seconds per iteration up to which nothing but asking goes on; computations in portions take longer."""


def spinning(spins: Iterable[Spinning]) -> tuple[Finding, ...]:
    """One finding per callback that is queued again for ever for something that has ended."""
    found = [each for each in _queued(spins) if each.rearmed.ended and not each.rearmed.changes]
    return tuple(_spin(each) for each in found)


def busy_waiting(spins: Iterable[Spinning]) -> tuple[Finding, ...]:
    """One finding per line of callbacks or tasks that run in every iteration and change nothing."""
    idle: dict[tuple[int, Frame], list[Spinning]] = {}
    for each in _queued(spins):
        rearmed = each.rearmed
        quiet = not (rearmed.ended or rearmed.changes or rearmed.counts)
        if quiet and each.lasted >= LASTING and _is_quick(each):
            idle.setdefault((each.turns.loop, rearmed.user_frame or rearmed.frame), []).append(each)
    return tuple(_busy(first, len(more)) for first, *more in idle.values())


def undrained(spins: Iterable[Spinning]) -> tuple[Finding, ...]:
    """One finding per descriptor that is ready on every poll, and that its callback takes nothing from."""
    return tuple(
        _ready(each, each.rearmed.on)
        for each in spins
        if each.rearmed.on is not None and not each.rearmed.changes and each.lasted >= SOON
    )


def _queued(spins: Iterable[Spinning]) -> Iterator[Spinning]:
    """Those that queue themselves."""
    return (each for each in spins if each.rearmed.on is None)


def _is_quick(spin: Spinning) -> bool:
    turns = spin.turns
    return turns.iterations is not None and (turns.cpu or 1.0) / turns.iterations <= QUICK


def _spin(spin: Spinning) -> Finding:
    rearmed = spin.rearmed
    name = f" ({rearmed.coroutine})" if rearmed.coroutine else ""
    why = f"it queues itself again in every iteration, for a task that has ended{name}"
    by = rearmed.left_by
    left = f"{by.function} left its {rearmed.owner} by hand" if by is not None else ""
    return _about(
        "spin" if spin.lasted >= SOON else "suspect",
        spin,
        f"event loop {spin.turns.loop} spins: {rearmed.function} runs {_pace(spin)}",
        LOOP_SPINS.cause(said(why, more=left), tuple(_evidence(spin))),
    )


def _busy(spin: Spinning, more: int) -> Finding:
    rearmed = spin.rearmed
    again = "yields and asks again" if rearmed.of_task else "queues itself again"
    return _about(
        "suspect",
        spin,
        f"event loop {spin.turns.loop} never sleeps: {rearmed.function} runs {_pace(spin)}",
        BUSY_WAIT.cause(
            said(f"{rearmed.function} {again} in every iteration", more="nothing changes"),
            (*_evidence(spin), *([f"{more:,} more at the same line"] if more else [])),
        ),
    )


def _ready(spin: Spinning, on: Descriptor) -> Finding:
    rearmed, turns = spin.rearmed, spin.turns
    ends = f"fd {on.number}, {on.kind}"
    if rearmed.writes:
        why = said(f"{ends}, has room on every poll", more="nothing changes")
    elif on.unread:
        why = said(f"{rearmed.function} takes none of {on.unread:,} bytes unread in {ends}")
    else:
        why = said(f"{ends}, has come to its end, and {rearmed.function} goes on being called for it")
    return _about(
        "spin" if spin.lasted >= LASTING and not rearmed.writes else "suspect",
        spin,
        f"event loop {turns.loop} spins: {rearmed.function} runs {_pace(spin)} for {ends}",
        NEVER_DRAINED.cause(
            why,
            (
                f"ready on all looks in {turns.seconds:.1f} s: {on.text}",
                f"{place(rearmed.frame)} in {rearmed.frame.function} watches it",
            ),
        ),
    )


def _about(level: Level, spin: Spinning, text: str, cause: Cause) -> Finding:
    rearmed, turns = spin.rearmed, spin.turns
    found = line_finding(
        level,
        "spin",
        "spins",
        rearmed.frame,
        rearmed.user_frame,
        Onset(spin.since, at_least=True),
        text,
        {
            "loop": turns.loop,
            "iterations_per_second": _rounded(turns.iterations),
            "cpu": None if turns.cpu is None else round(turns.cpu, 2),
            "task": rearmed.task or None,
        },
        cause,
    )
    return replace(found, coroutine=rearmed.function)


def _rounded(rate: float | None) -> int | None:
    return None if rate is None else round(rate)


def _pace(spin: Spinning) -> str:
    """``41,200 times/s (96 % of a core)``."""
    turns = spin.turns
    often = f"{turns.iterations:,.0f} times/s" if turns.iterations is not None else "in every iteration"
    return f"{often} ({wording.percent(turns.cpu)} of a core)" if turns.cpu is not None else often


def _evidence(spin: Spinning) -> Iterator[str]:
    rearmed, turns = spin.rearmed, spin.turns
    yield f"queued on all {turns.looks:,} looks in {turns.seconds:.1f} s; the loop never slept"
    yield f"{place(rearmed.frame)} in {rearmed.frame.function} queues it"
    if not rearmed.changes:
        yield f"{'only numbers' if rearmed.counts else 'none'} of what it works on changed meanwhile"
    if rearmed.task or rearmed.coroutine:
        ended = ", which has ended" if rearmed.ended else ""
        number = f"task {rearmed.task}, " if rearmed.task else ""
        yield f"behind it: {number}{rearmed.coroutine}{ended}"
    if rearmed.left_by is not None:
        yield f"left by hand at {place(rearmed.left_by)} in {rearmed.left_by.function}"
    others = [each for each in turns.callbacks if each.function != rearmed.function]
    if others:
        yield f"also run: {', '.join(each.function for each in others[:3])}"


LOOP_SPINS = ProcessPattern(
    name="loop spins",
    find=lambda process: spinning(process.spins),
    noun="spinning loop",
    explanation=(
        "A callback that queues itself again keeps its loop awake: it burns a core and delays everything. "
        "anyio delivers a cancellation in every iteration until the tasks of its scope have left it."
    ),
    remedy=(
        "Leave a cancel scope or task group in the task that entered it (async with, in one function). "
        "Elsewhere, end the chain when its purpose is gone, or use call_later."
    ),
)

BUSY_WAIT = ProcessPattern(
    name="busy wait",
    find=lambda process: busy_waiting(process.spins),
    noun="busy wait",
    explanation="Code that asks in every iteration whether something has happened keeps its loop awake.",
    remedy="Await an Event, a Condition or a Future that is set when it happens.",
)

NEVER_DRAINED = ProcessPattern(
    name="never drained",
    find=lambda process: undrained(process.spins),
    noun="descriptor",
    verb=" watched for nothing",
    explanation=(
        "A loop calls a reader as long as there is anything to read, the end of the data included, and a "
        "writer as long as there is room: in every iteration, without sleeping."
    ),
    remedy=(
        "Read until it would block, call remove_reader when the data ends or fails, and watch for room only "
        "while there is something to write."
    ),
)

PATTERNS = (LOOP_SPINS, NEVER_DRAINED, BUSY_WAIT)
"""In the order they are reported."""
