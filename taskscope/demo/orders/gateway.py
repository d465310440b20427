"""Our order session with the exchange: one connection, many orders in flight."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskscope.demo.orders.order import Order


class Gateway:
    """Sends orders and matches replies to them."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[str]] = {}

    async def connect(self) -> None:
        """Opens the session.  Raises OSError if the exchange is unreachable."""
        self._reader, self._writer = await asyncio.open_connection(*self._address)
        self._replies = asyncio.create_task(self._read_replies(), name="gateway replies")

    async def close(self) -> None:
        """Ends the session; orders in flight fail."""
        self._replies.cancel()
        await asyncio.gather(self._replies, return_exceptions=True)
        self._writer.close()
        await asyncio.gather(self._writer.wait_closed(), return_exceptions=True)

    async def place(self, order: Order) -> str:
        """Sends an order and waits for the exchange's answer."""
        number = str(next(self._numbers))
        reply: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[number] = reply
        try:
            self._writer.write(f"NEW {number} {order.symbol} {order.quantity}\n".encode())
            return await reply
        finally:
            del self._waiting[number]

    async def _read_replies(self) -> None:
        try:
            while line := await self._reader.readline():
                number, _, text = line.decode().strip().partition(" ")
                reply = self._waiting.get(number)
                if reply is not None and not reply.done():
                    reply.set_result(text)
        finally:
            for reply in self._waiting.values():
                if not reply.done():
                    reply.set_exception(ConnectionError("the exchange closed the session"))
