"""Two parties that wait for each other, again and again.

Leak: party
Rate: 40
Shows: await cycle, deadlock
"""

import asyncio


async def party(others, which):
    await asyncio.wait([others[which]])  # LEAK


async def main():
    kept = []
    while True:
        others = []
        others.append(asyncio.create_task(party(others, 1)))  # LEAK
        others.append(asyncio.create_task(party(others, 0)))  # LEAK
        kept.append(others)
        await asyncio.sleep(3)


asyncio.run(main())
