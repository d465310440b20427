"""Data seen through aiomonitor in the snapshot format; sections it cannot fill are empty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope import model, wire
from taskscope.model import snapshot as form

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


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
    frames: dict[model.Frame, int] = {}
    rows: list[list[int]] = []
    site_stacks = []
    for site, kept in stacks.items():
        for each in kept:
            rows.append([frames.setdefault(frame, len(frames)) for frame in each.frames])
            site_stacks.append({"site": site, "serial": each.serial, "stack": len(rows) - 1})
    sections = {
        "format": form.FORMAT,
        "schema": form.SCHEMA,
        "taskscope": hello.taskscope,
        "process": wire.pack(hello.process),
        "agent": wire.pack(form.Agent.of(hello)),
        "time": wire.pack(form.Times(sample.wall, sample.monotonic)),
        "sample": wire.pack(sample),
        "sites": wire.pack(list(sites)),
        "site_stacks": site_stacks,
        "frames": [[frame.file, frame.line, frame.function, frame.origin] for frame in frames],
        "stacks": rows,
        "tasks": [_packed(task) for task in tasks],
        "ended": wire.pack(list(ended)),
        "history": wire.pack(history),
        "site_history": wire.pack(list(site_history)),
        "judged": wire.pack(model.Judged(0.0)),
    }
    every = {**{name: [] for name in form.LISTS}, **sections}
    return {name: every[name] for name in form.NAMES if name in every}


def _packed(task: model.Task) -> dict[str, Any]:
    """Only what is known about a task that was merely listed."""
    names = ("serial", "name", "coroutine", "state", "site", "parent", "loop", "birth")
    return {name: getattr(task, name) for name in names}
