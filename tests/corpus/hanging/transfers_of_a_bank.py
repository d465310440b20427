"""A transfer takes one connection of an asyncpg pool for each of its two accounts; three go on at once.

Shows: deadlock
Needs: asyncpg
"""

import asyncio
import struct

import asyncpg


def message(kind, data):
    return kind + struct.pack("!I", len(data) + 4) + data


async def serve(reader, writer):
    """Lets everybody in, and says that it is ready after whatever is asked."""
    await reader.readexactly(struct.unpack("!I", await reader.readexactly(4))[0] - 4)
    ready = message(b"Z", b"I")
    version = message(b"S", b"server_version\0" + b"16.0\0")
    writer.write(message(b"R", struct.pack("!I", 0)) + version + ready)
    while await reader.read(1_000):
        writer.write(message(b"C", b"SELECT 0\0") + ready)


async def transfer(pool, begun):
    async with pool.acquire():  # HANG
        await begun.wait()
        async with pool.acquire():  # HANG
            pass


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    dsn = f"postgres://shop:shop@127.0.0.1:{port}/shop"
    async with (
        asyncpg.create_pool(dsn, min_size=0, max_size=3, ssl=False) as pool,
        asyncio.TaskGroup() as group,
    ):
        begun = asyncio.Barrier(3)
        for _ in range(3):
            group.create_task(transfer(pool, begun))
        while True:
            await asyncio.sleep(0.2)


asyncio.run(main())
