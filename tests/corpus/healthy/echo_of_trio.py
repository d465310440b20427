"""trio: an echo server, clients that come and stay and go, and an event for the end that never comes.

Healthy.
Needs: trio
Looks like: waits for a peer, deadlock
"""

import random

import trio


async def echo(stream):
    async for data in stream:
        await stream.send_all(data)


async def client(port):
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        for _ in range(random.randint(1, 60)):
            await stream.send_all(b"hello")
            await stream.receive_some(100)
            await trio.sleep(random.uniform(0.1, 1))


async def stays(port):
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.receive_some(1)


async def main():
    over = trio.Event()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, echo, 0)
        port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(over.wait)
        for _ in range(5):
            nursery.start_soon(stays, port)
        limiter = trio.CapacityLimiter(20)

        async def visit():
            async with limiter:
                await client(port)

        while True:
            if limiter.statistics().tasks_waiting < 5:
                nursery.start_soon(visit)
            await trio.sleep(0.2)


trio.run(main)
