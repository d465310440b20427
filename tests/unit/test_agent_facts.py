"""What the agent finds out about one site's tasks, on a real loop in this process."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from taskscope.agent.answers.facts import FactFinder
from taskscope.agent.answers.proofs import Proofs
from taskscope.agent.answers.tasks import NotFoundError
from taskscope.agent.counts.registry import Registry
from taskscope.agent.hooks.presence import Presence
from taskscope.agent.inspect import walk
from taskscope.model import requests

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from taskscope.model import SiteFacts, Thread


def no_threads() -> walk.Job[tuple[Thread, ...]]:
    yield
    return ()


class Watched:
    """A registry with armed hooks, and the facts of the site of one coroutine."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.registry = Registry()
        self.presence = Presence(
            self.registry, lambda what, error: self.failures.append(f"{what}: {error!r}")
        )
        self.finder = FactFinder(self.registry, no_threads, Proofs(list))

    def facts(self, coroutine: str, cuts: tuple[float, ...] = ()) -> SiteFacts:
        record = next(
            each for each in self.registry.task_records() if each.site.coroutine.endswith(coroutine)
        )
        return walk.run(self.finder.facts(requests.Facts(record.id, cuts)))


@pytest.fixture
def watched() -> Iterator[Watched]:
    watched = Watched()
    watched.presence.arm()
    try:
        yield watched
    finally:
        watched.presence.undo()
    assert not watched.failures


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """On a loop of its own, made after the hooks were armed; what is left is cancelled by the runner."""
    with asyncio.Runner() as runner:
        runner.run(main())


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Service:
    def __init__(self) -> None:
        self.queue: asyncio.Queue[int] = asyncio.Queue(1)
        self.kept: set[asyncio.Task[None]] = set()

    async def decay(self) -> None:
        await asyncio.sleep(300)

    async def ticker(self) -> None:
        while True:
            await asyncio.sleep(0)

    async def hand_over(self, item: int) -> None:
        await self.queue.put(item)


async def forget(coroutine: Coroutine[Any, Any, None], times: int = 1) -> None:
    for _ in range(times):
        asyncio.ensure_future(coroutine)  # noqa: RUF006  (the shape under test)


def test_sleepers_that_nothing_keeps_are_distinguished_from_kept_ones(watched: Watched) -> None:
    async def main() -> None:
        service = Service()
        for _ in range(3):
            asyncio.ensure_future(service.decay())  # noqa: RUF006
        for item in range(3):
            service.kept.add(asyncio.ensure_future(service.hand_over(item)))
        await settle()
        sleepers = watched.facts("Service.decay")
        assert (sleepers.live, sleepers.sampled, sleepers.unheld, sleepers.awaited) == (3, 3, 3, 0)
        assert [(group.wait, group.live) for group in sleepers.groups] == [("sleep", 3)]
        putters = watched.facts("Service.hand_over")
        assert putters.unheld == 0
        (queue,) = putters.waits
        assert (queue.kind, queue.waiters, queue.size, queue.maxsize, queue.getters) == (
            "queue.put",
            2,
            1,
            1,
            0,
        )

    run(main)


def test_a_task_is_not_kept_by_the_timeout_that_it_has_entered(watched: Watched) -> None:
    async def main() -> None:
        async def patient() -> None:
            async with asyncio.timeout(300):
                await asyncio.get_running_loop().create_future()

        kept = [asyncio.ensure_future(patient()) for _ in range(3)]
        await settle()
        kept.pop()
        facts = watched.facts("patient")
        assert (facts.sampled, facts.unheld, len(kept)) == (3, 1, 2)

    run(main)


def test_many_runs_on_one_object_are_counted_and_loops_are_distinguished_from_straight_code(
    watched: Watched,
) -> None:
    async def main() -> None:
        services = [Service(), Service()]
        tasks = [asyncio.ensure_future(services[each > 3].ticker()) for each in range(6)]
        tasks += [asyncio.ensure_future(services[0].decay())]
        await settle()
        ticking = watched.facts("Service.ticker")
        assert [(bound.type, bound.runs, bound.same_arguments) for bound in ticking.bound] == [
            ("Service", 4, 4), ("Service", 2, 2),
        ]  # fmt: skip
        assert ticking.looping == 6
        assert watched.facts("Service.decay").looping == 0

    run(main)


def test_other_arguments_tell_runs_on_one_object_apart(watched: Watched) -> None:
    async def main() -> None:
        service = Service()
        service.queue.put_nowait(0)
        tasks = [asyncio.ensure_future(service.hand_over(item)) for item in (1, 2, 2)]
        await settle()
        (bound,) = watched.facts("Service.hand_over").bound
        assert (bound.runs, bound.same_arguments) == (3, 2)
        del tasks

    run(main)


def test_an_orphan_is_one_whose_parent_has_ended(watched: Watched) -> None:
    async def main() -> None:
        service = Service()
        await asyncio.ensure_future(forget(service.decay()))
        await settle()
        found = watched.facts("Service.decay")
        assert (found.orphans, found.creators) == (1, 1)
        await asyncio.ensure_future(forget(service.decay()))
        await settle()
        found = watched.facts("Service.decay")
        assert (found.orphans, found.creators) == (2, 2)

    run(main)


def test_a_request_to_end_that_is_not_honoured_shows(watched: Watched) -> None:
    async def stubborn() -> None:
        while not over.is_set():
            try:
                await asyncio.sleep(300)
            except asyncio.CancelledError:
                continue

    async def main() -> None:
        task = asyncio.ensure_future(stubborn())
        await settle()
        assert watched.facts("stubborn").cancelling == 0
        task.cancel()
        await settle()
        assert watched.facts("stubborn").cancelling == 1
        over.set()
        task.cancel()
        await settle()

    over = asyncio.Event()
    run(main)


