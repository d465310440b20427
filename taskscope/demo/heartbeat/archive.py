"""Archives every quote: a queue between the clients and one writer."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

BACKLOG = 10_000
KEEP = 5_000_000
"""Bytes after which the file starts anew."""


class Archive:
    """A file in its own temporary directory, removed when the service stops."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[str] = asyncio.Queue(BACKLOG)
        self.last: dict[str, str] = {}
        self.lost = 0

    def start(self) -> None:
        """Starts the writer."""
        self._directory = tempfile.TemporaryDirectory(prefix="quotes-")
        self.path = Path(self._directory.name) / "quotes.log"
        self._writer = asyncio.create_task(self.write(), name="archive writer")

    async def stop(self) -> None:
        """Stops the writer and removes the file."""
        self._writer.cancel()
        await asyncio.gather(self._writer, return_exceptions=True)
        self._directory.cleanup()

    def put(self, quote: str) -> None:
        """Takes a quote; counts it as lost if the writer falls behind."""
        symbol, _, price = quote.partition(" ")
        self.last[symbol] = price
        try:
            self._queue.put_nowait(quote)
        except asyncio.QueueFull:
            self.lost += 1

    async def write(self) -> None:
        """Writes queued quotes in batches, in a thread."""
        while True:
            bundle = [await self._queue.get()]
            while not self._queue.empty():
                bundle.append(self._queue.get_nowait())
            await asyncio.to_thread(self._append, "".join(f"{quote}\n" for quote in bundle))

    def _append(self, text: str) -> None:
        full = self.path.exists() and self.path.stat().st_size > KEEP
        with self.path.open("w" if full else "a", encoding="utf-8") as file:
            file.write(text)
