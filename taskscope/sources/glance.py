"""One sample of an agent without staying connected: for lists of processes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from taskscope.sources.base import SourceError, SourceMisbehaves
from taskscope.sources.live import LiveSource

if TYPE_CHECKING:
    from taskscope import model
    from taskscope.attach.discover import PythonProcess

PATIENCE = 2.0
"""Timeout per agent in seconds, so the list does not wait for a stuck one."""


async def glance(process: PythonProcess) -> model.Sample | None:
    """One sample; None without an agent, or if it does not answer in time.  Raises SourceMisbehaves."""
    from taskscope.attach.presence import agent_in

    point = agent_in(process.pid) if process.agent is not None else None
    if point is None:
        return None
    source = LiveSource(point.path, patience=PATIENCE)
    try:
        async with asyncio.timeout(2 * PATIENCE):  # it may answer and then send no sample
            await source.open()
            return await anext(source.samples())
    except SourceMisbehaves:
        raise
    except (SourceError, TimeoutError):
        return None
    finally:
        await source.close()
