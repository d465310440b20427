"""A pool of four connections to redis; who does not find a score goes without giving its connection back.

Shows: connections lost
Needs: redis
"""

import asyncio

from redis.asyncio import BlockingConnectionPool


async def serve(reader, writer):
    while await reader.readline():
        if reader._buffer.count(b"\r\n") == 0:
            writer.write(b"+OK\r\n")


async def score_of(pool, player):
    connection = await pool.get_connection()  # HANG
    await connection.send_command("GET", player)
    found = await connection.read_response()
    if player % 3 == 0:
        raise KeyError(player)
    await pool.release(connection)
    return found


async def play(pool, player):
    while True:
        try:
            await score_of(pool, player)
        except KeyError:
            pass
        await asyncio.sleep(0.1)


async def tick():
    while True:
        await asyncio.sleep(0.2)


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pool = BlockingConnectionPool(
        host="127.0.0.1",
        port=port,
        max_connections=4,
        timeout=None,
        protocol=2,
        lib_name=None,
        lib_version=None,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(tick())
        for player in range(9):
            group.create_task(play(pool, player))


asyncio.run(main())
