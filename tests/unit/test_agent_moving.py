"""A proof that nothing can wake a task holds whatever the program does in the meantime."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from taskscope.agent.counts.registry import Registry
from taskscope.agent.hooks.presence import Presence
from taskscope.agent.inspect import futures, stuck
from taskscope.agent.inspect.island import OwnRef

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskscope.model.vocabulary import Fate


@pytest.fixture(autouse=True)
def _hooks() -> Iterator[None]:
    presence = Presence(Registry(), lambda what, error: None)
    presence.arm()
    try:
        yield
    finally:
        presence.undo()


async def work(boxes: list[list[asyncio.Event]], own: list[list[asyncio.Event]]) -> None:
    await (boxes or own)[0][0].wait()
    boxes.clear()
    own.clear()


def fate(moment: int, *, outwards: bool) -> tuple[Fate, bool]:
    """What is said of a task if its event changes hands at that pause; whether that was the last one."""
    known: list[asyncio.Event] = []  # who lives knows both, the task only one of them
    other: list[asyncio.Event] = []

    async def main() -> tuple[Fate, bool]:
        (known if outwards else other).append(asyncio.Event())
        task = asyncio.create_task(work([known], [other] if not outwards else []))
        await asyncio.sleep(0)
        job = stuck.wakings([OwnRef(task)], [asyncio.get_running_loop()])
        serial = futures.serial_of(task) or 0
        pauses = 0
        try:
            while True:
                next(job)
                if pauses == moment:
                    if outwards:
                        other.append(known.pop())
                    else:
                        known.append(other.pop())
                pauses += 1
        except StopIteration as end:
            found: Fate = end.value[serial].fate
        task.cancel()
        return found, pauses <= moment

    with asyncio.Runner() as runner:
        return runner.run(main())


@pytest.mark.parametrize("outwards", [True, False])
def test_an_object_that_changes_hands_during_the_walk_is_never_out_of_reach(outwards: bool) -> None:
    moment, last = 0, False
    while not last:
        found, last = fate(moment, outwards=outwards)
        if not (last and not outwards):  # it was in no hand but the task's
            assert found == "may wake", moment
        moment += 1
    assert moment > 20
