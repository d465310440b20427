"""trio: an account is closed under its lock, by tasks of a nursery that take that lock for each entry.

Needs: trio
Shows: deadlock
"""

import trio


async def settle(lock, _entry):
    async with lock:  # HANG
        await trio.sleep(0)


async def close(lock):
    async with lock, trio.open_nursery() as nursery:  # HANG
        for entry in range(5):
            nursery.start_soon(settle, lock, entry)


async def serve(lock):
    await trio.sleep(0.2)
    await close(lock)


async def main():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, trio.Lock())
        while True:
            await trio.sleep(0.1)


trio.run(main)
