"""A session of aiohttp with two connections; each answer is read while the same session asks for another.

Shows: deadlock
Needs: aiohttp
"""

import asyncio

import aiohttp
from aiohttp import web


async def answer(request):
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"price\n")
        await asyncio.sleep(0.1)


async def ask(session, url):
    async with session.get(url) as response:  # HANG
        async for _ in response.content:
            await asyncio.sleep(0.3)
            async with session.get(url):  # HANG
                pass


async def main():
    application = web.Application()
    application.router.add_get("/", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    connector = aiohttp.TCPConnector(limit=2)
    timeout = aiohttp.ClientTimeout(total=None, connect=None, sock_read=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        await asyncio.gather(ask(session, url), ask(session, url))


asyncio.run(main())
