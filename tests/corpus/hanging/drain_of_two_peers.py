"""Two peers in one process send each other more than the sockets hold before either reads.

Shows: deadlock
"""

import asyncio
import socket


async def peer(end):
    reader, writer = await asyncio.open_connection(sock=end)
    writer.write(b"x" * 10_000_000)
    await writer.drain()  # HANG
    await reader.readexactly(10_000_000)


async def main():
    await asyncio.gather(*(peer(end) for end in socket.socketpair()))


asyncio.run(main())
