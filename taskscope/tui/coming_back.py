"""Finds a target again after a restart, or after the connection to it was lost."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.sources.base import SourceError
from taskscope.sources.group import GroupSource
from taskscope.sources.live import LiveSource
from taskscope.sources.outside.meanwhile import MeanwhileSource
from taskscope.sources.resolve import agent_named
from taskscope.sources.way import Way

if TYPE_CHECKING:
    from taskscope.sources.aiomonitor.source import AiomonitorSource
    from taskscope.sources.base import Source
    from taskscope.sources.membership import Membership
    from taskscope.tui.connection import Reconnect


def coming_back(source: Source) -> Reconnect | None:
    """A function that finds the target after a restart; None if that makes no sense."""
    if isinstance(source, LiveSource):
        return _agent_coming_back(source)
    if isinstance(source, MeanwhileSource):
        return _agent_coming_in(source)
    if isinstance(source, GroupSource):
        return _group_again(source) if source.choice.via else None
    if source.live:
        from taskscope.sources.aiomonitor.source import AiomonitorSource

        if isinstance(source, AiomonitorSource):
            return _monitor_coming_back(source)
    return None


def _agent_coming_in(source: MeanwhileSource) -> Reconnect:
    """The agent that comes into a process that was read from outside; then as `_agent_coming_back`."""
    came: list[LiveSource] = []

    async def look() -> Source | None:
        live = source.live_instead
        if live is None or came:
            return await _agent_coming_back(came[0])() if came else None
        came.append(live)
        return live

    return look


def _agent_coming_back(gone: LiveSource) -> Reconnect:
    """Finds an agent of the same name; elsewhere, what the same TARGET means."""
    way = gone.reach
    if isinstance(way, Way):
        return partial(_way_again, way)
    name = Path(gone.reach.path).name.partition(".")[2].removesuffix(".sock")

    async def look() -> Source | None:
        try:
            found = await asyncio.to_thread(agent_named, name)  # probes sockets, up to half a second each
        except SourceError:
            return None
        return LiveSource(found.path)

    return look


def member_coming_back(source: Source, membership: Membership) -> Reconnect:
    """Finds a process of a group when the group is attached to it again, or to another of its name."""
    if isinstance(source, LiveSource) and isinstance(source.reach, Way):
        return partial(_way_again, source.reach)
    return partial(asyncio.to_thread, membership.connect)


def _group_again(gone: GroupSource) -> Reconnect:
    async def look() -> Source | None:
        return gone.again() if gone.choice.lost else None

    return look


async def _way_again(way: Way) -> Source | None:
    try:
        return LiveSource(await asyncio.to_thread(way.again))
    except SourceError:
        if way.lost:
            raise
        return None  # only the process has ended: it may come back


def _monitor_coming_back(gone: AiomonitorSource) -> Reconnect:
    """Finds an aiomonitor at the same address."""

    async def look() -> Source | None:
        from taskscope.attach.peers import is_monitor

        answers = await asyncio.to_thread(is_monitor, gone.host, gone.port)
        return type(gone)(gone.host, gone.port) if answers else None

    return look
