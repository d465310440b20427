"""A threaded server: desks log in all morning and stay; each asks for something now and then.

Healthy.
Looks like: thread never told to end
"""

import asyncio
import random
import socketserver
import threading


class Desk(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


async def desk(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        writer.write(b"price?\n")
        await reader.readline()
        await asyncio.sleep(random.uniform(2, 14))


async def main():
    server = Server(("127.0.0.1", 0), Desk)
    threading.Thread(target=server.serve_forever, name="server", daemon=True).start()
    async with asyncio.TaskGroup() as desks:
        while True:
            desks.create_task(desk(server.server_address[1]))
            await asyncio.sleep(random.expovariate(1 / 3))


asyncio.run(main())
