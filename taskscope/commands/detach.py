"""``taskscope detach``: removes the agent and everything it installed from a process."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.commands.common import CommandError, say

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

_PATIENCE = 10.0
"""Seconds to wait for the agent to undo everything; with 300,000 live tasks it takes about 1 s."""


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    parser.description = "Removes the agent from a process: its hooks, thread, socket and modules."
    parser.add_argument("pid", type=int, metavar="PID", help="process id")


def main(options: Namespace) -> int:
    """Removes the agent and waits until it is gone.  Raises CommandError if there is none or it stays."""
    from taskscope.attach.presence import agent_in

    pid: int = options.pid
    if not Path(f"/proc/{pid}").exists():
        raise CommandError(f"no such process: {pid}")
    point = agent_in(pid)
    if point is not None:
        remove(point.path, pid)
    elif not _take_back(pid):
        raise CommandError(f"no agent in process {pid}")
    return 0


def _take_back(pid: int) -> bool:
    """Cancels an injection that is still pending in the process; False if there is none."""
    from taskscope.attach import attempt
    from taskscope.attach.target import explained

    with explained(pid):
        waiting = attempt.waiting(pid)
        if waiting is None:
            return False
        waiting.take_back()
    say(f"Cancelled {waiting}: its thread exits without starting an agent once process {pid} runs Python.")
    return True


def remove(path: str, pid: int, *, only_injected: bool = False) -> None:
    """Removes the agent that listens at ``path`` and waits until it is gone.

    Raises CommandError, SourceError.
    ``only_injected``: keeps an agent that the program started itself.
    """
    import asyncio

    if not asyncio.run(_detach(path, only_injected=only_injected)):
        say(f"The agent stays: process {pid} started it itself.")
        return
    deadline = time.monotonic() + _PATIENCE
    while Path(path).exists():
        if time.monotonic() > deadline:
            raise CommandError(f"the agent in process {pid} is still there after {_PATIENCE:g} s; try again")
        time.sleep(0.02)
    say(f"Agent removed from process {pid}.")


async def _detach(path: str, *, only_injected: bool) -> bool:
    from taskscope.sources.live import LiveSource

    source = LiveSource(path)
    hello = await source.open()
    try:
        if only_injected and hello.arrived == "started":
            return False
        await source.detach()
        return True
    finally:
        await source.close()
