"""Programs that start task after task, and nothing comes of it.  Each prints ``standing``."""

from __future__ import annotations

from typing import NamedTuple

_START = """
import asyncio
def say(): print("standing", flush=True)
"""


class Way(NamedTuple):
    levels: tuple[str, ...]
    line: str
    says: str
    program: str


WAYS = {
    "each starts the next": Way(
        ("suspect",),
        "asyncio.create_task(tick())",
        "each starts the next; nothing they work on changes",
        """
async def tick():
    asyncio.create_task(tick())
async def main():
    task = asyncio.create_task(tick())
    say()
    await asyncio.Event().wait()
asyncio.run(main())
""",
    ),
    "a task for each turn": Way(
        ("suspect",),
        "await asyncio.create_task(asyncio.sleep(0))",
        "main starts them again and again; nothing they work on changes",
        """
async def main():
    say()
    while True:
        await asyncio.create_task(asyncio.sleep(0))
asyncio.run(main())
""",
    ),
    "a group for each turn": Way(
        ("suspect",),
        "for _ in (1, 2, 3): group.create_task(nothing())",
        "Poller.run starts them again and again; nothing they work on changes",
        """
async def nothing(): pass
class Poller:
    async def run(self):
        while True:
            async with asyncio.TaskGroup() as group:
                for _ in (1, 2, 3): group.create_task(nothing())
say()
asyncio.run(Poller().run())
""",
    ),
    "a queue that is polled": Way(
        ("suspect",),
        "while await asyncio.create_task(poll(queue)) is None: pass",
        "main starts them again and again; nothing they work on changes",
        """
async def poll(queue):
    try: return queue.get_nowait()
    except asyncio.QueueEmpty: return None
async def main():
    queue = asyncio.Queue()
    say()
    while await asyncio.create_task(poll(queue)) is None: pass
asyncio.run(main())
""",
    ),
    "waits that time out": Way(
        ("info", "suspect"),  # by what it costs
        "await asyncio.gather(*waits, return_exceptions=True)",
        "main starts them again and again; none succeeds",
        """
async def main():
    event = asyncio.Event()
    say()
    while True:
        waits = [asyncio.wait_for(event.wait(), 0.01) for _ in range(50)]
        await asyncio.gather(*waits, return_exceptions=True)
asyncio.run(main())
""",
    ),
    "each sleeps and starts the next": Way(
        ("info",),
        "asyncio.create_task(tick())",
        "each starts the next; nothing they work on changes",
        """
async def tick():
    await asyncio.sleep(0.001)
    asyncio.create_task(tick())
async def main():
    task = asyncio.create_task(tick())
    say()
    await asyncio.Event().wait()
asyncio.run(main())
""",
    ),
}

PROGRAMS = {name: _START + way.program for name, way in WAYS.items()}
