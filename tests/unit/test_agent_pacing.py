"""A callback of ours counts the iterations of a spinning loop, and is gone whenever its part is undone."""

from __future__ import annotations

import asyncio
from typing import Any

from taskscope.agent.hooks.pacing import Pace, paced
from taskscope.agent.hooks.parts import Part


class Spin:
    """A callback that queues itself again."""

    def __init__(self) -> None:
        self.loop: Any = asyncio.get_running_loop()
        self.turns = 0
        self()

    def __call__(self) -> None:
        self.turns += 1
        self.handle = self.loop.call_soon(self)


def ours(loop: Any) -> list[object]:
    return [each for each in loop._ready if type(each._callback) is Pace]


async def test_the_iterations_of_a_spinning_loop_are_counted() -> None:
    told: list[BaseException] = []
    part, spin = Part("pace", lambda name, error: told.append(error)), Spin()
    job = paced(part, spin.loop)
    next(job)
    while part.armed:
        await asyncio.sleep(0)
        try:
            next(job)
        except StopIteration as end:
            rate: float | None = end.value
    spin.handle.cancel()
    assert rate is not None
    assert rate > 100
    assert spin.turns >= 200
    assert not ours(spin.loop)
    assert not told


async def test_undone_meanwhile_it_does_not_run_again() -> None:
    part, spin = Part("pace", lambda name, error: None), Spin()
    job = paced(part, spin.loop)
    next(job)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert ours(spin.loop)
    part.undo()
    assert not ours(spin.loop)
    job.close()
    spin.handle.cancel()


async def test_a_failure_of_ours_is_told_and_ends_it() -> None:
    told: list[BaseException] = []
    part = Part("pace", lambda name, error: told.append(error))

    def again(*_: object, **__: object) -> None:
        raise RuntimeError("on purpose")

    pace = Pace(part, again)
    part.arm(part.on_undo, pace.end)
    pace()
    assert pace.done
    assert not part.armed
    assert len(told) == 1
