"""Serves the last quote of each symbol over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from taskscope.demo.heartbeat.archive import Archive


class Api:
    """``GET /last`` and ``GET /last/SYMBOL``."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    async def start(self) -> None:
        """Listens on a free port."""
        app = web.Application()
        app.router.add_get("/last", self.all)
        app.router.add_get("/last/{symbol}", self.one)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self._runner.addresses[0]
        return host, port

    async def stop(self) -> None:
        """Stops listening."""
        await self._runner.cleanup()

    async def all(self, _request: web.Request) -> web.Response:
        """Every symbol's last price."""
        return web.json_response(self._archive.last)

    async def one(self, request: web.Request) -> web.Response:
        """One symbol's last price."""
        price = self._archive.last.get(request.match_info["symbol"])
        if price is None:
            raise web.HTTPNotFound(text="no quote of that symbol yet")
        return web.json_response(price)
