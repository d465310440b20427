"""Data seen through aiomonitor in the snapshot format; sections it cannot fill are empty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope import wire
from taskscope.sources import tallied

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from taskscope import model


def snapshot(
    hello: model.Hello,
    sample: model.Sample,
    sites: Sequence[model.Site],
    tasks: Iterable[model.Task],
    stacks: Mapping[int, Sequence[model.CreationStack]],
    ended: Sequence[model.Ended],
    history: model.History,
    site_history: Sequence[model.SiteHistory],
) -> dict[str, Any]:
    """The snapshot as JSON values.  ``stacks``: creation stacks by site."""
    numbered = tallied.Stacks()
    site_stacks = [
        {"site": site, "serial": each.serial, "stack": numbered.number(each.frames)}
        for site, kept in stacks.items()
        for each in kept
        if each.frames
    ]
    return tallied.snapshot(
        hello,
        sample,
        numbered,
        sites=wire.pack(list(sites)),
        site_stacks=site_stacks,
        tasks=[_packed(task) for task in tasks],
        ended=wire.pack(list(ended)),
        history=wire.pack(history),
        site_history=wire.pack(list(site_history)),
    )


def _packed(task: model.Task) -> dict[str, Any]:
    """Only what is known about a task that was merely listed."""
    names = ("serial", "name", "coroutine", "state", "site", "parent", "loop", "birth")
    return {name: getattr(task, name) for name in names}
