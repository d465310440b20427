"""``taskscope detach``: removes the agent from a process, and everything that it put there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.commands.common import Failure, say

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

_PATIENCE = 10.0
"""Seconds that the agent may take to undo everything: with 300,000 live tasks about 1 s."""


def register(parser: ArgumentParser) -> None:
    """Sets the parser's description and adds the verb's arguments."""
    parser.description = "Removes the agent from a process: its hooks, its thread, its socket, its modules."
    parser.add_argument("pid", type=int, metavar="PID", help="the process")


def main(options: Namespace) -> int:
    """Detaches, and waits until the agent is gone.  Raises Failure if there is none, or if it stays."""
    from taskscope.attach.presence import agent_in

    pid: int = options.pid
    if not Path(f"/proc/{pid}").exists():
        raise Failure(f"there is no process {pid}")
    point = agent_in(pid)
    if point is not None:
        remove(point.path, pid)
    elif not _take_back(pid):
        raise Failure(f"process {pid} has no agent that could be removed")
    return 0


def _take_back(pid: int) -> bool:
    """Has an attempt that waits in the process come to nothing; false if there is none."""
    from taskscope.attach import attempt
    from taskscope.attach.target import explained

    with explained(pid):
        waiting = attempt.waiting(pid)
        if waiting is None:
            return False
        waiting.take_back()
    say(f"{waiting} is taken back: its thread ends, and starts no agent, when process {pid} lets Python run")
    return True


def remove(path: str, pid: int, *, only_brought: bool = False) -> None:
    """Removes the agent that listens at ``path``, and waits until it is gone.  Raises Failure, SourceError.

    ``only_brought``: leaves one alone that the program started itself.
    """
    import asyncio

    if not asyncio.run(_detach(path, only_brought=only_brought)):
        say(f"process {pid} started its agent itself: it stays")
        return
    deadline = time.monotonic() + _PATIENCE
    while Path(path).exists():
        if time.monotonic() > deadline:
            raise Failure(f"the agent in process {pid} is still there after {_PATIENCE:g} s: try again")
        time.sleep(0.02)
    say(f"the agent is gone from process {pid}")


async def _detach(path: str, *, only_brought: bool) -> bool:
    from taskscope.sources.live import LiveSource

    source = LiveSource(path)
    hello = await source.open()
    try:
        if only_brought and hello.arrived == "started":
            return False
        await source.detach()
        return True
    finally:
        await source.close()
