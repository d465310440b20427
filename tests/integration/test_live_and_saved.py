"""A live agent and the snapshot taken from it give the same answers to the same questions."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar

import jsonschema
import pytest

from taskscope.attach.presence import agent_in
from taskscope.export import snapshot as files_of_snapshots
from taskscope.model import requests
from taskscope.model.vocabulary import GROUPS, TREES
from taskscope.sources.base import NotAvailable, SourceError, TargetGone
from taskscope.sources.live import LiveSource
from taskscope.sources.resolve import agent_of, resolve
from taskscope.sources.saved import SavedSource
from tests.integration.children import GROWING, STANDING, running, says

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from taskscope.sources.base import Source

T = TypeVar("T")


@pytest.fixture(scope="module")
def pid() -> Iterator[int]:
    with running(STANDING) as child:
        says(child, "standing")
        yield child.pid


@pytest.fixture
async def live(pid: int) -> AsyncIterator[LiveSource]:
    source = LiveSource(agent_of(pid, inject=False).path)
    await source.open()
    yield source
    await source.close()


@pytest.fixture
async def saved(live: LiveSource, tmp_path: Path) -> AsyncIterator[SavedSource]:
    path = tmp_path / "standing.json.gz"
    files_of_snapshots.save(await live.ask(requests.Snapshot()), path)
    source = resolve(str(path))
    assert isinstance(source, SavedSource)
    await source.open()
    yield source
    await source.close()


async def pages(source: Source, limit: int, **which: Any) -> list[Any]:
    """Every task, page by page."""
    found: list[Any] = []
    after = None
    while True:
        page = await source.ask(requests.Tasks(limit=limit, after=after, **which))
        assert len(page.tasks) <= limit
        found += page.tasks
        after = page.after
        if after is None:
            assert len(found) == page.total
            return found


def still(value: T) -> T:
    """``value`` without what changes from moment to moment: the time left to sleep."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(still, value))
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    moving = {"remaining", "remaining_min", "remaining_max", "cpu"}
    changed = {
        field.name: None if field.name in moving else still(getattr(value, field.name))
        for field in dataclasses.fields(value)
    }
    return dataclasses.replace(value, **changed)


async def sites(source: Source) -> dict[str, int]:
    """Site numbers by coroutine."""
    sample = await anext(source.samples())
    assert sample.full
    return {site.coroutine: site.id for site in sample.new_sites if site.kind == "task"}


async def test_the_snapshot_keeps_to_its_schema(live: LiveSource) -> None:
    schema = json.loads(files("taskscope.export").joinpath("snapshot.schema.json").read_text())
    for stacks in (True, False):
        taken = await live.ask(requests.Snapshot(stacks=stacks))
        jsonschema.Draft202012Validator(schema).validate(taken)
        assert len(taken["tasks"]) == 324


async def test_both_say_who_they_are(live: LiveSource, saved: SavedSource, pid: int) -> None:
    hello = await saved.open()
    assert hello.process.pid == pid
    assert not hello.control


async def test_both_have_the_same_sites(live: LiveSource, saved: SavedSource) -> None:
    assert await sites(live) == await sites(saved)
    for site in (await sites(live)).values():
        assert still(await live.ask(requests.Site(site))) == still(await saved.ask(requests.Site(site)))


@pytest.mark.parametrize("order", ["oldest", "newest"])
async def test_both_list_the_same_tasks(live: LiveSource, saved: SavedSource, order: str) -> None:
    for limit in (1000, 97):
        ours, theirs = await pages(saved, limit, order=order), await pages(live, limit, order=order)
        assert still(ours) == still(theirs)
        assert len(ours) == 324
    sleepers = (await sites(live))["sleeper"]
    some = await pages(live, 50, order=order, sites=(sleepers,))
    assert still(some) == still(await pages(saved, 50, order=order, sites=(sleepers,)))
    main = (await live.ask(requests.Tasks(limit=1))).tasks[0]
    of_main = await pages(live, 50, order=order, parent=main.serial)
    assert still(of_main) == still(await pages(saved, 50, order=order, parent=main.serial))
    assert len(of_main) == 322


async def test_both_describe_a_task_alike(live: LiveSource, saved: SavedSource) -> None:
    every = await pages(live, 1000)
    for task in [*every[:3], *every[-5:]]:
        theirs, ours = await live.ask(requests.Task(task.serial)), await saved.ask(requests.Task(task.serial))
        theirs = dataclasses.replace(theirs, fate=None, woken_by="")
        assert still(ours) == still(theirs)  # nor what can wake a task
        assert bool(ours.created_by) == bool(theirs.created_by)


