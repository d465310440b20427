"""trio: two mills over memory channels of two; each sends three on for each that it takes.

Needs: trio
Shows: deadlock
"""

import trio


async def mill(inbox, outbox):
    async with inbox, outbox:
        while True:
            for number in range(3):
                await outbox.send(number)  # HANG
            await inbox.receive()


async def main():
    (send, receive), (send_back, receive_back) = trio.open_memory_channel(2), trio.open_memory_channel(2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mill, receive_back, send)
        nursery.start_soon(mill, receive, send_back)


trio.run(main)
