"""Callers wait for futures that lie in the thread-local batch of a worker: it answers thirty at a time.

Healthy.
Looks like: nobody can set it
"""

import asyncio
import queue
import random
import threading

local = threading.local()


def take(questions):
    local.batch.append(questions.get())


def answer(questions, loop):
    local.batch = []
    while True:
        take(questions)
        if len(local.batch) == 30:
            while local.batch:
                loop.call_soon_threadsafe(local.batch.pop().set_result, "yes")


async def ask(questions):
    future = asyncio.get_running_loop().create_future()
    questions.put(future)
    return await future


async def main():
    questions = queue.Queue()
    for _ in range(2):
        arguments = questions, asyncio.get_running_loop()
        threading.Thread(target=answer, args=arguments, daemon=True).start()
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(ask(questions))
            await asyncio.sleep(random.uniform(0.4, 1))


asyncio.run(main())
