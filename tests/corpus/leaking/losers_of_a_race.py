"""Two mirrors are asked, the first answer counts; the other request is left to wait.

Leak: Mirror.fetch
Rate: 30
Shows: race loser
"""

import asyncio
import random


class Mirror:
    def __init__(self, slow):
        self.slow = slow
        self.answers = {}

    async def fetch(self, number):
        answer = self.answers[number] = asyncio.get_running_loop().create_future()
        if not self.slow:
            asyncio.get_running_loop().call_later(random.uniform(0.05, 0.3), answer.set_result, number)
        return await answer


async def download(mirrors, number):
    tasks = [asyncio.create_task(mirror.fetch(number)) for mirror in mirrors]  # LEAK
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    return done.pop().result()


async def main():
    mirrors, number = [Mirror(slow=False), Mirror(slow=True)], 0
    while True:
        number += 1
        await download(mirrors, number)
        await asyncio.sleep(random.uniform(1, 2.6))


asyncio.run(main())
