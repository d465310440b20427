"""Accepts orders from clients: a line in, a line out, any number in flight."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from taskscope.demo.orders.order import Order
from taskscope.demo.owning import Owner

if TYPE_CHECKING:
    from taskscope.demo.orders.executor import OrderExecutor


class OrderServer:
    """Listens on loopback; each order is executed in a task of its own."""

    def __init__(self, executor: OrderExecutor) -> None:
        self._executor = executor
        self._owner = Owner()

    async def start(self) -> None:
        """Listens on a free port."""
        self._server = await asyncio.start_server(self.handle, "127.0.0.1", 0)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self._server.sockets[0].getsockname()
        return host, port

    async def stop(self) -> None:
        """Stops listening; drops orders in flight and the clients."""
        self._server.close()
        await self._owner.end()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one client until it disconnects."""
        self._owner.own(asyncio.current_task())
        try:
            while line := await reader.readline():
                self._owner.own(asyncio.create_task(self.respond(line.decode(errors="replace"), writer)))
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client disconnected, or the server stops
        finally:
            writer.close()

    async def respond(self, line: str, writer: asyncio.StreamWriter) -> None:
        """Executes one order and sends the result."""
        try:
            order = Order.parse(line)
        except ValueError as error:
            writer.write(f"? MALFORMED {error}\n".encode())
            return
        reply = await self._executor.execute(order)
        if not writer.is_closing():
            writer.write(f"{order.id} {reply}\n".encode())
