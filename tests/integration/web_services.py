"""Run in a child: real web services under a little load; prints the snapshot taken in the middle of it.

``fastapi``: FastAPI on uvicorn with websockets and background tasks, asked by aiohttp's client.
``aiohttp``: aiohttp's server and client.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from typing import Any

import aiohttp

if "fastapi" in sys.argv:
    import fastapi  # FastAPI looks annotations up among the globals

import taskscope

USERS = 8
gate: asyncio.Event


async def tick(queue: asyncio.Queue[int]) -> None:
    """What a handler starts on the side."""
    await gate.wait()
    queue.put_nowait(1)


async def notify() -> None:
    await gate.wait()


def free_socket() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener


async def serve_fastapi(listener: socket.socket) -> tuple[Any, asyncio.Task[None]]:
    import uvicorn

    app = fastapi.FastAPI()
    kept: set[asyncio.Task[None]] = set()

    @app.get("/side")
    async def side() -> str:
        kept.add(asyncio.create_task(tick(asyncio.Queue())))  # @ handler
        return "started"

    @app.get("/background")
    async def background(tasks: fastapi.BackgroundTasks) -> str:
        tasks.add_task(notify)
        return "later"

    @app.websocket("/socket")
    async def chat(websocket: fastapi.WebSocket) -> None:
        await websocket.accept()
        while True:
            try:
                await websocket.send_text(await websocket.receive_text())
            except fastapi.WebSocketDisconnect:
                return

    config = uvicorn.Config(app, log_level="error", ws="websockets-sansio", lifespan="off")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    running = asyncio.create_task(server.serve([listener]))  # @ serve
    while not server.started:
        await asyncio.sleep(0.01)
    return server, running


async def serve_aiohttp(listener: socket.socket) -> tuple[Any, None]:
    from aiohttp import web

    kept: set[asyncio.Task[None]] = set()

    async def side(request: web.Request) -> web.Response:
        kept.add(asyncio.create_task(tick(asyncio.Queue())))  # @ aiohttp handler
        return web.Response(text="started")

    async def background(request: web.Request) -> web.Response:
        await gate.wait()
        return web.Response(text="later")

    async def chat(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        async for message in websocket:
            await websocket.send_str(message.data)
        return websocket

    app = web.Application()
    app.add_routes([web.get("/side", side), web.get("/background", background), web.get("/socket", chat)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    return runner, None


async def use(client: aiohttp.ClientSession, base: str, counts: list[int]) -> None:
    for _ in range(10):
        async with client.get(f"{base}/side") as response:
            assert response.status == 200, await response.text()
        counts[0] += 1
    async with client.ws_connect(f"{base}/socket") as websocket:
        for word in ("one", "two"):
            await websocket.send_str(word)
            assert (await websocket.receive_str()) == word
        counts[1] += 1
        await gate.wait()


async def ask_background(client: aiohttp.ClientSession, base: str) -> None:
    async with client.get(f"{base}/background") as response:
        await response.text()


async def main() -> None:
    global gate
    gate = asyncio.Event()
    listener = free_socket()
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    serve = serve_fastapi if sys.argv[1] == "fastapi" else serve_aiohttp
    service, running = await serve(listener)
    counts = [0, 0]
    async with aiohttp.ClientSession() as client:
        users = [asyncio.create_task(use(client, base, counts)) for _ in range(USERS)]
        background = asyncio.create_task(ask_background(client, base))
        while counts != [10 * USERS, USERS]:
            await asyncio.sleep(0.01)
            for user in users:
                if user.done():
                    user.result()
        await asyncio.sleep(0.3)  # a tick of the agent, so that ended tasks are settled
        json.dump(taskscope.snapshot(), sys.stdout)
        gate.set()
        await asyncio.gather(background, *users)
    if running is not None:
        service.should_exit = True
        await running
    else:
        await service.cleanup()
    listener.close()


taskscope.start("web", interval=0.1)
asyncio.run(main())
taskscope.stop()
