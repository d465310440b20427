"""Finds the app's targets: the processes on this machine, and a target that restarted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.sources.base import SourceError, SourceMisbehaves
from taskscope.sources.live import LiveSource
from taskscope.sources.resolve import agent_named, resolve
from taskscope.tui.picker import Targets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.attach.discover import PythonProcess
    from taskscope.sources.aiomonitor.source import AiomonitorSource
    from taskscope.sources.base import Source
    from taskscope.sources.glance import Glance
    from taskscope.tui.connection import Reconnect


def local_targets() -> Targets:
    """The Python processes on this machine."""
    return Targets(_processes, _open, coming_back, _glance)


def coming_back(source: Source) -> Reconnect | None:
    """A function that finds the target after a restart; None if that makes no sense."""
    if isinstance(source, LiveSource):
        return _agent_coming_back(source)
    if source.live:
        from taskscope.sources.aiomonitor.source import AiomonitorSource

        if isinstance(source, AiomonitorSource):
            return _monitor_coming_back(source)
    return None


def _agent_coming_back(gone: LiveSource) -> Reconnect:
    """Finds an agent of the same name."""
    name = Path(gone.path).name.partition(".")[2].removesuffix(".sock")

    async def look() -> Source | None:
        try:
            found = await asyncio.to_thread(agent_named, name)  # probes sockets, up to half a second each
        except SourceError:
            return None
        return LiveSource(found.path)

    return look


def _monitor_coming_back(gone: AiomonitorSource) -> Reconnect:
    """Finds an aiomonitor at the same address."""

    async def look() -> Source | None:
        from taskscope.attach.peers import is_monitor

        answers = await asyncio.to_thread(is_monitor, gone.host, gone.port)
        return type(gone)(gone.host, gone.port) if answers else None

    return look


def _processes() -> Sequence[PythonProcess]:
    from taskscope.attach.discover import processes

    return processes()


async def _glance(process: PythonProcess) -> Glance | None:
    from taskscope.sources.glance import glance

    try:
        return await glance(process)
    except SourceMisbehaves:
        return None


def _open(process: PythonProcess) -> Source:
    if process.monitor and process.obstacle and not process.agent:
        return resolve(process.monitor)
    return resolve(str(process.pid))
