"""Keeps a reader on each stream and rotates its file."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import Counter
from typing import TYPE_CHECKING

from taskscope.demo.rotation.reader import LogReader

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("rotation.capturer")


class LogCapturer:
    """Follows ``streams`` into files in ``directory``, rotating each every ``interval`` seconds."""

    def __init__(
        self, daemon: tuple[str, int], streams: tuple[str, ...], directory: Path, interval: float
    ) -> None:
        self._daemon = daemon
        self._streams = streams
        self._directory = directory
        self._interval = interval
        self._readers: dict[str, LogReader] = {}
        self._one_round = asyncio.Lock()
        self.lines: Counter[str] = Counter()
        self.rotated = 0

    async def start(self) -> None:
        """Returns once every stream has a reader."""
        for stream in self._streams:
            await self.open_reader(stream)
        self._rotating = asyncio.create_task(self.rotate_all(), name="rotate")

    async def stop(self) -> None:
        """Closes every stream."""
        await self._stop_rotating()
        for reader in self._readers.values():
            reader.close()

    async def rotate_all(self) -> None:
        """Rotates the streams evenly over the interval, so that the daemon sees no burst."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for stream in itertools.cycle(self._streams):
            due += self._interval / len(self._streams)
            await asyncio.sleep(due - loop.time())
            async with self._one_round:
                try:
                    await self.rotate(stream)
                except OSError as error:
                    log.error("%s: cannot rotate: %s", stream, error)  # noqa: TRY400  (expected; no traceback)

    async def rotate(self, stream: str) -> None:
        """Closes the old reader and continues with a new reader and file."""
        reader = self._readers.pop(stream, None)
        if reader is not None:
            reader.close()
        await asyncio.to_thread(self._move, stream)
        await self.open_reader(stream)
        self.rotated += 1

    async def open_reader(self, stream: str) -> None:
        """Opens a reader on a stream.  Raises OSError."""
        container = stream.partition("/")[0]
        reader = LogReader(stream, self._path(stream), lambda: self.lines.update((container,)))
        await asyncio.to_thread(reader.open, self._daemon)
        reader.start()
        self._readers[stream] = reader

    async def _stop_rotating(self) -> None:
        async with self._one_round:  # a reader that is being opened is not yet ours to close
            self._rotating.cancel()
        await asyncio.gather(self._rotating, return_exceptions=True)

    def _path(self, stream: str) -> Path:
        return self._directory / f"{stream.replace('/', '-')}.log"

    def _move(self, stream: str) -> None:
        path = self._path(stream)
        if path.exists():
            path.replace(path.with_suffix(".log.1"))


class WaitingCapturer(LogCapturer):
    """Waits for the old reader to end before the next round."""

    async def stop(self) -> None:
        await self._stop_rotating()
        for stream in list(self._readers):
            await self.end_reader(stream)

    async def rotate(self, stream: str) -> None:
        await self.end_reader(stream)
        await super().rotate(stream)

    async def end_reader(self, stream: str) -> None:
        """Closes a stream's reader and returns once its last line is written."""
        reader = self._readers.pop(stream, None)
        if reader is not None:
            reader.hang_up()
            await reader.task
            reader.close()
