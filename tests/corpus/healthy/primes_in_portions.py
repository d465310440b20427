"""A search for primes that lets others run after each number: the loop never sleeps, and gets somewhere.

Healthy.
Looks like: busy wait
"""

import asyncio
import itertools


async def search():
    found = []
    for number in itertools.count(2):
        if all(number % prime for prime in found[:200]):
            found.append(number)
        if len(found) > 20_000:
            found.clear()
        await asyncio.sleep(0)


async def ticker():
    while True:
        await asyncio.sleep(0.5)


async def main():
    await asyncio.gather(search(), ticker())


asyncio.run(main())
