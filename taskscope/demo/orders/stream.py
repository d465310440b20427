"""Market data: one connection for each symbol and kind of data."""

from __future__ import annotations

import asyncio
import logging

from taskscope.demo.owning import Owner

log = logging.getLogger("orders.stream")

KINDS = ("trades", "book", "ticker", "candles", "funding")
RETRY_AFTER = 2.0


class MarketStreams:
    """Follows every kind of data of every symbol at one exchange."""

    def __init__(self, address: tuple[str, int], symbols: tuple[str, ...]) -> None:
        self._address = address
        self._symbols = symbols
        self._feeds: dict[tuple[str, str], asyncio.StreamReader] = {}
        self.last: dict[tuple[str, str], str] = {}

    def open_streams(self) -> None:
        """Starts the streams; they run as long as the service."""
        for symbol in self._symbols:
            for kind in KINDS:
                asyncio.create_task(self.read_stream(kind, symbol))

    async def stop(self) -> None:
        """Nothing to do: the streams end with the process."""

    async def read_stream(self, kind: str, symbol: str) -> None:
        """Follows one stream; reconnects if the exchange drops it."""
        while True:
            try:
                await self._follow(kind, symbol)
            except OSError as error:
                log.warning("%s %s lost: %s", kind, symbol, error)
            await asyncio.sleep(RETRY_AFTER)

    async def _follow(self, kind: str, symbol: str) -> None:
        reader, writer = await asyncio.open_connection(*self._address)
        self._feeds[kind, symbol] = reader
        try:
            writer.write(f"SUB {kind} {symbol}\n".encode())
            while line := await reader.readline():
                self.last[kind, symbol] = line.decode().strip()
        finally:
            del self._feeds[kind, symbol]
            writer.close()


class OwnedStreams(MarketStreams):
    """Keeps its tasks and cancels them on stop."""

    def open_streams(self) -> None:
        self._owner = Owner()
        for symbol in self._symbols:
            for kind in KINDS:
                self._owner.own(asyncio.create_task(self.read_stream(kind, symbol)))

    async def stop(self) -> None:
        await self._owner.end()
