"""trio as a guest in asyncio: both work; the host sets an event of trio's after two minutes.

Healthy.
Needs: trio
Looks like: deadlock
"""

import asyncio

import trio


async def wait(event):
    await event.wait()


async def work(lock):
    while True:
        async with lock:
            await trio.sleep(0.1)


async def main(event):
    lock = trio.Lock()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, event)
        for _ in range(3):
            nursery.start_soon(work, lock)


async def host():
    loop, event = asyncio.get_running_loop(), trio.Event()
    ended = loop.create_future()
    trio.lowlevel.start_guest_run(
        main, event, run_sync_soon_threadsafe=loop.call_soon_threadsafe, done_callback=ended.set_result
    )
    loop.call_later(120, event.set)
    while not ended.done():
        await asyncio.sleep(1)


asyncio.run(host())
