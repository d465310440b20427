"""A pool of ten connections; a query that fails does not give its connection back.

Leak: query
Rate: 180
Shows: nobody feeds it
"""

import asyncio
import random


async def query(pool):
    connection = await pool.get()
    await asyncio.sleep(random.uniform(0.05, 0.3))
    if random.random() < 0.15:
        raise ValueError("no such table")
    pool.put_nowait(connection)


async def main():
    pool, queries = asyncio.Queue(), set()
    for number in range(10):
        pool.put_nowait(number)
    while True:
        task = asyncio.create_task(query(pool))  # LEAK
        queries.add(task)
        task.add_done_callback(lambda task: (queries.discard(task), task.exception()))
        await asyncio.sleep(random.expovariate(3))


asyncio.run(main())
