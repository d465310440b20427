"""A look in the snapshot format, which answers whatever a saved snapshot can answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope import wire
from taskscope.sources.outside.parked import parked
from taskscope.sources.outside.threads import threads
from taskscope.sources.tallied import Stacks, snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope import model
    from taskscope.sources.outside.look import Look
    from taskscope.sources.outside.tally import Tally


def picture(
    hello: model.Hello,
    sample: model.Sample,
    look: Look,
    tally: Tally,
    history: model.History,
    site_history: Sequence[model.SiteHistory],
    silence: model.Silence | None,
    *,
    stacks: bool = True,
) -> dict[str, Any]:
    """The snapshot of a look as JSON values.  ``silence``: why the process runs no Python code, if so."""
    numbered = Stacks()
    tasks = _tasks(look, tally, numbered if stacks else None)
    found = [
        {name: value for name, value in wire.pack(each).items() if name != "frame"}
        | {"stack": numbered.number(stack), "creation": None}
        for each, stack in threads(look, tally)
    ]
    return snapshot(
        hello,
        sample,
        numbered,
        sites=wire.pack([each.site for each in tally.sites.values()]),
        tasks=tasks,
        threads=found,
        history=wire.pack(history),
        site_history=wire.pack(list(site_history)),
        silences=[wire.pack(silence)] if silence is not None else [],
    )


def _tasks(look: Look, tally: Tally, numbered: Stacks | None) -> list[dict[str, Any]]:
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
