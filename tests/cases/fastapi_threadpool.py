"""Worker threads wait for one of five connections, which only requests that wait for a worker can give back.

A sync dependency with a pool of connections, a sync endpoint with a response model, eight worker tokens and
twenty clients.  ``--fixed``: more tokens than clients.

Needs: anyio, fastapi, httpx, pydantic, uvicorn
Shows: deadlock
"""

import asyncio
import contextlib
import queue
import socket
import sys
import time

import anyio.to_thread
import httpx
import uvicorn
from fastapi import Depends, FastAPI
from pydantic import BaseModel

POOL = queue.Queue()
app = FastAPI()


class Order(BaseModel):
    id: int
    by: str


def database():
    connection = POOL.get(timeout=3600)  # HANG
    try:
        yield connection
    finally:
        POOL.put(connection)


@app.get("/order", response_model=Order)
def order(by: str = Depends(database)):
    time.sleep(0.005)
    return {"id": 1, "by": by}


async def ask(client, url):
    while True:
        with contextlib.suppress(httpx.HTTPError):
            await client.get(url)


async def main():
    for number in range(5):
        POOL.put(f"connection {number}")
    anyio.to_thread.current_default_thread_limiter().total_tokens = 32 if "--fixed" in sys.argv else 8
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/order"
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=None, limits=limits) as client, asyncio.TaskGroup() as group:
        group.create_task(server.serve([listening]))
        for _ in range(20):
            group.create_task(ask(client, url))
        print("standing", flush=True)


asyncio.run(main())
