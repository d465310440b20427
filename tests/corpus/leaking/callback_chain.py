"""A timer callback starts the tasks, so none has a parent.

Leak: report
Rate: 45
Shows: held by a growing container
"""

import asyncio

reports = []


async def report(gate):
    await gate.wait()


def tick(loop, gate):
    reports.append(loop.create_task(report(gate)))  # LEAK
    loop.call_later(60 / 45, tick, loop, gate)


async def main():
    loop = asyncio.get_running_loop()
    tick(loop, asyncio.Event())
    await loop.create_future()


asyncio.run(main())
