"""Callers wait for futures that only a thread holds, in a local list: it answers sixty at a time.

Healthy.
Looks like: nobody can set it
"""

import asyncio
import queue
import random
import threading


def answer(questions, loop):
    batch = []
    while True:
        batch.append(questions.get())
        if len(batch) == 60:
            for each in batch:
                loop.call_soon_threadsafe(each.set_result, "yes")
            batch.clear()


async def ask(questions):
    future = asyncio.get_running_loop().create_future()
    questions.put(future)
    return await future


async def main():
    questions = queue.Queue()
    loop = asyncio.get_running_loop()
    threading.Thread(target=answer, args=(questions, loop), daemon=True).start()
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(ask(questions))
            await asyncio.sleep(random.uniform(0.4, 1))


asyncio.run(main())
