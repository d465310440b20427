"""A threaded server: desks log in all morning and stay; each asks for something every few seconds.

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


async def ask_now_and_then(desks):
    while True:
        await asyncio.sleep(random.expovariate(len(desks) / 8))
        reader, writer = random.choice(desks)
        writer.write(b"price?\n")
        await reader.readline()


async def main():
    server = Server(("127.0.0.1", 0), Desk)
    threading.Thread(target=server.serve_forever, name="server", daemon=True).start()
    desks = [await asyncio.open_connection(*server.server_address)]
    asking = asyncio.create_task(ask_now_and_then(desks))
    while not asking.done():
        await asyncio.sleep(random.expovariate(1 / 3))
        desks.append(await asyncio.open_connection(*server.server_address))


asyncio.run(main())
