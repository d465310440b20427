"""Counts the words of lines, a task for each, without ever waiting: the loop never sleeps, and gets on.

Healthy.
Looks like: tasks for nothing, busy wait
"""

import asyncio
from collections import Counter, deque

LINES = deque(["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog"] * 50)


class Tally:
    def __init__(self):
        self.words = Counter()

    async def count(self):
        word = LINES.popleft()
        LINES.append(word)
        self.words[word] += 1


async def main():
    tally = Tally()
    while True:
        await asyncio.gather(*(tally.count() for _ in range(20)))


asyncio.run(main())
