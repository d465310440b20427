"""Each fare is asked for on a connection of its own, which nobody closes: its keep-alive task stays.

Leak: keepalive
Rate: 60
Needs: websockets
Shows: opened and not closed
"""

import asyncio
import multiprocessing

import websockets


async def answer(connection):
    async for _ in connection:
        await connection.send("12.50")


async def exchange(ports):
    async with websockets.serve(answer, "127.0.0.1", 0) as server:
        ports.put(server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()


async def fare(port):
    connection = await websockets.connect(f"ws://127.0.0.1:{port}")  # LEAK
    await connection.send("to the station")
    return await connection.recv()


async def ask(ports):
    port = ports.get()
    while True:
        await asyncio.create_task(fare(port))
        await asyncio.sleep(1)


others = multiprocessing.get_context("fork")
ports = others.Queue()
others.Process(target=lambda: asyncio.run(exchange(ports)), daemon=True).start()
asyncio.run(ask(ports))
