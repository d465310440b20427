"""A zone: fifty nodes that report over one socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskscope.demo.restarts.controller import ChaosController

NODES = 50


class Zone:
    """Starts, restarts and stops its nodes' controllers together."""

    def __init__(self, name: str, collector: tuple[str, int], kind: type[ChaosController]) -> None:
        self.name = name
        self._collector = collector
        self.controllers = [kind(f"{name}/{n:02}", self._send) for n in range(NODES)]

    async def open(self) -> None:
        """Opens the socket to the collector."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=self._collector
        )

    def start(self) -> None:
        """Starts every controller."""
        for controller in self.controllers:
            controller.start()

    async def stop(self) -> None:
        """Stops every controller and closes the socket."""
        await asyncio.gather(*(controller.stop() for controller in self.controllers))
        self._transport.close()

    def _send(self, report: str) -> None:
        self._transport.sendto(report.encode())
