"""A FastAPI websocket starts a forwarder of news and ends with its browser; the forwarder does not.

Leak: forward
Rate: 40
Needs: fastapi, uvicorn, websockets
Shows: orphan, nobody feeds it
"""

import asyncio
import contextlib
import random

import websockets
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from tests.corpus.servers import uvicorn_server

app = FastAPI()
inboxes = set()


async def forward(inbox, socket):
    while True:
        await socket.send_text(await inbox.get())


@app.websocket("/news")
async def news(socket: WebSocket):
    await socket.accept()
    inbox = asyncio.Queue()
    inboxes.add(inbox)
    asyncio.create_task(forward(inbox, socket))  # LEAK
    inbox.put_nowait("welcome")
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await socket.receive_text()


async def browse(port):
    async with websockets.connect(f"ws://127.0.0.1:{port}/news") as connection:
        await connection.recv()
        await asyncio.sleep(random.uniform(0.2, 1))


async def main():
    async with uvicorn_server(app) as port:
        while True:
            await asyncio.create_task(browse(port))
            await asyncio.sleep(random.uniform(0.5, 1.2))


asyncio.run(main())
