"""Tasks and threads that wait for each other's locks, places, connections and jobs, and get them.

Healthy.
Looks like: deadlock, deadlocked with itself, owner gone, cannot end, cancel swallowed
"""

import asyncio
import queue
import threading
from concurrent.futures import ThreadPoolExecutor

POOL = queue.Queue()
LOCK = threading.RLock()
WORKERS = ThreadPoolExecutor(3)


def query(seconds):
    connection = POOL.get()
    try:
        with LOCK:
            threading.Event().wait(seconds)
    finally:
        POOL.put(connection)


async def serve(lock, places):
    loop = asyncio.get_running_loop()
    while True:
        async with places, lock:
            await loop.run_in_executor(WORKERS, query, 0.02)


async def flush():
    try:
        await asyncio.sleep(3600)
    finally:
        await asyncio.sleep(0.5)


async def cancel_in_turn():
    while True:
        task = asyncio.create_task(flush())
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])


async def keep(lock):
    async with lock:
        await asyncio.sleep(3600)


async def main():
    for number in range(2):
        POOL.put(number)
    lock, places, kept = asyncio.Lock(), asyncio.Semaphore(4), asyncio.Lock()
    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(serve(lock, places))
        group.create_task(cancel_in_turn())
        for _ in range(3):
            group.create_task(keep(kept))


asyncio.run(main())
