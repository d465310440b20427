"""The HTTP side: start a run, list runs, watch one over a websocket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import WSCloseCode, web

if TYPE_CHECKING:
    from taskscope.demo.backend.runs import Run, Runs


class Api:
    """``POST /runs``, ``GET /runs``, ``GET /runs/N``, ``GET /runs/N/watch``."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._watching: set[web.WebSocketResponse] = set()

    async def start(self) -> None:
        """Listens on a free port."""
        app = web.Application()
        app.router.add_post("/runs", self.launch)
        app.router.add_get("/runs", self.list)
        app.router.add_get("/runs/{number}", self.show)
        app.router.add_get("/runs/{number}/watch", self.watch)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self._runner.addresses[0]
        return host, port

    async def stop(self) -> None:
        """Disconnects the watchers and stops listening."""
        for socket in list(self._watching):
            await socket.close(code=WSCloseCode.GOING_AWAY)
        await self._runner.cleanup()

    async def launch(self, _request: web.Request) -> web.Response:
        """Starts a run and returns its number."""
        return web.json_response({"run": self._runs.launch().number}, status=201)

    async def list(self, _request: web.Request) -> web.Response:
        """The last ten runs."""
        latest = [*self._runs.runs.values()][-10:]
        return web.json_response([{"run": run.number, "state": run.state} for run in latest])

    async def show(self, request: web.Request) -> web.Response:
        """One run."""
        run = self._find(request)
        return web.json_response({"run": run.number, "state": run.state, "scores": run.scores})

    async def watch(self, request: web.Request) -> web.WebSocketResponse:
        """Streams a run's messages until the watcher disconnects."""
        run = self._find(request)
        if run.state != "running":
            raise web.HTTPGone(text="that run is over")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._watching.add(socket)
        try:
            await run.hub.serve(socket)
        finally:
            self._watching.discard(socket)
        return socket

    def _find(self, request: web.Request) -> Run:
        number = request.match_info["number"]
        run = self._runs.runs.get(int(number)) if number.isdigit() else None
        if run is None:
            raise web.HTTPNotFound(text="no such run")
        return run
