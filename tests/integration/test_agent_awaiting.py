"""Which task awaits which, both ways, through everything that can lie between them; and task trees."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import taskscope
from taskscope.agent.inspect import awaiting
from taskscope.agent.inspect.walk import run
from taskscope.model import requests

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from taskscope.model.vocabulary import TreeBy


@pytest.fixture(autouse=True)
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TASKSCOPE_DIR", str(tmp_path / "run"))
    taskscope.start("awaiting", interval=60)
    yield
    taskscope.stop()


async def as_completed(task: asyncio.Task[Any]) -> None:
    for each in asyncio.as_completed([task]):
        await each


async def in_anyio(task: asyncio.Task[Any]) -> None:
    import anyio

    async def wait() -> None:
        await task

    async with anyio.create_task_group() as group:
        group.start_soon(wait)


WAYS: dict[str, Callable[[asyncio.Task[Any]], Awaitable[Any]]] = {
    "await": lambda task: task,
    "gather": lambda task: asyncio.gather(task, task),
    "nested gather": lambda task: asyncio.gather(asyncio.gather(task)),
    "wait": lambda task: asyncio.wait([task]),
    "wait_for": lambda task: asyncio.wait_for(task, 100),
    "shield": asyncio.shield,
    "shield of gather": lambda task: asyncio.shield(asyncio.gather(task)),
}


@pytest.mark.parametrize("way", WAYS)
async def test_both_ends_know_each_other(way: str) -> None:
    async def end() -> None:
        await asyncio.Event().wait()

    async def start(task: asyncio.Task[Any]) -> None:
        await WAYS[way](task)

    last = asyncio.create_task(end())
    first = asyncio.create_task(start(last))
    await asyncio.sleep(0.01)
    assert awaiting.waited_tasks(first) == [last] or awaiting.waited_tasks(first) == [last, last]
    assert awaiting.awaiting_tasks(last) == [first]
    assert awaiting.waited_tasks(last) == []
    for task in (last, first):
        task.cancel()
    await asyncio.wait([last, first])


async def until(condition: Callable[[], bool]) -> None:
    """Lets the loop run until that holds, for 10 s at most: a library may still be imported."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


def is_parked(task: object) -> bool:
    return bool(awaiting.waited_tasks(task))


async def test_groups_wait_for_their_tasks() -> None:
    async def end() -> None:
        await asyncio.Event().wait()

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(end(), name="in group")

    last = asyncio.create_task(end())
    owners = [asyncio.create_task(each) for each in (group(), in_anyio(last), as_completed(last))]
    await until(
        lambda: all(is_parked(each) for each in owners) and is_parked(awaiting.waited_tasks(owners[1])[0])
    )
    inside = next(task for task in asyncio.all_tasks() if task.get_name() == "in group")
    assert awaiting.waited_tasks(owners[0]) == [inside]
    assert awaiting.awaiting_tasks(inside) == [owners[0]]
    (spawned,) = awaiting.waited_tasks(owners[1])
    assert awaiting.waited_tasks(spawned) == [last]
    assert owners[1] in awaiting.awaiting_tasks(spawned)
    assert awaiting.waited_tasks(owners[2]) == [last]
    assert {*awaiting.awaiting_tasks(last)} == {spawned, owners[2]}
    everybody = [*owners, last]
    for task in everybody:
        task.cancel()
    await asyncio.wait(everybody)


def tree(by: TreeBy, of: int | None = None) -> list[Any]:
    assert taskscope._agent is not None
    return list(run(taskscope._agent.queries.tree(requests.Tree(by, of))))


async def test_the_await_tree_shows_cycles_and_does_not_refuse_them() -> None:
    tasks: dict[str, asyncio.Task[None]] = {}

    async def waits_for(name: str) -> None:
        await asyncio.sleep(0)
        await asyncio.wait([tasks[name]])  # awaited directly, CPython could not cancel them

    async def outside() -> None:
        await asyncio.Event().wait()

    tasks["a"] = asyncio.create_task(waits_for("b"))
    tasks["b"] = asyncio.create_task(waits_for("a"))
    tasks["c"] = asyncio.create_task(outside())
    await asyncio.sleep(0.01)
    serials = {name: task._taskscope_serial for name, task in tasks.items()}  # type: ignore[attr-defined]
    (cycle,) = [group for group in tree("await") if group.cycle]
    assert set(cycle.serials) < {serials["a"], serials["b"]}
    assert (cycle.live, cycle.children) == (1, 1)
    (alone,) = [group for group in tree("await") if group.label.endswith("outside")]
    assert (alone.live, alone.children, alone.cycle) == (1, 0, False)
    (inner,) = tree("await", serials["a"])
    assert inner.serials == (serials["b"],)
    for task in tasks.values():
        task.cancel()
    await asyncio.wait(tasks.values())


async def test_a_cycle_that_another_task_awaits_is_below_that_task() -> None:
    tasks: dict[str, asyncio.Task[None]] = {}

    async def waits_for(*names: str) -> None:
        await asyncio.sleep(0)
        await asyncio.wait([tasks[name] for name in names])

    for name, others in {"a": "b", "b": "a", "root": "ac", "c": "c"}.items():
        tasks[name] = asyncio.create_task(waits_for(*others), name=name)
    await asyncio.sleep(0.01)
    serials = {name: task._taskscope_serial for name, task in tasks.items()}  # type: ignore[attr-defined]
    (root,) = [group for group in tree("await") if serials["root"] in group.serials]
    assert (root.serials, root.children, root.cycle) == ((serials["root"],), 2, False)
    assert not [group for group in tree("await") if group.cycle]
    (below,) = tree("await", serials["root"])
    assert (below.serials, below.children) == ((serials["a"], serials["c"]), 2)
    (inner,) = tree("await", serials["a"])
    assert (inner.serials, inner.children) == ((serials["b"],), 1)
    assert tree("await", max(serials.values()) + 1000) == []
    for task in tasks.values():
        task.cancel()
    await asyncio.wait(tasks.values())


async def test_the_parent_tree_folds_siblings_and_keeps_ghosts() -> None:
    gate = asyncio.Event()

    async def leaf() -> None:
        await gate.wait()

    async def owner() -> None:
        leaves.extend(asyncio.create_task(leaf()) for _ in range(3))

    async def keeper() -> None:
        leaves.extend(asyncio.create_task(leaf()) for _ in range(70))
        await gate.wait()

    async def root() -> None:
        for _ in range(2):
            await asyncio.create_task(owner())
        leaves.append(asyncio.create_task(keeper()))
        await gate.wait()

    leaves: list[asyncio.Task[None]] = []
    top = asyncio.create_task(root())
    while len(leaves) < 77:
        await asyncio.sleep(0)
    serial = top._taskscope_serial  # type: ignore[attr-defined]
    labels = {group.label.rpartition(".")[2]: group for group in tree("parent")}
    ghosts = labels["owner"]
    assert (ghosts.ended, ghosts.live, ghosts.children, len(ghosts.serials)) == (True, 0, 6, 2)
    (kept,) = [group for group in tree("parent", serial) if group.live]
    assert (kept.label.rpartition(".")[2], kept.live, kept.children) == ("keeper", 1, 70)
    (folded,) = tree("parent", kept.serials[0])
    assert (folded.live, len(folded.serials)) == (70, 50)
    (orphans,) = tree("parent", ghosts.serials[0])
    assert orphans.live == 3
    gate.set()
    await asyncio.wait([top, *leaves])
