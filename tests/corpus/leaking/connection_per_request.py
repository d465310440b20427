"""A connection of aiosqlite, a thread, for each request; the ones that fail are never closed.

Leak: _connection_worker_thread
Rate: 40
Needs: aiosqlite
Shows: thread never told to end
"""

import asyncio
import contextlib
import random

import aiosqlite

sessions = []


async def save(number):
    session = await aiosqlite.connect(":memory:")  # LEAK
    sessions.append(session)
    await session.execute("create table orders (number integer primary key)")
    await session.execute("insert into orders values (?)", (number,))
    if number % 2:
        await session.execute("insert into orders values (?)", (number,))
    await session.close()
    sessions.remove(session)


async def main():
    number = 0
    while True:
        number += 1
        with contextlib.suppress(aiosqlite.IntegrityError):
            await asyncio.create_task(save(number))
        await asyncio.sleep(random.uniform(0.5, 1))


asyncio.run(main())
