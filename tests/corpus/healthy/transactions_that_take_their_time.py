"""A full pool of psycopg's gives each connection back after ten seconds, one of urllib3 after a slow page.

Healthy.
Looks like: deadlock, slots taken
Needs: psycopg_pool, psycopg, urllib3
"""

import asyncio
import threading
import time

import urllib3
from psycopg_pool import AsyncConnectionPool

from tests.corpus.servers import Pages, in_threads, postgres


async def pay(pool):
    while True:
        async with pool.connection() as connection:
            await asyncio.sleep(10)
            assert not connection.closed


def crawl(pool):
    while True:
        page = pool.request("GET", "/", preload_content=False)
        for _ in page.stream(100_000):
            time.sleep(0.5)
        page.release_conn()


async def main():
    pages = urllib3.HTTPConnectionPool("127.0.0.1", in_threads(Pages), maxsize=2, block=True)
    for number in range(5):
        threading.Thread(target=crawl, args=(pages,), name=f"crawler {number}").start()
    async with (
        AsyncConnectionPool(postgres(), min_size=1, max_size=2, timeout=3600) as pool,
        AsyncConnectionPool(postgres(), min_size=2, max_size=2) as rest,
        asyncio.TaskGroup() as group,
    ):
        await rest.wait()
        for _ in range(6):
            group.create_task(pay(pool))


asyncio.run(main())
