"""Whether a loop in which a task is suspended has a condition that may end it in the next round."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import TYPE_CHECKING

import pytest

from taskscope.agent.inspect.paths import Place, place_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CoroutineType
    from typing import Any


class Service:
    """Every coroutine is looked at in its first ``asyncio.sleep``."""

    def __init__(self) -> None:
        self.over = False
        self.lost = True

    async def asks_first(self) -> None:
        while not self.over:
            await asyncio.sleep(9)

    async def asks_within(self) -> str:
        while True:
            await asyncio.sleep(9)
            if self.over:
                return "over"

    async def cleans_up_after(self) -> None:
        async with contextlib.AsyncExitStack():
            while not self.over:
                await asyncio.sleep(9)

    async def asks_after_a_time_out(self) -> None:
        while not self.over:
            try:
                await asyncio.wait_for(asyncio.sleep(9), timeout=9)
            except TimeoutError:
                continue

    async def beats(self) -> None:
        while True:
            await asyncio.sleep(9)
            if self.lost:
                with contextlib.suppress(ConnectionError):
                    await asyncio.sleep(0)

    async def ends_when_cancelled(self) -> None:
        while True:
            try:
                await asyncio.sleep(9)
            except asyncio.CancelledError:
                return

    async def tries_again(self) -> None:
        while True:
            try:
                await self.fail()
                break
            except OSError:
                await asyncio.sleep(9)

    async def asserts(self) -> None:
        while True:
            await asyncio.sleep(9)
            assert not self.over

    async def asks_for_news(self) -> str:
        while True:
            await self.fail()
            if self.over:
                return "over"
            await asyncio.sleep(9)

    async def gives_up(self) -> None:
        for _ in range(9):
            try:
                await self.fail()
            except OSError:
                await asyncio.sleep(9)
            else:
                return

    async def follows(self) -> None:
        for _ in itertools.count():
            try:
                await self.fail()
            except OSError:
                await asyncio.sleep(9)

    async def sweeps(self) -> None:
        while True:
            for _ in range(9):
                await asyncio.sleep(9)

    async def goes_straight(self) -> None:
        await asyncio.sleep(9)

    async def fail(self) -> None:
        if self.lost:
            raise OSError


LEAVE = (Service.asks_first, Service.asks_within, Service.cleans_up_after, Service.asks_after_a_time_out)
STAY = (Service.beats, Service.ends_when_cancelled, Service.tries_again, Service.asserts)


async def place_in(way: Callable[[Service], CoroutineType[Any, Any, Any]], *, lost: bool = True) -> Place:
    service = Service()
    service.lost = lost
    coro = way(service)
    task = asyncio.create_task(coro)
    while coro.cr_frame is None or coro.cr_await is None:
        await asyncio.sleep(0)
    frame = coro.cr_frame
    place = place_of(frame.f_code, frame.f_lasti)
    task.cancel()
    await asyncio.wait([task])
    return place


@pytest.mark.parametrize(
    ("way", "comes_back", "leaves"),
    [
        *((each, True, True) for each in LEAVE),
        *((each, True, False) for each in STAY),
        (Service.goes_straight, False, False),
    ],
)
async def test_a_loop_with_a_condition_may_be_left_in_any_round(
    way: Callable[[Service], CoroutineType[Any, Any, Any]], comes_back: bool, leaves: bool
) -> None:
    place = await place_in(way)
    assert (place.comes_back, place.leaves) == (comes_back, leaves)


@pytest.mark.parametrize(
    ("way", "counted", "retried"),
    [
        (Service.tries_again, False, True),
        (Service.asks_for_news, False, True),
        (Service.gives_up, True, False),
        *(
            (each, False, False)
            for each in (*LEAVE, Service.beats, Service.follows, Service.sweeps, Service.goes_straight)
        ),
    ],
)
async def test_a_retry_ends_by_its_call_unless_its_rounds_are_counted(
    way: Callable[[Service], CoroutineType[Any, Any, Any]], counted: bool, retried: bool
) -> None:
    place = await place_in(way, lost=way is not Service.asks_for_news)
    assert (place.counted, place.retried) == (counted, retried)
