"""Run in a child: every way in which web frameworks make tasks, at lines marked with the coroutine's name.

``uvicorn`` and ``hypercorn`` serve one FastAPI application, ``aiohttp`` is server and client of its own.
Prints the snapshot taken while all of them live.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

import aiohttp

import taskscope

if sys.argv[1] != "aiohttp":
    import fastapi  # FastAPI looks annotations up among the globals
    from fastapi.responses import StreamingResponse
    from starlette.middleware.base import BaseHTTPMiddleware

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

gate: asyncio.Event
kept: list[Any] = []
reached: set[str] = set()


async def stay(name: str) -> None:
    reached.add(name)
    await gate.wait()


async def in_handler() -> None:
    await stay("handler")


async def in_dependency() -> None:
    await stay("dependency")


async def in_lifespan() -> None:
    await stay("lifespan")


async def in_middleware() -> None:
    await stay("middleware")


async def in_stream() -> None:
    await stay("stream")


async def in_websocket() -> None:
    await stay("websocket")


async def aiojob() -> None:
    await stay("aiojob")


def application() -> Any:
    @contextlib.asynccontextmanager
    async def lifespan(app: fastapi.FastAPI) -> AsyncIterator[None]:
        kept.append(asyncio.create_task(in_lifespan()))  # @ in_lifespan
        yield

    class Middleware(BaseHTTPMiddleware):
        async def dispatch(self, request: fastapi.Request, call_next: Any) -> Any:
            kept.append(asyncio.create_task(in_middleware()))  # @ in_middleware
            return await call_next(request)  # @ call_next

    async def dependency() -> None:
        kept.append(asyncio.create_task(in_dependency()))  # @ in_dependency

    app = fastapi.FastAPI(lifespan=lifespan)
    app.add_middleware(Middleware)

    @app.get("/", dependencies=[fastapi.Depends(dependency)])
    async def root() -> None:
        kept.append(asyncio.create_task(in_handler()))  # @ in_handler

    @app.get("/later")
    async def later(tasks: fastapi.BackgroundTasks) -> None:
        tasks.add_task(stay, "background")

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def body() -> AsyncIterator[bytes]:
            kept.append(asyncio.create_task(in_stream()))  # @ in_stream
            yield b"x"
            await gate.wait()

        return StreamingResponse(body())

    @app.websocket("/socket")
    async def chat(websocket: fastapi.WebSocket) -> None:
        await websocket.accept()
        kept.append(asyncio.create_task(in_websocket()))  # @ in_websocket
        await websocket.receive_text()

    return app


def free_socket() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener


async def on_uvicorn(listener: socket.socket) -> None:
    import uvicorn

    listener.listen()
    server = uvicorn.Server(uvicorn.Config(application(), log_level="error", ws="websockets-sansio"))
    kept.append(asyncio.create_task(server.serve([listener])))  # @ Server.serve
    while not server.started:
        await asyncio.sleep(0.01)


async def on_hypercorn(listener: socket.socket) -> None:
    from hypercorn.asyncio import serve  # type: ignore[import-not-found]  # fetched by the test
    from hypercorn.config import Config  # type: ignore[import-not-found]

    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    kept.append(asyncio.create_task(serve(application(), config, shutdown_trigger=gate.wait)))  # @ serve


async def on_aiohttp(listener: socket.socket) -> None:
    import aiojobs  # type: ignore[import-not-found]  # fetched by the test
    from aiohttp import web

    jobs = aiojobs.Scheduler()

    async def root(request: web.Request) -> web.Response:
        kept.append(asyncio.create_task(in_handler()))  # @ in_handler of aiohttp
        await jobs.spawn(aiojob())  # @ aiojob
        return web.Response()

    async def later(request: web.Request) -> web.Response:
        await stay("background")
        return web.Response()

    async def chat(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        kept.append(asyncio.create_task(in_websocket()))  # @ in_websocket of aiohttp
        await websocket.receive()
        return websocket

    async def lifespan(app: web.Application) -> AsyncIterator[None]:
        kept.append(asyncio.create_task(in_lifespan()))  # @ in_lifespan of aiohttp
        yield

    app = web.Application()
    app.cleanup_ctx.append(lifespan)
    app.add_routes([web.get("/", root), web.get("/later", later), web.get("/socket", chat)])
    runner = web.AppRunner(app)
    await runner.setup()
    listener.listen()
    await web.SockSite(runner, listener).start()


SERVERS: dict[str, Callable[[socket.socket], Any]] = {
    "uvicorn": on_uvicorn,
    "hypercorn": on_hypercorn,
    "aiohttp": on_aiohttp,
}
EXPECTED = {
    "uvicorn": {"handler", "dependency", "lifespan", "middleware", "stream", "background", "websocket"},
    "aiohttp": {"handler", "lifespan", "background", "websocket", "aiojob"},
}
EXPECTED["hypercorn"] = EXPECTED["uvicorn"]


async def get(client: aiohttp.ClientSession, url: str) -> None:
    async with client.get(url) as response:  # @ TCPConnector._resolve_host_with_throttle
        await response.read()


async def main(server: str) -> None:
    global gate
    gate = asyncio.Event()
    listener = free_socket()
    base = f"http://localhost:{listener.getsockname()[1]}"
    await SERVERS[server](listener)
    async with aiohttp.ClientSession() as client:
        while True:
            try:
                await get(client, base + "/")
                break
            except aiohttp.ClientConnectionError:  # it does not listen yet
                await asyncio.sleep(0.01)
        ways = ["/later"] if server == "aiohttp" else ["/later", "/stream"]
        kept.extend(asyncio.create_task(get(client, base + way)) for way in ways)
        kept.append(await client.ws_connect(base + "/socket"))
        while reached != EXPECTED[server]:
            await asyncio.sleep(0.01)
        json.dump(taskscope.snapshot(), sys.stdout)
        sys.stdout.flush()
        os._exit(0)  # how they end is not of interest here


taskscope.start("web", interval=5)
if "uvloop" in sys.argv:
    import uvloop

    uvloop.run(main(sys.argv[1]))
else:
    asyncio.run(main(sys.argv[1]))
