"""Who logs in gets a session, a task with a name; logging out takes away the user and forgets the session.

Leak: Hub.keep
Rate: 30
Shows: held by a growing container, orphan
"""

import asyncio
import random


class Hub:
    def __init__(self):
        self.users = set()
        self.sessions = {}

    def log_in(self, user):
        self.users.add(user)
        self.sessions[user] = asyncio.create_task(self.keep(user), name=f"session of {user}")  # LEAK

    def log_out(self, user):
        self.users.discard(user)

    async def keep(self, user):
        while True:
            await asyncio.sleep(25)
            print(user)


async def visit(hub, user):
    hub.log_in(user)
    await asyncio.sleep(random.uniform(5, 20))
    hub.log_out(user)


async def main():
    hub, number = Hub(), 0
    async with asyncio.TaskGroup() as group:
        while True:
            number += 1
            group.create_task(visit(hub, number))
            await asyncio.sleep(random.expovariate(1 / 2))


asyncio.run(main())
