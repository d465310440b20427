"""Work that the agent does not do, however many sites and tasks there are."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from taskscope import wire
from taskscope.agent.agent import Agent
from taskscope.agent.answers.proofs import Proofs
from taskscope.agent.inspect import awaiting, holders, waits, walk
from taskscope.agent.reply import encoded
from taskscope.model import Mark, requests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskscope.agent.counts.site_record import SiteRecord
    from taskscope.agent.inspect.walk import Job

SITES = 300


@pytest.fixture
def agent() -> Iterator[Agent]:
    agent = Agent("x", interval=1.0, control=False, version="0")
    agent.presence.arm()
    try:
        yield agent
    finally:
        agent._undo()


def pauses(job: Job[Any], monkeypatch: pytest.MonkeyPatch, *, slice: float = 60.0) -> int:
    """How often it pauses, although there is time, or because there is none."""
    with monkeypatch.context() as context:
        context.setattr(walk, "SLICE", slice)
        walk.begin_slice()
        return sum(1 for _ in job)


async def sleep_at_sites(count: int) -> list[asyncio.Task[None]]:
    """A task at each of so many sites."""
    tasks = []
    for number in range(count):
        names: dict[str, Any] = {}
        exec(compile("def start(make, wait): return make(wait(60))", f"/app/{number}.py", "exec"), names)
        tasks.append(names["start"](asyncio.create_task, asyncio.sleep))
    await asyncio.sleep(0)
    return tasks


def records_of(agent: Agent) -> list[SiteRecord]:
    """The records of these sites."""
    return [each for each in agent.registry.task_records() if each.site.coroutine == "sleep"]


async def ended(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_wait_graph_pauses_by_the_clock_and_not_at_every_site(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = await sleep_at_sites(SITES)
    walk.run(agent.waits.waits(requests.Waits()))
    assert pauses(agent.waits.waits(requests.Waits()), monkeypatch) < 10
    await ended(tasks)


async def test_an_answer_that_is_remembered_looks_at_no_other_site(agent: Agent) -> None:
    tasks = await sleep_at_sites(3)
    records = records_of(agent)
    proofs = Proofs(list)
    looked: list[SiteRecord] = []

    def noted() -> Iterator[SiteRecord]:
        for record in records:
            looked.append(record)
            yield record

    first = walk.run(proofs.keeper(records[0], noted()))
    assert looked
    looked.clear()
    assert walk.run(proofs.keeper(records[0], noted())) == first
    assert not looked
    await ended(tasks)


async def test_what_keeps_a_single_task_is_not_searched_for(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = await sleep_at_sites(2)
    searched: list[int] = []
    keeper = agent.proofs.keeper

    def noted(record: SiteRecord, records: Any) -> Job[Any]:
        searched.append(record.id)
        return keeper(record, records)

    monkeypatch.setattr(agent.proofs, "keeper", noted)
    one, _ = records_of(agent)
    walk.run(agent.facts.facts(requests.Facts(one.id)))
    assert not searched
    tasks += [asyncio.create_task(asyncio.sleep(60)) for _ in range(3)]
    await asyncio.sleep(0)
    several = records_of(agent)[-1]
    walk.run(agent.facts.facts(requests.Facts(several.id)))
    assert searched == [several.id]
    await ended(tasks)


async def test_rounds_of_the_sweep_reach_every_task_however_few_fit_in_one_sweep(agent: Agent) -> None:
    tasks = await sleep_at_sites(SITES)
    await ended(tasks)

    def retained() -> int:
        return sum(record.retained for record in agent.registry.task_records())

    assert retained() == 0
    walk.run(agent.sampler._sweep(1.0, 2 * SITES))
    assert 0 < retained() < SITES
    for _ in range(9):
        walk.run(agent.sampler._sweep(1.0, 2 * SITES))
    assert retained() == SITES
    assert not any(record.live for record in records_of(agent))


async def test_one_sweep_reaches_every_task_if_all_fit(agent: Agent) -> None:
    tasks = await sleep_at_sites(SITES)
    walk.run(agent.sampler._sweep(1.0, 2 * SITES))  # leaves a round half done
    await ended(tasks)
    walk.run(agent.sampler._sweep(1.0, 20 * SITES))
    assert sum(record.retained for record in agent.registry.task_records()) == SITES


def test_large_rows_are_encoded_one_by_one_and_small_ones_together(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tuple(Mark(number, number, 0.5) for number in range(1_000))
    out: list[bytes] = []

    def job() -> Job[None]:
        out.append((yield from encoded(lambda value: {"result": value}, rows)))

    assert pauses(job(), monkeypatch) == 0
    assert pauses(job(), monkeypatch, slice=0.0) == len(rows)
    assert out[0] == out[1]
    assert json.loads(out[0]) == {"result": wire.pack(rows)}


def test_threads_are_listed_a_slice_at_a_time(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    threads = [threading.Thread(target=go.wait, name=f"waits {number}") for number in range(30)]
    for each in threads:
        each.start()
    found = walk.run(agent.thread_view.all())
    assert {each.name for each in threads} <= {each.name for each in found}
    assert pauses(agent.thread_view.all(), monkeypatch, slice=0.0) >= len(found)
    assert pauses(agent.thread_view.all(), monkeypatch) == 1
    go.set()
    for each in threads:
        each.join()


async def share(future: asyncio.Future[None]) -> None:
    await future


@pytest.mark.parametrize(
    ("request_", "module", "function"),
    [
        (requests.Tasks(parked="elsewhere"), waits, "describe"),
        (requests.Groups(by="parked"), waits, "describe"),
        (requests.Tree(by="await"), awaiting, "_waited"),
    ],
)
async def test_a_future_that_many_wait_for_is_looked_at_once(
    agent: Agent, monkeypatch: pytest.MonkeyPatch, request_: Any, module: Any, function: str
) -> None:
    future = asyncio.get_running_loop().create_future()
    tasks = [asyncio.create_task(share(future)) for _ in range(100)]
    await asyncio.sleep(0)
    looked: list[object] = []
    original = getattr(module, function)

    def counted(*given: Any, **named: Any) -> Any:
        looked.append(given[0])
        return original(*given, **named)

    monkeypatch.setattr(module, function, counted)
    with monkeypatch.context() as context:
        context.setattr(walk, "SLICE", 60.0)
        walk.run(agent._actions(lambda data: None)[type(request_)](request_))
    assert 0 < len(looked) < 10
    await ended(tasks)


async def test_who_holds_a_future_is_searched_for_in_no_other_task_if_nobody_does(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def alone() -> None:
        await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(alone())
    others = await sleep_at_sites(20)
    searched: list[object] = []
    monkeypatch.setattr(holders.Search, "_visit", lambda *given: searched.append(given[1]))
    search = holders.Search(task)
    walk.run(search.near())
    searched.clear()
    for each in others:
        walk.run(search.look(each))
    assert not searched
    assert search.result() == (holders.NOBODY,)
    await ended([task, *others])


async def test_a_page_reads_on_only_at_the_sites_that_it_shows(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it holds of the others is freed at once when it is full."""
    tasks = await sleep_at_sites(SITES)
    read: list[int] = []
    beyond = walk._beyond

    def counted(key: int, stream: Any, *, newest: bool) -> Any:
        read.append(key)
        return beyond(key, stream, newest=newest)

    monkeypatch.setattr(walk, "_beyond", counted)
    page = walk.run(agent.queries.tasks(requests.Tasks(limit=10)))
    assert [len(page.tasks), page.total] == [10, SITES + 1]
    assert len(read) <= 10
    rest = walk.run(agent.queries.tasks(requests.Tasks(limit=1_000, after=page.after)))
    assert len(rest.tasks) == SITES + 1 - 10
    await ended(tasks)
