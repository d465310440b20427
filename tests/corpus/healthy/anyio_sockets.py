"""An anyio server in a task group; clients stay 20 to 60 s and say something now and then.

Healthy.
Needs: anyio
"""

import random

import anyio


async def serve(stream):
    async with stream:
        async for data in stream:
            await stream.send(data)


async def client(port):
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        for _ in range(random.randint(5, 15)):
            await stream.send(b"hello")
            await stream.receive()
            await anyio.sleep(4)


async def main():
    async with anyio.create_task_group() as group:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        group.start_soon(listener.serve, serve)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        while True:
            group.start_soon(client, port)
            await anyio.sleep(random.expovariate(1))


anyio.run(main)
