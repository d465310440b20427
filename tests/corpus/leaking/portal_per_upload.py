"""Each upload enters a blocking portal of anyio, a thread with a loop of its own, and does not leave it.

Leak: start_blocking_portal.run_blocking_portal, start_blocking_portal.run_portal
Line: anyio/from_thread.py run_blocking_portal
Rate: 30
Needs: anyio
Shows: thread never told to end, held by a growing container
"""

import time

import anyio
from anyio.from_thread import start_blocking_portal

portals = []


async def upload():
    await anyio.sleep(0.05)


def save():
    manager = start_blocking_portal()
    portal = manager.__enter__()  # LEAK
    portals.append(manager)
    portal.call(upload)


while True:
    save()
    time.sleep(1.9)
