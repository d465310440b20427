"""Runs: the life of one, and the list of all."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskscope.demo.owning import Owner

if TYPE_CHECKING:
    from pathlib import Path

    from taskscope.demo.backend.cleanup import CleanupService
    from taskscope.demo.backend.hub import Hub
    from taskscope.demo.backend.notices import Notices
    from taskscope.demo.backend.pace import Pace
    from taskscope.demo.backend.reports import Reports
    from taskscope.demo.backend.signals import SignalProcessor

STEPS = 3


@dataclass(frozen=True)
class Kinds:
    """The classes used for the parts of a run."""

    hub: type[Hub]
    signals: type[SignalProcessor]
    cleanup: type[CleanupService]


class Run:
    """One run with its hub, signal processor and cleanup."""

    def __init__(self, number: int, kinds: Kinds, notices: Notices, pace: Pace, directory: Path) -> None:
        self.number = number
        self.state = "running"
        self.scores: list[str] = []
        self.hub = kinds.hub(pace)
        self._signals = kinds.signals(pace)
        self._cleanup = kinds.cleanup()
        self._notices = notices
        self._pace = pace
        self._scratch = directory / f"run-{number}.tmp"

    async def execute(self) -> None:
        """Runs three steps, announces each, then cleans up."""
        hub = asyncio.create_task(self.hub.run(), name=f"hub {self.number}")
        self._cleanup.start()
        try:
            await self._steps()
            self.state = "completed"
        finally:
            self.hub.publish(f"run {self.number} over")
            self.hub.close()
            self._cleanup.remove(self._scratch)
            try:
                await self._cleanup.stop()
            finally:  # also when cancelled
                await hub
        await self._notices.completed(self.number)

    async def _steps(self) -> None:
        for step in range(STEPS):
            async with asyncio.TaskGroup() as together:
                together.create_task(asyncio.sleep(self._pace.step))
                together.create_task(self._step(step))

    async def _step(self, step: int) -> None:
        if step == 0:
            await self._notices.milestone(self.number)
        if step == 1:
            self.scores = await self._signals.process()
        await asyncio.to_thread(self._scratch.write_text, f"{step} {self.scores}\n")
        self.hub.publish(f"run {self.number} step {step}")
        await self._notices.progress(self.number, step)


class Runs:
    """All runs of the day; finished ones stay for their results."""

    def __init__(self, kinds: Kinds, notices: Notices, reports: Reports, pace: Pace, directory: Path) -> None:
        self._kinds = kinds
        self._notices = notices
        self._reports = reports
        self._pace = pace
        self._directory = directory
        self._numbers = itertools.count(1)
        self._owner = Owner()
        self.runs: dict[int, Run] = {}

    def launch(self) -> Run:
        """Starts a run."""
        run = Run(next(self._numbers), self._kinds, self._notices, self._pace, self._directory)
        self.runs[run.number] = run
        self._owner.own(asyncio.create_task(self._execute(run), name=f"run {run.number}"))
        return run

    async def stop(self) -> None:
        """Cancels the runs in progress."""
        await self._owner.end()

    async def _execute(self, run: Run) -> None:
        await run.execute()
        self._reports.file(run.number, run.scores)
