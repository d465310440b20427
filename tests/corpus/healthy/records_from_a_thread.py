"""A thread hands records to a pool of short tasks as fast as the loop takes them.

Healthy.
Looks like: tasks for nothing
"""

import asyncio
import itertools
import threading


async def store(record, into):
    into[record["key"] % 100] = record


async def main():
    loop = asyncio.get_running_loop()
    room = threading.Semaphore(50)
    into = {}
    kept = set()

    def done(task):
        kept.discard(task)
        room.release()

    def take(record):
        task = loop.create_task(store(record, into))
        kept.add(task)
        task.add_done_callback(done)

    def read():
        for number in itertools.count():
            room.acquire()
            loop.call_soon_threadsafe(take, {"key": number})

    threading.Thread(target=read, daemon=True).start()
    await asyncio.Event().wait()


asyncio.run(main())
