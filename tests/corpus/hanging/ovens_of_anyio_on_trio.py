"""anyio on trio: each cake takes one of three ovens, and then one more for its layers.

Needs: anyio, trio
Shows: deadlock
"""

import anyio


async def bake_layers(ovens):
    async with ovens:  # HANG
        await anyio.sleep(0.1)


async def bake(ovens):
    async with ovens:  # HANG
        await anyio.sleep(0.1)
        async with anyio.create_task_group() as layers:
            layers.start_soon(bake_layers, ovens)


async def main():
    ovens = anyio.CapacityLimiter(3)
    async with anyio.create_task_group() as cakes:
        for _ in range(5):
            cakes.start_soon(bake, ovens)
        while True:
            await anyio.sleep(0.5)


anyio.run(main, backend="trio")
