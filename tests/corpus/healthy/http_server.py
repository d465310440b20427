"""An aiohttp server in use: keep-alive clients, requests of 10 to 300 ms.

Healthy.
Needs: aiohttp
"""

import asyncio
import random

import aiohttp
from aiohttp import web


async def handle(request):
    await asyncio.sleep(random.uniform(0.01, 0.3))
    return web.Response(text="ok")


async def user(client, port):
    while True:
        async with client.get(f"http://127.0.0.1:{port}/") as response:
            await response.text()
        await asyncio.sleep(random.expovariate(2))


async def main():
    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    async with aiohttp.ClientSession() as client:
        await asyncio.gather(*(user(client, port) for _ in range(20)))


asyncio.run(main())
