"""A websocket client whose heartbeats outlive its connections.

Leak: heartbeat
Rate: 40
Needs: websockets
Shows: orphan
"""

import asyncio

import websockets


async def serve(connection):
    await connection.send("welcome")
    await asyncio.sleep(1.0)


async def heartbeat(connection):
    while True:
        await asyncio.sleep(5)
        try:
            await connection.ping()
        except websockets.ConnectionClosed:
            pass


async def session(port):
    async with websockets.connect(f"ws://127.0.0.1:{port}") as connection:
        asyncio.create_task(heartbeat(connection))  # LEAK
        async for _ in connection:
            pass


async def main():
    async with websockets.serve(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        while True:
            await asyncio.create_task(session(port))
            await asyncio.sleep(0.48)


asyncio.run(main())
