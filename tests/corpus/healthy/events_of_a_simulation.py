"""A simulation whose every event queues the next one: the loop never sleeps, and gets somewhere.

Healthy.
Looks like: loop spins
"""

import asyncio
import heapq


class Simulation:
    def __init__(self, starter):
        self.starter = starter  # has long ended
        self.events = [(at, at) for at in range(1, 1000)]

    def step(self):
        at, every = heapq.heappop(self.events)
        heapq.heappush(self.events, (at + every, every))
        asyncio.get_running_loop().call_soon(self.step)


async def start():
    return asyncio.current_task()


async def main():
    starter = asyncio.create_task(start())
    await starter
    Simulation(starter).step()
    await asyncio.Event().wait()


asyncio.run(main())
