"""What sources share that count tasks themselves, look by look: the past of a site, a snapshot of it all."""

from __future__ import annotations

import bisect
import os
from typing import TYPE_CHECKING, Any

from taskscope import model, wire
from taskscope.model import snapshot as form
from taskscope.sources.base import NotAvailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from taskscope.model import requests

SITE_PAST = 600
"""Changes kept per site."""

Change = tuple[float, int, int, int]
"""When, and the counts from then on: live, born and ended."""


def site_past(id: int, changes: Iterable[Change], since: float) -> model.SiteHistory:
    """The changes of one site, from those in force at ``since``."""
    past = list(changes)
    rows = past[max(0, bisect.bisect_right(past, since, key=lambda row: row[0]) - 1) :]
    times, live, born, ended = zip(*rows, strict=True) if rows else ((), (), (), ())
    return model.SiteHistory(id, times, live, born, ended)


class Stacks:
    """Numbers frames and stacks as they come; many tasks share one."""

    def __init__(self) -> None:
        self._stacks: dict[tuple[model.Frame, ...], int] = {}

    def number(self, stack: Sequence[model.Frame]) -> int | None:
        return self._stacks.setdefault(tuple(stack), len(self._stacks)) if stack else None

    def sections(self) -> dict[str, Any]:
        """The frames, and the stacks as numbers of frames."""
        numbers: dict[model.Frame, int] = {}
        rows = [[numbers.setdefault(frame, len(numbers)) for frame in stack] for stack in self._stacks]
        return {
            "frames": [[each.file, each.line, each.function, each.origin] for each in numbers],
            "stacks": rows,
        }


def snapshot(hello: model.Hello, sample: model.Sample, stacks: Stacks, **sections: Any) -> dict[str, Any]:
    """The snapshot as JSON values; what is not among ``sections``, which are such values, is empty."""
    empty = {
        **{name: [] for name in form.LISTS},
        "timers": wire.pack(model.Timers(0.0)),
        "resources": wire.pack(model.Resources(0.0)),
        "judged": wire.pack(model.Judged(0.0)),
    }
    head = {
        "format": form.FORMAT,
        "schema": form.SCHEMA,
        "taskscope": hello.taskscope,
        "process": wire.pack(hello.process),
        "agent": wire.pack(form.Agent.of(hello)),
        "time": wire.pack(form.Times(sample.wall, sample.monotonic)),
        "sample": wire.pack(sample),
    }
    every = empty | head | stacks.sections() | sections
    return {name: every[name] for name in form.NAMES if name in every}


def spare_files(query: requests.Source, owner: int | None) -> None:
    """Raises NotAvailable to root, who may read more than the ``owner`` of a process that names the file."""
    if os.geteuid() == 0 and owner != 0:
        who = "on behalf of another user: run as the program's user"
        raise NotAvailable(f"root does not read {query.file} {who}")
