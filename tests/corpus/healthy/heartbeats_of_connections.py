"""Clients that connect one after another and stay, each pinged by a timer that renews itself.

Healthy.
Looks like: chains that renew themselves
"""

import asyncio


class Connection(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.arm()

    def arm(self):
        self.timer = asyncio.get_running_loop().call_later(0.5, self.start)

    def start(self):
        asyncio.create_task(self.ping())

    async def ping(self):
        self.transport.write(b"ping")
        self.arm()

    def connection_lost(self, error):
        self.timer.cancel()


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    clients = []
    while True:
        if len(clients) < 400:
            clients.append(await loop.create_connection(asyncio.Protocol, "127.0.0.1", port))
        await asyncio.sleep(1)


asyncio.run(main())
