"""People ask to be reminded, in ten minutes or tomorrow; only the timers know their reminders.

Healthy.
Looks like: timers never cancelled
"""

import asyncio
import random


class Reminder:
    def __init__(self, text):
        self.text = text * 100

    def ring(self):
        self.text = ""


async def main():
    loop = asyncio.get_running_loop()
    while True:
        loop.call_later(random.choice((600, 1800, 3600, 86400)), Reminder("call your mother ").ring)
        await asyncio.sleep(random.expovariate(3))


asyncio.run(main())
