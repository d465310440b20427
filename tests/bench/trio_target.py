"""What the instrument adds to a task of trio's that starts and ends: bare µs, then those with it, medians.

Rounds with and without take turns in one process, under ``taskscope run``.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import trio

TASKS, ROUNDS = 2_000, 41


async def nothing() -> None:
    pass


async def burst() -> float:
    begun = time.thread_time()
    async with trio.open_nursery() as nursery:
        for _ in range(TASKS):
            nursery.start_soon(nothing)
    return (time.thread_time() - begun) / TASKS * 1e6


async def main() -> None:
    instruments: Any = trio._core._run.GLOBAL_RUN_CONTEXT.runner.instruments
    (ours,) = instruments["_all"]
    await trio.sleep(1)
    bare, with_us = [], []
    await burst()
    for _ in range(ROUNDS):
        with_us.append(await burst())
        instruments.remove_instrument(ours)
        bare.append(await burst())
        instruments.add_instrument(ours)
    print(statistics.median(bare), statistics.median(with_us))


if __name__ == "__main__":
    trio.run(main)
