"""A callback in the loop waits for a thread, whose last call has to run in that loop.

Shows: deadlock
"""

import asyncio
import threading


def work(loop, finish):
    asyncio.run_coroutine_threadsafe(finish(), loop).result()  # HANG


async def finish():
    await asyncio.sleep(0)


async def main():
    thread = threading.Thread(target=work, args=(asyncio.get_running_loop(), finish))
    thread.start()
    await asyncio.sleep(0)
    thread.join()  # HANG


asyncio.run(main())
