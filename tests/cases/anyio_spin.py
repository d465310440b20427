"""Sessions whose task group is entered in one task and left in another: its scope never stops cancelling.

``--fixed``: opens and closes in the same task.

Needs: anyio==4.13.0
Line: anyio/_backends/_asyncio.py CancelScope._deliver_cancellation
Level: spin
Shows: loop spins
"""

import asyncio
import contextlib
import sys

import anyio


class Session:
    def __init__(self):
        self.group = anyio.create_task_group()

    async def open(self):
        await self.group.__aenter__()
        self.group.start_soon(anyio.sleep_forever)
        return self

    async def close(self):
        self.group.cancel_scope.cancel()
        await self.group.__aexit__(None, None, None)  # HANG


async def main():
    await asyncio.sleep(1)
    if "--fixed" in sys.argv:
        session = await Session().open()
        await session.close()
    else:
        (session,) = await asyncio.gather(Session().open())
        await asyncio.sleep(0.5)
        with contextlib.suppress(RuntimeError):
            await session.close()
    print("standing", flush=True)
    await asyncio.sleep(3600)


asyncio.run(main())