def test_awaited_tasks_and_cycles_are_seen(watched: Watched) -> None:
    async def inner() -> None:
        await asyncio.sleep(300)

    async def outer() -> None:
        await asyncio.gather(asyncio.ensure_future(inner()), asyncio.ensure_future(inner()))

    async def one(ring: list[asyncio.Task[None]], other: int) -> None:
        await asyncio.wait([ring[other]])  # unlike a bare await this can be cancelled in a cycle

    async def main() -> None:
        around = asyncio.ensure_future(outer())
        ring: list[asyncio.Task[None]] = []
        ring += [asyncio.ensure_future(one(ring, 1 - each)) for each in range(2)]
        await settle()
        assert watched.facts("inner").awaited == 2
        assert watched.facts("inner").cycles == 0
        assert watched.facts("one").cycles == 2
        around.cancel()

    run(main)


async def stay() -> None:
    await asyncio.sleep(300)


async def end() -> None:
    await asyncio.sleep(0)


async def race() -> None:
    tasks = [asyncio.ensure_future(each()) for each in (stay, end)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


async def first_of(*coroutines: Coroutine[Any, Any, None]) -> None:
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


async def race_by_a_helper() -> None:
    await first_of(stay(), end())


async def race_and_cancel() -> None:
    tasks = [asyncio.ensure_future(each()) for each in (stay, end)]
    _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()


async def fail() -> None:
    raise ValueError


async def gather_and_fail() -> None:
    with pytest.raises(ValueError):
        await asyncio.gather(stay(), fail())


@pytest.mark.parametrize(
    ("way", "left"), [(race, 1), (race_by_a_helper, 1), (gather_and_fail, 1), (race_and_cancel, 0)]
)
def test_a_task_that_a_wait_or_gather_returned_without_is_left(
    watched: Watched, way: Callable[[], Coroutine[Any, Any, None]], left: int
) -> None:
    async def main() -> None:
        racing = asyncio.ensure_future(way())
        await settle()
        await racing
        facts = watched.facts("stay")
        assert (facts.left, facts.awaited) == (left, 0)

    run(main)


def test_a_task_that_is_raced_again_is_not_left(watched: Watched) -> None:
    """Neither while a wait is under way, nor between two while the racer keeps it."""

    async def pump() -> None:
        pending = {asyncio.ensure_future(stay())}
        while True:
            pending.add(asyncio.ensure_future(end()))
            _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            await between.wait()
            await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED, timeout=300)

    async def main() -> None:
        pumping = asyncio.ensure_future(pump())
        await settle()
        facts = watched.facts("stay")
        assert (facts.live, facts.left, facts.awaited) == (1, 0, 0)
        between.set()
        await settle()
        facts = watched.facts("stay")
        assert (facts.live, facts.left, facts.awaited) == (1, 0, 1)
        pumping.cancel()

    between = asyncio.Event()
    run(main)


def test_marks_stay_for_tasks_that_still_wait_and_change_for_those_that_moved(watched: Watched) -> None:
    async def main() -> None:
        service = Service()
        tasks = [asyncio.ensure_future(service.decay()), asyncio.ensure_future(service.ticker())]
        await settle()
        before = watched.facts("Service.decay").marks, watched.facts("Service.ticker").marks
        await settle()
        after = watched.facts("Service.decay").marks, watched.facts("Service.ticker").marks
        assert before[0] == after[0]
        assert before[1] != after[1]
        del tasks

    run(main)


def test_cohorts_are_counted_by_birth_over_all_live_tasks(watched: Watched) -> None:
    async def main() -> None:
        service = Service()
        tasks: list[asyncio.Task[None]] = []

        def start(count: int) -> None:
            tasks.extend(asyncio.ensure_future(service.decay()) for _ in range(count))

        start(250)
        await settle()
        cut = time.monotonic()
        start(30)
        await settle()
        facts = watched.facts("Service.decay", (cut - 3600, cut, time.monotonic()))
        assert facts.alive == (0, 250, 280)
        assert facts.sampled == 200

    run(main)


def test_looking_keeps_nothing_alive(watched: Watched) -> None:
    class Held:
        pass

    async def holds(thing: Held) -> None:
        await asyncio.sleep(0)
        await go.wait()
        del thing
        await asyncio.sleep(300)

    async def main() -> None:
        thing = Held()
        trace = weakref.ref(thing)
        task = asyncio.ensure_future(holds(thing))
        del thing
        await settle()
        watched.facts("holds")
        go.set()
        await settle()
        gc.collect()
        assert trace() is None, "a local deleted by the program lives on in a copy of ours"
        task.cancel()

    go = asyncio.Event()
    run(main)


def test_a_site_that_is_not_known_is_refused(watched: Watched) -> None:
    with pytest.raises(NotFoundError, match="site 99"):
        walk.run(watched.finder.facts(requests.Facts(99)))


def test_after_a_question_the_next_birth_tells_who_starts_them_now(watched: Watched) -> None:
    service = Service()

    def spawn() -> None:
        service.kept.add(asyncio.ensure_future(service.decay()))

    def at_first() -> None:
        spawn()

    def later() -> None:
        spawn()

    async def main() -> None:
        for _ in range(10):
            at_first()
        watched.facts("decay")
        for _ in range(10):
            later()
        record = next(each for each in watched.registry.task_records() if "decay" in each.site.coroutine)
        callers = [{code.co_name for code, _ in raw} for _, raw in record.last_stacks]
        assert any("later" in names for names in callers)
        await settle()

    run(main)
