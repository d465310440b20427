"""A FastAPI service in use: background tasks of some seconds, websockets that close and end their forwarder.

Healthy.
Needs: fastapi, uvicorn, websockets
Looks like: orphan
"""

import asyncio
import contextlib
import random

import websockets
from fastapi import BackgroundTasks, FastAPI, WebSocket, WebSocketDisconnect

from tests.corpus.servers import uvicorn_server, visit

app = FastAPI()


async def mail():
    await asyncio.sleep(random.expovariate(1 / 4))


@app.get("/orders")
async def order(tasks: BackgroundTasks):
    tasks.add_task(mail)
    return "accepted"


async def forward(inbox, socket):
    while True:
        await socket.send_text(await inbox.get())


@app.websocket("/news")
async def news(socket: WebSocket):
    await socket.accept()
    forwarder = asyncio.create_task(forward(asyncio.Queue(), socket))
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await socket.receive_text()
    forwarder.cancel()


async def browse(port):
    async with websockets.connect(f"ws://127.0.0.1:{port}/news"):
        await asyncio.sleep(random.uniform(10, 40))


async def main():
    async with uvicorn_server(app) as port, asyncio.TaskGroup() as group:
        while True:
            group.create_task(browse(port))
            group.create_task(visit(f"http://127.0.0.1:{port}/orders"))
            await asyncio.sleep(random.expovariate(1))


asyncio.run(main())
