"""What the agent adds to the program's own collections of garbage: nothing unless a client is there."""

from __future__ import annotations

import pytest

from tests.bench.harness import Child, median, subscribed, table

pytestmark = [pytest.mark.bench, pytest.mark.timeout(120)]

TURNS, TIMES = 15, 3_000

MOST = 0.3
"""Microseconds more for a collection of the youngest objects, which is a whole callback less."""


async def cost(*children: Child) -> list[float]:
    """Microseconds for each, medians of turns."""
    seen: list[list[float]] = [[] for _ in children]
    for _ in range(TURNS):
        for child, costs in zip(children, seen, strict=True):
            costs.append((await child.do("collect", times=TIMES))["us"])
    return [median(each) for each in seen]


async def test_with_nobody_attached_a_collection_costs_no_more() -> None:
    async with Child("bare") as bare, Child("agent") as child:
        without, alone = await cost(bare, child)
        async with subscribed(child.pid):
            (watched,) = await cost(child)
    table(
        "a collection of the youngest objects, in microseconds",
        ["no agent", "agent, nobody attached", "agent and client"],
        [[f"{each:.2f}" for each in (without, alone, watched)]],
    )
    assert alone - without < MOST
