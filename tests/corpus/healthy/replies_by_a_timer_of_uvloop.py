"""Under uvloop: each request is answered by a timer of the loop after forty seconds; nothing else holds it.

Healthy.
Needs: uvloop
Looks like: nobody can set it
"""

import asyncio
import random

import uvloop


async def request():
    answer = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(random.uniform(35, 45), answer.set_result, None)
    await answer


async def main():
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(request())
            await asyncio.sleep(random.expovariate(1))


uvloop.run(main())
