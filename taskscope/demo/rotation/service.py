"""Puts the parts together: the mock daemon, the capturer, the status port, and a client that polls it."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from pathlib import Path

from taskscope.demo.rotation import streams
from taskscope.demo.rotation.capturer import LogCapturer, WaitingCapturer
from taskscope.demo.rotation.daemon import Daemon
from taskscope.demo.rotation.status import Status

log = logging.getLogger("rotation")

ROTATE_EVERY = 300.0
ASK_EVERY = 0.25


class CaptureService:
    """171 streams, each rotated every five minutes: 34.2 rotations a minute at speed 1."""

    def __init__(self, *, fixed: bool, speed: float = 1.0) -> None:
        self._kind = WaitingCapturer if fixed else LogCapturer
        self._interval = ROTATE_EVERY / speed
        self._daemon = Daemon()

    async def start(self) -> None:
        """Returns once every stream is followed and the status port listens."""
        await self._daemon.start()
        self._directory = tempfile.TemporaryDirectory(prefix="capture-")
        self._capturer = self._kind(
            self._daemon.address, streams.ALL, Path(self._directory.name), self._interval
        )
        await self._capturer.start()
        self._status = Status(self._capturer)
        await self._status.start()
        self._asking = asyncio.create_task(self.ask(), name="dashboard")
        log.info("listening on %s:%d", *self._status.address)

    async def stop(self) -> None:
        """Stops polling, then capturing, then the mock daemon."""
        self._asking.cancel()
        await asyncio.gather(self._asking, return_exceptions=True)
        await self._status.stop()
        await self._capturer.stop()
        await self._daemon.stop()
        self._directory.cleanup()

    async def ask(self) -> None:
        """A dashboard that polls the status, and backs off when there is none."""
        while True:
            await asyncio.sleep(ASK_EVERY)
            try:
                reader, writer = await asyncio.open_connection(*self._status.address)
            except OSError as error:
                log.warning("dashboard: %s", error)
                continue
            await reader.read()
            writer.close()
            await writer.wait_closed()
