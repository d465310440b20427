"""An aiohttp server whose handler starts an audit that waits for an event nobody sets.

Leak: audit
Rate: 120
Needs: aiohttp
Shows: nobody can set it
"""

import asyncio

import aiohttp
from aiohttp import web

audits = set()


async def audit(done):
    await done.wait()


async def handle(request):
    audits.add(asyncio.create_task(audit(asyncio.Event())))  # LEAK
    return web.Response(text="ok")


async def main():
    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    async with aiohttp.ClientSession() as client:
        while True:
            async with client.get(f"http://127.0.0.1:{port}/"):
                pass
            await asyncio.sleep(0.5)


asyncio.run(main())
