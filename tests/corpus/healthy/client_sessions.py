"""A session of aiohttp for each crawl: some pages take long, streams of events last half a minute.

Healthy.
Needs: aiohttp
"""

import asyncio
import random

import aiohttp
from aiohttp import web


async def slow(request):
    await asyncio.sleep(random.expovariate(1 / 4))
    return web.Response(text="ok")


async def events(request):
    response = web.StreamResponse()
    await response.prepare(request)
    for number in range(random.randint(5, 30)):
        await response.write(f"data: {number}\n\n".encode())
        await asyncio.sleep(1)
    return response


async def fetch(session, url):
    async with session.get(url) as response:
        await response.read()


async def crawl(url):
    async with aiohttp.ClientSession() as session:
        pages = [fetch(session, f"{url}slow") for _ in range(random.randint(1, 8))]
        await asyncio.gather(*pages, fetch(session, f"{url}events"))


async def main():
    app = web.Application()
    app.router.add_get("/slow", slow)
    app.router.add_get("/events", events)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(crawl(f"http://127.0.0.1:{port}/"))
            await asyncio.sleep(random.expovariate(0.7))


asyncio.run(main())
