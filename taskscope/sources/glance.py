"""A look at an agent without staying connected: for lists of processes."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope.attach.presence import agent_in
from taskscope.model.vocabulary import LEVELS
from taskscope.sources.base import SourceError, SourceMisbehaves
from taskscope.sources.live import LiveSource
from taskscope.sources.pump import Pump
from taskscope.sources.reach import Socket
from taskscope.values import dataclass

if TYPE_CHECKING:
    from taskscope import model
    from taskscope.attach.discover import PythonProcess
    from taskscope.model.vocabulary import Level, Unseen
    from taskscope.sources.reach import Reach

PATIENCE = 2.0
"""Timeout per agent in seconds, so the list does not wait for a stuck one."""


@dataclass(frozen=True, slots=True)
class Glance:
    """One sample, and the verdicts on it and on what the agent remembers; None: there was no time for one.

    ``unseen``: what runs tasks in it that are not shown.
    """

    sample: model.Sample
    unseen: tuple[Unseen, ...]
    findings: tuple[model.Finding, ...] | None = None

    @property
    def levels(self) -> dict[Level, int] | None:
        """How many findings there are by level, worst first, without notes."""
        if self.findings is None:
            return None
        found = Counter(each.level for each in self.findings)
        return {level: found[level] for level in LEVELS if found[level] and level != "info"}


async def glance(process: PythonProcess, via: str = "") -> Glance | None:
    """One look; None without an agent, or if it does not answer in time.  Raises SourceMisbehaves."""
    reach = await asyncio.to_thread(_reach, process.pid, via) if process.agent is not None else None
    if reach is None:
        return None
    source, seen = LiveSource(reach, patience=PATIENCE), None
    try:
        async with asyncio.timeout(2 * PATIENCE):  # it may answer and then send no sample
            hello = await source.open()
            sample = await anext(source.samples())
            seen = Glance(sample, hello.process.unseen)
            pump = Pump(source, hello)
            pump.take(sample)
            return replace(seen, findings=await pump.judged())
    except SourceMisbehaves:
        raise
    except (SourceError, TimeoutError):
        return seen
    finally:
        await source.close()


def _reach(pid: int, via: str) -> Reach | None:
    """The way to the agent of a process; None if it has just left."""
    if not via:
        point = agent_in(pid)
        return Socket(point.path) if point is not None else None
    from taskscope.sources.way import Way

    try:
        return Way.to(str(pid), via, inject=False)
    except SourceError:
        return None
