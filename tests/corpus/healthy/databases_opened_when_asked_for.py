"""A connection of aiosqlite, a thread, is opened for each of sixteen tenants when he first comes, and kept.

Healthy.
Needs: aiosqlite
Looks like: thread never told to end
"""

import asyncio
import random

import aiosqlite

databases = {}


async def database(tenant):
    if tenant not in databases:
        databases[tenant] = await aiosqlite.connect(":memory:")
    return databases[tenant]


async def request():
    connection = await database(min(int(random.expovariate(1 / 5)), 15))
    await connection.execute("select 1")


async def main():
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(request())
            await asyncio.sleep(random.expovariate(2))


asyncio.run(main())
