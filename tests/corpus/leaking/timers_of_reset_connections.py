"""A server that closes connections after an hour without a request; a reset connection keeps its timer.

Leak: Connection.close_idle
Rate: 300
Shows: timers never cancelled
"""

import asyncio
import socket
import struct


class Connection(asyncio.Protocol):
    timer = None

    def connection_made(self, transport):
        self.transport = transport
        self.requests = []

    def data_received(self, data):
        self.requests.append(bytearray(8_000))
        self.transport.write(b"ok")
        loop = asyncio.get_running_loop()
        if self.timer is not None:
            self.timer.cancel()
        self.timer = loop.call_later(3600, self.close_idle)  # LEAK

    def eof_received(self):
        self.timer.cancel()

    def close_idle(self):
        self.transport.close()


async def ask(address, number):
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
        await loop.sock_sendall(sock, b"GET")
        await loop.sock_recv(sock, 100)
        if number % 2:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def main():
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    number = 0
    while True:
        number += 1
        await ask(server.sockets[0].getsockname(), number)
        await asyncio.sleep(0.1)


asyncio.run(main())
