"""Starts the app, and finds its targets: the processes on this machine, or at the far end of ``--via``."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

from taskscope.attach.presence import agent_in, staying
from taskscope.sources.base import SourceMisbehaves
from taskscope.sources.group import PICTURE, observed
from taskscope.sources.outside.meanwhile import entered
from taskscope.sources.resolve import resolve
from taskscope.sources.via import reached
from taskscope.tui.coming_back import coming_back
from taskscope.tui.picker import Targets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from taskscope.attach.discover import PythonProcess
    from taskscope.model.changes import Side
    from taskscope.sources.base import Source
    from taskscope.sources.glance import Glance


def targets_of(via: str) -> Targets:
    """The Python processes on this machine, or at the far end of ``via``."""
    return Targets(
        partial(_processes, via),
        partial(_open, via=via),
        partial(_open_group, via=via),
        coming_back,
        partial(_glance, via=via),
        f"at the far end of {via!r}" if via else "on this machine",
    )


def _processes(via: str) -> Sequence[PythonProcess]:
    if via:
        return reached(via).processes()
    from taskscope.attach.discover import processes

    return processes()


async def _glance(process: PythonProcess, via: str) -> Glance | None:
    from taskscope.sources.glance import glance

    try:
        return await glance(process, via)
    except SourceMisbehaves:
        return None


def _open(process: PythonProcess, via: str = "") -> Source:
    if process.monitor and process.obstacle and not process.agent and not via:
        return resolve(process.monitor)
    return resolve(str(process.pid), via=via) if via else entered(process.pid, lambda text: None)


def _open_group(process: PythonProcess, via: str = "") -> Source:
    return observed([str(process.pid)], children=True, via=via, patience=PICTURE)


def run(
    targets: Sequence[str] = (),
    theme: str = "dark",
    baseline: tuple[Side, str] | None = None,
    *,
    children: bool = False,
    via: str = "",
    source: Source | None = None,
    parting: Callable[[str], None] = lambda text: None,
) -> int:
    """Runs the app on ``targets`` (none: on the picker) until the user quits; returns the exit status.

    ``source``: what they are, if that is known.  ``parting`` gets a sentence about agents that stay, once the
    app has given the terminal back.  Raises SourceError if the target cannot be found.
    """
    import gc

    from taskscope.tui.app import GARBAGE, TaskScopeApp

    if not targets:
        app = TaskScopeApp(targets=targets_of(via), theme=theme, baseline=baseline)
    else:
        source = source or observed(targets, children=children, via=via, patience=PICTURE)
        app = TaskScopeApp(source, reconnect=coming_back(source), theme=theme, baseline=baseline)
    gc.set_threshold(*GARBAGE)
    app.run()
    there = [] if via else [pid for pid in sorted(app.injected) if agent_in(pid) is not None]
    with contextlib.suppress(OSError):  # the terminal is gone
        if there:
            parting(staying(there))
    return app.return_code or 0
