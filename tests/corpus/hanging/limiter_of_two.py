"""anyio: jobs in worker threads go back to the loop for a part that needs a worker thread of its own.

Needs: anyio
Shows: deadlock
"""

import threading

import anyio
from anyio import from_thread, to_thread

limiter, begun = None, threading.Barrier(2)


async def resize():
    await to_thread.run_sync(int, limiter=limiter)  # HANG


def upload():
    begun.wait()
    from_thread.run(resize)  # HANG


async def main():
    global limiter
    limiter = anyio.CapacityLimiter(2)
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(lambda: to_thread.run_sync(upload, limiter=limiter))


anyio.run(main)
