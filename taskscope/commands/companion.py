"""The companion of a program (see ``taskscope.companion``): its rules and metrics, until its agent ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.analysis.rules import parse_all
from taskscope.commands.common import say, until_told
from taskscope.commands.patrol import Patrol
from taskscope.sources.base import SourceError
from taskscope.sources.following import watch
from taskscope.sources.live import LiveSource

if TYPE_CHECKING:
    import socket

    from taskscope.sources.following import Looker


def main(path: str, on: list[str], listener: socket.socket | None) -> None:
    """Runs until the agent at ``path`` is gone."""
    place = listener.getsockname() if listener is not None else None
    try:
        asyncio.run(until_told(_run(path, on, listener)))
    finally:
        if isinstance(place, str):
            Path(place).unlink(missing_ok=True)


async def _run(path: str, on: list[str], listener: socket.socket | None) -> None:
    source = LiveSource(path)
    try:
        hello = await source.open()
        lookers: list[Looker] = []
        if on:
            lookers.append(Patrol(parse_all(on), _tell))
        if listener is not None:
            lookers.append(await _served(listener))
        await watch(source, hello, hello.interval, lookers)
    except SourceError:
        pass  # it has ended, and so do we
    finally:
        await source.close()


async def _served(listener: socket.socket) -> Looker:
    from taskscope.commands.serving import serve
    from taskscope.sources.exposition import Exposition

    exposition = Exposition()
    await serve(listener, lambda: [exposition])
    return exposition


def _tell(text: str) -> None:
    say(f"taskscope: {text}")
