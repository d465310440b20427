"""Reports of 45 s fill the loop's default executor; the name look-ups of an httpx client queue behind them.

``--fixed``: the reports have an executor of their own.

Needs: httpx
Level: suspect
Shows: pool saturated
Says: tasks wait for a worker
"""

import asyncio
import contextlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx

JOBS = set()


def render(number):
    time.sleep(45)  # HANG


async def reports(pool):
    number = 0
    while True:
        number += 1
        job = asyncio.get_running_loop().run_in_executor(pool, render, number)  # HANG
        JOBS.add(job)
        job.add_done_callback(JOBS.discard)
        await asyncio.sleep(2)


async def price(client, url):
    with contextlib.suppress(httpx.HTTPError):
        await client.get(url)


async def answer(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    await writer.drain()
    writer.close()


async def main():
    pool = ThreadPoolExecutor(6, thread_name_prefix="reports") if "--fixed" in sys.argv else None
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://localhost:{server.sockets[0].getsockname()[1]}/price"
    reporting = asyncio.create_task(reports(pool))
    print("standing", flush=True)
    async with httpx.AsyncClient(timeout=5) as client, asyncio.TaskGroup() as group:
        while not reporting.done():
            group.create_task(price(client, url))
            await asyncio.sleep(0.5)


asyncio.run(main())
