"""The trading desk: a few traders, each with a connection, send orders at a fixed rate.

Two orders in three exceed the margin, so the failure rate is exactly the one asked for.  A trader that was
held up catches up at once: the market sets the rate, and a slow server must not lower it.
"""

from __future__ import annotations

import asyncio
import logging

log = logging.getLogger("orders.desk")

TRADERS = 4
BEAT = 0.02
"""Seconds between two bundles of orders of one trader."""
TOO_MUCH = 5_000
FINE = 10


class Desk:
    """Runs the traders until stopped."""

    def __init__(
        self, address: tuple[str, int], symbols: tuple[str, ...], *, failing: float, session: float
    ) -> None:
        self._address = address
        self._symbols = symbols
        self._rate = failing * 3 / 2 / TRADERS
        self._session = session

    def start(self) -> None:
        """Starts the traders."""
        self._traders = [asyncio.create_task(self.trade(n), name=f"trader {n}") for n in range(TRADERS)]

    async def stop(self) -> None:
        """Stops the traders."""
        for trader in self._traders:
            trader.cancel()
        await asyncio.gather(*self._traders, return_exceptions=True)

    async def trade(self, trader: int) -> None:
        """Sends orders forever, over one connection after another."""
        loop = asyncio.get_running_loop()
        began, sent = loop.time(), 0
        while True:
            hang_up = loop.time() + self._session
            reader, writer = await asyncio.open_connection(*self._address)
            counting = asyncio.create_task(self.read_answers(reader), name=f"answers {trader}")
            try:
                while loop.time() < hang_up:
                    due = int((loop.time() - began) * self._rate)
                    writer.write(b"".join(self._order(trader, n) for n in range(sent, due)))
                    sent = due
                    await asyncio.sleep(BEAT)
                writer.write_eof()
                await counting
            finally:
                counting.cancel()
                writer.close()

    async def read_answers(self, reader: asyncio.StreamReader) -> None:
        """Reads until the server disconnects."""
        while line := await reader.readline():
            log.debug("answer %s", line)

    def _order(self, trader: int, number: int) -> bytes:
        side = "BUY" if number % 2 else "SELL"
        symbol = self._symbols[number % len(self._symbols)]
        quantity = FINE if number % 3 == 0 else TOO_MUCH
        return f"{trader}-{number} {side} {symbol} {quantity}\n".encode()
