"""A mock venue that serves quotes over websockets on loopback.

It closes its oldest connection at a steady rate, as venues do that rebalance their front ends.
"""

from __future__ import annotations

import asyncio
import random

from aiohttp import WSCloseCode, web

QUOTE_EVERY = 0.5


class Venue:
    """Serves ``/quotes/SYMBOL``; closes one connection every ``hang_up_every`` seconds."""

    def __init__(self, hang_up_every: float) -> None:
        self._hang_up_every = hang_up_every
        self._open: dict[web.WebSocketResponse, str] = {}

    async def start(self) -> None:
        """Listens on a free port."""
        app = web.Application()
        app.router.add_get("/quotes/{symbol}", self.quotes)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._jobs = [
            asyncio.create_task(self.publish(), name="venue publish"),
            asyncio.create_task(self.rebalance(), name="venue rebalance"),
        ]

    @property
    def url(self) -> str:
        """The URL of the quotes."""
        host, port = self._runner.addresses[0]
        return f"http://{host}:{port}/quotes"

    async def stop(self) -> None:
        """Closes every connection."""
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        for socket in list(self._open):
            await socket.close(code=WSCloseCode.GOING_AWAY)
        await self._runner.cleanup()

    async def quotes(self, request: web.Request) -> web.WebSocketResponse:
        """Serves one subscriber until either side disconnects."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._open[socket] = request.match_info["symbol"]
        try:
            async for _heartbeat in socket:
                pass
        finally:
            self._open.pop(socket, None)
        return socket

    async def publish(self) -> None:
        """Sends every subscriber a quote at each tick."""
        while True:
            await asyncio.sleep(QUOTE_EVERY)
            for socket, symbol in list(self._open.items()):
                if not socket.closed:
                    await socket.send_str(f"{symbol} {random.uniform(90, 110):.2f}")  # noqa: S311

    async def rebalance(self) -> None:
        """Repeatedly closes the connection that has been open longest."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += self._hang_up_every
            await asyncio.sleep(due - loop.time())
            if self._open:
                oldest = next(iter(self._open))
                del self._open[oldest]
                await oldest.close(code=WSCloseCode.SERVICE_RESTART)
