"""The last five readings are kept, by a method that then waits for the next one: as many as there may be.

Healthy.
Looks like: connections lost, deadlock
"""

import asyncio


class Reading:
    def __init__(self, value):
        self.value = value


class Log:
    def __init__(self, most):
        self.most = most
        self.readings = []
        self.waiting = []

    async def add(self, value):
        self.readings.append(Reading(value))
        if len(self.readings) > self.most:
            self.readings.pop(0)
        turn = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        return await turn


async def station(log, number):
    while True:
        await log.add(number)


async def main():
    log = Log(5)
    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(station(log, number))
        while True:
            await asyncio.sleep(60)
            for turn in log.waiting:
                turn.set_result(None)
            log.waiting.clear()


asyncio.run(main())
