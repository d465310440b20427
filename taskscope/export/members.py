"""The processes of a group in words: for the report of ``watch`` and for pages."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from taskscope import text as fmt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.model.members import Member
    from taskscope.model.vocabulary import Odd

HEADS = ("PID", "ROLE", "TASKS", "RSS", "CPU", "LOOP P99", "FINDINGS", "STATE")
MOST = 40
"""Processes listed."""

ODD: dict[Odd, str] = {
    "silent": "says nothing",
    "stuck": "its loop is blocked",
    "idle": "has started no task, unlike the others",
}


def state(member: Member) -> str:
    """How it is, with the reason, or the place of its worst finding."""
    if member.state == "ended" and member.ended is not None:
        at = time.strftime("%H:%M:%S", time.localtime(member.ended))
        return f"ended {at} after {fmt.age(member.ended - member.began)}: {member.why}"
    if member.odd:
        return f"{ODD[member.odd]}: {member.why}" if member.why else ODD[member.odd]
    if member.worst and member.state == "attached":
        return member.worst
    return f"{member.state}: {member.why}" if member.why else member.state


def refusals(members: Sequence[Member]) -> str:
    """Why they are not attached to: each reason once, with the processes that have it."""
    alike: dict[str, list[Member]] = {}
    for each in members:
        if each.why:
            alike.setdefault(each.why.replace(str(each.pid), ""), []).append(each)
    said = []
    for first, *others in alike.values():
        pids = fmt.pids([each.pid for each in others])
        said.append(first.why + (f" (and so for {len(others)} more: {pids})" if others else ""))
    return "; ".join(said)


def cells(member: Member) -> tuple[str, ...]:
    """One row, as `HEADS`."""
    levels = fmt.levels(member.levels) if member.state in ("attached", "ended") else fmt.UNKNOWN
    return (
        str(member.pid or fmt.UNKNOWN),
        member.role,
        fmt.count(member.tasks),
        fmt.bytes(member.rss),
        fmt.percent(member.cpu),
        fmt.latency(member.loop_latency),
        levels,
        state(member),
    )


def rows(members: Sequence[Member]) -> list[tuple[str, ...]]:
    """The rows, without those of multiprocessing's own processes."""
    return [cells(each) for each in members if each.state != "helper"][:MOST]


def count(members: Sequence[Member], ended: int) -> str:
    """How many there are of which kind."""
    live = sum(each.state == "attached" for each in members)
    refused = sum(each.state == "refused" for each in members)
    parts = [fmt.plural(live, "process")]
    parts += [f"{ended} ended"] if ended else []
    parts += [f"{refused} refused"] if refused else []
    return ", ".join(parts)
