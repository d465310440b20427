"""A websocket server; some 80 clients stay 10 to 60 s each.

Healthy.
Needs: websockets
Looks like: opened and not closed
"""

import asyncio
import contextlib
import random

import websockets


async def serve(connection):
    async for message in connection:
        await connection.send(message)


async def client(port):
    async with websockets.connect(f"ws://127.0.0.1:{port}") as connection:
        for _ in range(random.randint(10, 60)):
            await connection.send("hello")
            await connection.recv()
            await asyncio.sleep(1)


async def main():
    async with websockets.serve(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        kept = set()
        while True:
            task = asyncio.create_task(client(port))
            kept.add(task)
            task.add_done_callback(kept.discard)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.sleep(random.expovariate(2.3))


asyncio.run(main())
