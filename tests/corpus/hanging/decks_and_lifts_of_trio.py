"""trio: loading takes the deck and then the lift, unloading the lift and then the deck; the clock ticks.

Needs: trio
Shows: deadlock
"""

import trio


async def load(deck, lift):
    async with deck:  # HANG
        await trio.sleep(0.1)
        async with lift:  # HANG
            pass


async def unload(deck, lift):
    async with lift:  # HANG
        await trio.sleep(0.1)
        async with deck:  # HANG
            pass


async def tick():
    while True:
        await trio.sleep(0.5)


async def main():
    deck, lift = trio.Lock(), trio.Lock()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        nursery.start_soon(load, deck, lift)
        nursery.start_soon(unload, deck, lift)


trio.run(main)
