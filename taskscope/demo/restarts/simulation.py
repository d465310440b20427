"""Puts the parts together: the collector, the zones, the director, and a dashboard that polls."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from pathlib import Path

from taskscope.demo.restarts.collector import Collector
from taskscope.demo.restarts.controller import ChaosController, GuardedController
from taskscope.demo.restarts.director import Director
from taskscope.demo.restarts.zone import Zone

log = logging.getLogger("restarts")

ZONES = 32
ASK_EVERY = 0.25


class Simulation:
    """Thirty-two zones of fifty nodes: 1,600 controllers, and 1,600 more at each restart when leaky."""

    def __init__(self, *, fixed: bool, speed: float = 1.0) -> None:
        self._kind = GuardedController if fixed else ChaosController
        self._speed = speed
        self._collector = Collector()

    async def start(self) -> None:
        """Returns once the nodes report and the collector listens."""
        await self._collector.start()
        self._zones = [Zone(f"zone{n:02}", self._collector.inbox, self._kind) for n in range(ZONES)]
        for zone in self._zones:
            await zone.open()
            zone.start()
        self._directory = tempfile.TemporaryDirectory(prefix="chaos-")
        self._director = Director(self._zones, Path(self._directory.name) / "journal", self._speed)
        self._director.start()
        self._asking = asyncio.create_task(self.ask(), name="dashboard")
        log.info("listening on %s:%d", *self._collector.address)

    async def stop(self) -> None:
        """Stops the chaos, then the zones, then the collector."""
        self._asking.cancel()
        await asyncio.gather(self._asking, return_exceptions=True)
        await self._director.stop()
        for zone in self._zones:
            await zone.stop()
        await self._collector.stop()
        self._directory.cleanup()

    async def ask(self) -> None:
        """A dashboard that polls the state of the zones."""
        while True:
            await asyncio.sleep(ASK_EVERY)
            reader, writer = await asyncio.open_connection(*self._collector.address)
            writer.write(b"zones\n")
            await reader.read()
            writer.close()
            await writer.wait_closed()