async def test_both_say_where_tasks_are_parked(live: LiveSource, saved: SavedSource) -> None:
    ours, theirs = await saved.ask(requests.Parked(None)), await live.ask(requests.Parked(None))
    assert still(ours) == still(theirs)
    assert sum(group.live for group in ours) == 324
    least, most = ours[0].remaining_min, ours[0].remaining_max
    assert least is not None and most is not None and 0 < least <= most <= 3600
    for group in theirs:
        there, here = await pages(live, 400, parked=group.key), await pages(saved, 400, parked=group.key)
        assert still(there) == still(here)
        assert len(there) == group.live


async def test_both_group_and_grow_the_same_trees(live: LiveSource, saved: SavedSource) -> None:
    for by in GROUPS:
        assert still(await live.ask(requests.Groups(by))) == still(await saved.ask(requests.Groups(by)))
    for tree in TREES:
        roots = await live.ask(requests.Tree(tree, None))
        assert still(roots) == still(await saved.ask(requests.Tree(tree, None)))
        for serial in {serial for root in roots for serial in root.serials}:
            assert still(await live.ask(requests.Tree(tree, serial))) == still(
                await saved.ask(requests.Tree(tree, serial))
            )


async def test_both_count_ages_threads_loops_and_ended_tasks(live: LiveSource, saved: SavedSource) -> None:
    ages = await saved.ask(requests.Ages(None))
    assert sum(ages.counts) + ages.unknown == 324
    assert ages.edges == (await live.ask(requests.Ages(None))).edges
    names = {thread.name for thread in await saved.ask(requests.Threads())}
    assert names == {thread.name for thread in await live.ask(requests.Threads())} >= {"MainThread", "idle"}
    for thread in await saved.ask(requests.Threads()):
        if thread.name == "idle":
            assert still(await saved.ask(requests.Thread(thread.ident))) == still(
                await live.ask(requests.Thread(thread.ident))
            )
    assert await saved.ask(requests.Ended(10)) == await live.ask(requests.Ended(10))
    assert [loop.id for loop in await saved.ask(requests.Loops())] == [
        loop.id for loop in await live.ask(requests.Loops())
    ]


async def test_both_remember_the_past(live: LiveSource, saved: SavedSource) -> None:
    past = await saved.ask(requests.History(1e9))
    assert past.times == tuple(sorted(past.times))
    assert len({len(getattr(past, name)) for name in past.__slots__}) == 1
    assert len((await saved.ask(requests.History(0.0))).times) <= 1
    every = tuple((await sites(saved)).values())
    assert {each.site for each in await saved.ask(requests.SiteHistory(every, 1e9))} == set(every)


async def test_a_snapshot_says_what_it_cannot_do(saved: SavedSource) -> None:
    for question in (
        saved.ask(requests.SetInterval(1)),
        saved.ask(requests.Task(10**9)),
        saved.ask(requests.Site(10**9)),
        saved.ask(requests.Thread(1)),
    ):
        with pytest.raises(NotAvailable):
            await question
    with pytest.raises(NotAvailable, match="a snapshot contains no source"):
        await saved.ask(requests.Source("/nowhere/at/all.py", 1, 5))


async def test_samples_come_at_the_interval_that_was_set(live: LiveSource) -> None:
    await live.ask(requests.SetInterval(0.1))
    samples = live.samples()
    first = await anext(samples)
    assert first.full and first.sites
    async with asyncio.timeout(5):
        following = [await anext(samples) for _ in range(5)]
    assert [each.interval for each in following[-2:]] == [0.1, 0.1]
    await live.ask(requests.SetInterval(1.0))


async def test_the_end_of_a_real_target() -> None:
    with running(GROWING) as child:
        source = LiveSource(agent_of(child.pid, inject=False).path)
        await source.open()
        samples = source.samples()
        await anext(samples)
        child.kill()
        with pytest.raises(TargetGone):
            async for _ in samples:
                pass
        with pytest.raises(TargetGone):
            await source.ask(requests.Threads())
        await source.close()


async def test_detaching_leaves_the_program_running() -> None:
    with running(GROWING) as child:
        source = LiveSource(agent_of(child.pid, inject=False).path)
        await source.open()
        await source.detach()
        with pytest.raises(SourceError):
            await source.ask(requests.Threads())
        await source.close()
        assert child.poll() is None
        async with asyncio.timeout(5):
            while agent_in(child.pid) is not None:
                await asyncio.sleep(0.01)
        with pytest.raises(SourceError, match="no agent in process"):
            agent_of(child.pid, inject=False)
