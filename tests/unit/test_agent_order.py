"""Tasks older than the agent are registered in creation order."""

from __future__ import annotations

import asyncio
import random
from weakref import ref

from taskscope.agent.hooks import adopt
from taskscope.agent.inspect import futures
from taskscope.agent.inspect.walk import run


async def test_unnamed_tasks_are_taken_in_the_order_of_their_making_and_named_ones_last() -> None:
    tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(2_000)]
    named = asyncio.create_task(asyncio.sleep(60), name="named")
    await asyncio.sleep(0)
    mixed = [ref(task) for task in (named, *tasks)]
    random.Random(1).shuffle(mixed)
    in_order = run(adopt._by_age(mixed))
    found = [reference() for _, _, reference in in_order]
    assert found == [*tasks, named]
    for task in (*tasks, named):
        task.cancel()


async def test_a_task_is_not_given_its_name_by_looking_at_its_number() -> None:
    task = asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    number = futures.number_of(task)
    assert task.get_name() == f"Task-{number}"
    assert futures.number_of(task) == number
    task.cancel()
