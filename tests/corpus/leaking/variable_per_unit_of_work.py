"""Each unit of work has a context variable of its own; the context of the task that does them keeps all.

Leak: unit
Rate: 120
Shows: contexts that grow
"""

import asyncio
import contextvars
import random


def begin():
    variable = contextvars.ContextVar("unit")  # LEAK
    variable.set(bytearray(100_000))
    return variable


async def main():
    while True:
        unit = begin()
        await asyncio.sleep(random.uniform(0.3, 0.7))
        unit.get().clear()
        unit.set(bytearray(100_000))


asyncio.run(main())
