"""A look in the snapshot format, which answers whatever a saved snapshot can answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope import model, wire
from taskscope.model import snapshot as form
from taskscope.sources.outside.parked import parked
from taskscope.sources.outside.threads import threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.sources.outside.look import Look
    from taskscope.sources.outside.tally import Tally


class _Stacks:
    """Numbers frames and stacks as they come; many tasks share one."""

    def __init__(self) -> None:
        self.frames: dict[model.Frame, int] = {}
        self.stacks: dict[tuple[model.Frame, ...], int] = {}

    def number(self, stack: tuple[model.Frame, ...]) -> int | None:
        if not stack:
            return None
        return self.stacks.setdefault(stack, len(self.stacks))

    def rows(self) -> list[list[int]]:
        """The stacks as numbers of frames."""
        numbers = self.frames
        return [[numbers.setdefault(frame, len(numbers)) for frame in stack] for stack in self.stacks]


def picture(
    hello: model.Hello,
    sample: model.Sample,
    look: Look,
    tally: Tally,
    history: model.History,
    site_history: Sequence[model.SiteHistory],
    *,
    stacks: bool = True,
) -> dict[str, Any]:
    """The snapshot of a look as JSON values."""
    numbered = _Stacks()
    tasks = _tasks(look, tally, numbered) if stacks else _tasks(look, tally, None)
    found = [
        {name: value for name, value in wire.pack(each).items() if name != "frame"}
        | {"stack": numbered.number(stack), "creation": None}
        for each, stack in threads(look, tally)
    ]
    rows = numbered.rows()
    sections = {
        "format": form.FORMAT,
        "schema": form.SCHEMA,
        "taskscope": hello.taskscope,
        "process": wire.pack(hello.process),
        "agent": wire.pack(form.Agent.of(hello)),
        "time": wire.pack(form.Times(sample.wall, sample.monotonic)),
        "sample": wire.pack(sample),
        "sites": wire.pack([each.site for each in tally.sites.values()]),
        "frames": [[each.file, each.line, each.function, each.origin] for each in numbered.frames],
        "stacks": rows,
        "tasks": tasks,
        "threads": found,
        "timers": wire.pack(model.Timers(0.0)),
        "resources": wire.pack(model.Resources(0.0)),
        "history": wire.pack(history),
        "site_history": wire.pack(list(site_history)),
        "judged": wire.pack(model.Judged(0.0)),
    }
    every = {**{name: [] for name in form.LISTS}, **sections}
    return {name: every[name] for name in form.NAMES if name in every}


def _tasks(look: Look, tally: Tally, numbered: _Stacks | None) -> list[dict[str, Any]]:
    rows = []
    seen = look.tasks.tasks if look.tasks is not None else ()
    serials = {each.address: tally.tasks[each.address, each.name].serial for each in seen}
    awaited: dict[int, list[int]] = {}
    for each in seen:
        for address in each.awaited_by:
            awaited.setdefault(address, []).append(serials[each.address])
    for each in seen:
        known = tally.tasks[each.address, each.name]
        where = parked(each.chain, serials.get(each.chain.future))
        rows.append(
            {
                "serial": known.serial,
                "name": each.name,
                "coroutine": each.chain.coroutine,
                "state": "running" if each.chain.place else "pending",
                "site": known.site,
                "parent": 0,
                "loop": each.thread,
                "birth": None,
                "stack": numbered.number(each.chain.stack) if numbered is not None else None,
                "parked": None
                if where is None
                else {"wait": where.wait, "text": where.text, "task": where.task},
                "awaits": awaited.get(each.address, []) if where and where.wait == "gather" else [],
            }
        )
    return rows
