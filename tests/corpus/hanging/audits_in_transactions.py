"""Each transaction takes a second connection for its audit record: the pool has as many as transactions.

Needs: psycopg_pool, psycopg
Shows: deadlock
Says: all 2 slots, AsyncConnectionPool of 2
"""

import asyncio

from psycopg_pool import AsyncConnectionPool

from tests.corpus.servers import postgres


async def audit(pool):
    async with pool.connection() as _:  # HANG
        pass


async def pay(pool, both):
    async with pool.connection() as _:  # HANG
        await both.wait()
        await audit(pool)


async def main():
    async with AsyncConnectionPool(postgres(), min_size=1, max_size=2, timeout=3600) as pool:
        both = asyncio.Barrier(2)
        payments = [asyncio.create_task(pay(pool, both)) for _ in range(4)]
        while payments:
            await asyncio.sleep(0.2)


asyncio.run(main())
