"""Removes an agent, or an injection that is still pending, from a process on this machine."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.attach import attempt, procfs
from taskscope.attach.presence import agent_in
from taskscope.attach.target import explained, out_of_sight
from taskscope.sources.base import SourceError, TargetGone
from taskscope.sources.live import LiveSource

if TYPE_CHECKING:
    from collections.abc import Callable

    Progress = Callable[[str], None]

_PATIENCE = 10.0
"""Seconds to wait for the agent to undo everything; with 300,000 live tasks it takes about 1 s."""


def detach(pid: int, progress: Progress, *, only_injected: bool = False) -> None:
    """Returns once the agent is gone.  Raises TargetGone if there is none, SourceError if it stays.

    ``only_injected``: keeps an agent that the program started itself, and says so.  Also raises AttachError.
    """
    if procfs.is_here() and not Path(f"/proc/{pid}").exists():
        raise TargetGone(str(out_of_sight(pid)))
    point = agent_in(pid)
    if point is not None:
        _remove(point.path, pid, progress, only_injected=only_injected)
    elif not procfs.is_here() or not _take_back(pid, progress):
        raise TargetGone(f"no agent in process {pid}")


def _take_back(pid: int, progress: Progress) -> bool:
    """Cancels an injection that is still pending in the process; False if there is none."""
    with explained(pid):
        waiting = attempt.waiting(pid)
        if waiting is None:
            return False
        waiting.take_back()
    progress(
        f"Cancelled {waiting}: its thread exits without starting an agent once process {pid} runs Python."
    )
    return True


def _remove(path: str, pid: int, progress: Progress, *, only_injected: bool) -> None:
    if not asyncio.run(_detached(path, only_injected=only_injected)):
        progress(f"The agent stays: process {pid} started it itself.")
        return
    deadline = time.monotonic() + _PATIENCE
    while Path(path).exists():
        if time.monotonic() > deadline:
            raise SourceError(f"the agent in process {pid} is still there after {_PATIENCE:g} s; try again")
        time.sleep(0.02)
    progress(f"Agent removed from process {pid}.")


async def _detached(path: str, *, only_injected: bool) -> bool:
    source = LiveSource(path)
    hello = await source.open()
    try:
        if only_injected and hello.arrived != "injected":
            return False
        await source.detach()
        return True
    finally:
        await source.close()
