"""Causes the chaos: an event every 90 s (240 in 6 h); one in five restarts all zones."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from typing import TYPE_CHECKING

from taskscope.demo.owning import Owner

if TYPE_CHECKING:
    from pathlib import Path

    from taskscope.demo.restarts.controller import ChaosController
    from taskscope.demo.restarts.zone import Zone

log = logging.getLogger("restarts.director")

EVENT_EVERY = 90.0
EVENTS = ("latency", "restart", "crash", "partition", "disk full")
RECOVERY = 8.0
"""Seconds within which a disturbed node is well again."""
VICTIMS = 20


class Director:
    """Causes events and logs each in the journal."""

    def __init__(self, zones: list[Zone], journal: Path, speed: float) -> None:
        self._zones = zones
        self._journal = journal
        self._speed = speed
        self._jobs = Owner()

    def start(self) -> None:
        """Starts; the first event comes after one interval."""
        self._jobs.own(asyncio.create_task(self.direct(), name="director"))

    async def stop(self) -> None:
        """Stops the events and cancels recoveries in progress."""
        await self._jobs.end()

    async def direct(self) -> None:
        """Causes events at a steady interval."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for event in itertools.cycle(EVENTS):
            due += EVENT_EVERY / self._speed
            await asyncio.sleep(due - loop.time())
            zone = random.choice(self._zones)  # noqa: S311
            if event == "restart":
                self.restart()
            else:
                self.disturb(zone)
            log.info("chaos: %s", event)
            await asyncio.to_thread(self._note, event)

    def restart(self) -> None:
        """Restarts every zone."""
        for zone in self._zones:
            zone.start()

    def disturb(self, zone: Zone) -> None:
        """Fails some nodes of a zone; each recovers by itself."""
        for controller in random.sample(zone.controllers, VICTIMS):
            self._jobs.own(asyncio.create_task(self.recover(controller)))

    async def recover(self, controller: ChaosController) -> None:
        """Keeps a node down for a while."""
        controller.healthy = False
        await asyncio.sleep(random.uniform(0.1, 1) * RECOVERY / self._speed)  # noqa: S311
        controller.healthy = True

    def _note(self, event: str) -> None:
        with self._journal.open("a", encoding="utf-8") as file:
            file.write(f"{event}\n")
