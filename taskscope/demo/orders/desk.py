"""The desk that trades through us: a few traders, each with a connection, sending orders at a rate.

Two orders of three are for more than the margin allows, so the failure rate is exactly the one asked for.
A trader who was held up sends what is due at once: the rate is that of the market, not ours to slow down.
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
    """Keeps its traders sending until stopped."""

    def __init__(
        self, address: tuple[str, int], symbols: tuple[str, ...], *, failing: float, session: float
    ) -> None:
        self._address = address
        self._symbols = symbols
        self._rate = failing * 3 / 2 / TRADERS
        self._session = session

    def start(self) -> None:
        """Lets the traders begin."""
        self._traders = [asyncio.create_task(self.trade(n), name=f"trader {n}") for n in range(TRADERS)]

    async def stop(self) -> None:
        """Sends the traders home."""
        for trader in self._traders:
            trader.cancel()
        await asyncio.gather(*self._traders, return_exceptions=True)

    async def trade(self, trader: int) -> None:
        """Sends orders for ever, over one connection after the other."""
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
        """Reads until the server hangs up."""
        while line := await reader.readline():
            log.debug("answer %s", line)

    def _order(self, trader: int, number: int) -> bytes:
        side = "BUY" if number % 2 else "SELL"
        symbol = self._symbols[number % len(self._symbols)]
        quantity = FINE if number % 3 == 0 else TOO_MUCH
        return f"{trader}-{number} {side} {symbol} {quantity}\n".encode()
