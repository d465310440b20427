"""A shielded call goes on after each timeout, for ever.

Leak: slow_query
Rate: 60
Shows: nobody can set it
"""

import asyncio


async def slow_query():
    await asyncio.get_running_loop().create_future()


async def main():
    kept = []
    while True:
        query = asyncio.ensure_future(slow_query())  # LEAK
        kept.append(query)
        try:
            await asyncio.wait_for(asyncio.shield(query), 0.5)
        except TimeoutError:
            pass
        await asyncio.sleep(0.5)


asyncio.run(main())
