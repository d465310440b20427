"""A websocket lasts a minute, and two open every second: as many close.

Healthy.
Needs: websockets
Looks like: waits for a peer
"""

import asyncio
import contextlib
import random

import websockets


async def serve(connection):
    with contextlib.suppress(TimeoutError, websockets.ConnectionClosed):
        async with asyncio.timeout(60):
            async for message in connection:
                await connection.send(message)


async def browse(port):
    async with websockets.connect(f"ws://127.0.0.1:{port}") as connection:
        await connection.send("hello")
        await connection.wait_closed()


async def main():
    async with websockets.serve(serve, "127.0.0.1", 0) as server, asyncio.TaskGroup() as group:
        port = server.sockets[0].getsockname()[1]
        while True:
            group.create_task(browse(port))
            await asyncio.sleep(random.expovariate(2))


asyncio.run(main())
