"""A client of NATS for each job, never closed: three tasks of the library stay for each.

Leak: Client._read_loop, Client._ping_interval, Client._flusher
Line: nats/aio/client.py Client._process_connect_init
Rate: 60
Needs: nats
Shows: orphan, waits for a peer, nobody feeds it
"""

import asyncio

import nats

from tests.corpus.servers import NatsServer, serving

clients = []


async def job(port):
    client = await nats.connect(f"nats://127.0.0.1:{port}")  # LEAK
    clients.append(client)
    await client.publish("jobs.done", b"1")
    await client.flush()


async def main():
    async with serving(NatsServer) as port:
        while True:
            await asyncio.create_task(job(port))
            await asyncio.sleep(3)


asyncio.run(main())
