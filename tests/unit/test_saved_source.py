"""Snapshots with what no single live target has: lost parents, cycles, damage, hostile text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from taskscope import model, wire
from taskscope.export.snapshot import save
from taskscope.model import requests
from taskscope.model.snapshot import EndedParent
from taskscope.sources.base import NotAvailable, SourceError
from taskscope.sources.saved import SavedSource

if TYPE_CHECKING:
    from pathlib import Path

FRAMES = [
    ["/lib/asyncio/tasks.py", 639, "sleep", "stdlib"],
    ["/app/main.py", 7, "work", "user"],
    ["/app/main.py", 30, "start", "user"],
]


def task(serial: int, parent: int = 0, site: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "serial": serial,
        "name": f"t{serial}",
        "coroutine": "work",
        "state": "pending",
        "site": site,
        "parent": parent,
        "loop": 1,
        "birth": float(serial),
        **more,
    }


def waits_for(serial: int) -> dict[str, Any]:
    return {"stack": 1, "parked": {"wait": "task", "text": "another task", "task": serial}}


def snapshot(tasks: list[dict[str, Any]], /, **sections: Any) -> dict[str, Any]:
    process = model.Process(1, "svc", "3.11.7", "cpython", "/python", ("svc.py",), "host", "me", "/", 0.0)
    unknown = dict.fromkeys(("fds", "rss", "cpu", "loop_latency", "agent_cpu", "agent_memory"))
    counts = (model.SiteCounts(1, model.Counts(live=len(tasks))),)
    sample = model.Sample(1, 100.0, 5000.0, 1.0, model.Counts(), 1, **unknown, sites=counts)  # type: ignore[arg-type]
    start = model.Frame("/app/main.py", 30, "start")
    sites = [model.Site(1, "task", start, start, "work"), model.Site(2, "task", start, start, "other")]
    return {
        "format": "taskscope-snapshot",
        "schema": 1,
        "taskscope": "0.1.0",
        "process": wire.pack(process),
        "agent": {"since": 1.0, "interval": 1.0, "control": True, "arrived": "injected", "notes": ["late"]},
        "time": {"wall": 5000.0, "monotonic": 100.0},
        "sample": wire.pack(sample),
        "sites": wire.pack(sites),
        "site_stacks": [{"site": 1, "serial": 2, "stack": 2}],
        "frames": FRAMES,
        "stacks": [[0, 1], [1], [2]],
        "tasks": tasks,
        "threads": [],
        **sections,
    }


async def opened(folder: Path, tasks: list[dict[str, Any]], /, **sections: Any) -> SavedSource:
    path = folder / "s.json"
    save(snapshot(tasks, **sections), path)
    source = SavedSource(str(path))
    await source.open()
    return source


def shape(groups: tuple[model.TreeGroup, ...]) -> list[tuple[int, tuple[int, ...], int, bool, bool]]:
    return [(each.site, each.serials, each.children, each.ended, each.cycle) for each in groups]


async def test_the_hello_is_that_of_the_agent_and_nothing_can_be_cancelled(tmp_path: Path) -> None:
    source = await opened(tmp_path, [])
    hello = await source.open()
    assert (hello.process.name, hello.agent_since, hello.monotonic, hello.wall) == ("svc", 1.0, 100.0, 5000.0)
    assert (hello.arrived, hello.notes, hello.control) == ("injected", ("late",), False)
    assert not source.live


async def test_the_one_sample_is_full_and_then_the_samples_end(tmp_path: Path) -> None:
    source = await opened(tmp_path, [task(1)])
    samples = [each async for each in source.samples()]
    assert [(each.full, [site.id for site in each.new_sites]) for each in samples] == [(True, [1, 2])]


async def test_pages_end_exactly_where_the_list_does(tmp_path: Path) -> None:
    source = await opened(tmp_path, [task(serial) for serial in (3, 1, 2, 4)])
    first = await source.ask(requests.Tasks(limit=2))
    assert ([each.serial for each in first.tasks], first.after, first.total) == ([1, 2], 2, 4)
    second = await source.ask(requests.Tasks(limit=2, after=first.after))
    assert ([each.serial for each in second.tasks], second.after) == ([3, 4], None)
    newest = await source.ask(requests.Tasks(limit=3, order="newest"))
    assert ([each.serial for each in newest.tasks], newest.after) == ([4, 3, 2], 2)
    assert [
        each.serial for each in (await source.ask(requests.Tasks(limit=3, order="newest", after=2))).tasks
    ] == [1]
    assert await source.ask(requests.Tasks(sites=(2,))) == model.TaskPage((), 0, None)


async def test_the_parents_of_an_ended_parent_are_known(tmp_path: Path) -> None:
    parents = [EndedParent(7, 5, 2, "gone", "other"), EndedParent(5, 4, 2, "long gone", "other")]
    source = await opened(
        tmp_path, [task(8, parent=7, orphan=True), task(4)], ended_parents=wire.pack(parents)
    )
    detail = await source.ask(requests.Task(8))
    assert detail.created_by == (
        model.Ancestor(7, 2, "gone", "other", live=False),
        model.Ancestor(5, 2, "long gone", "other", live=False),
        model.Ancestor(4, 1, "t4", "work", live=True),
    )


async def test_an_ended_parent_stands_in_the_tree_as_a_ghost(tmp_path: Path) -> None:
    ended = model.Ended(7, 2, "gone", "other", "finished", "", 0.5, 50.0)
    tasks = [task(8, parent=7, orphan=True), task(9, parent=7, orphan=True), task(10, parent=6, orphan=True)]
    source = await opened(tmp_path, tasks, ended=wire.pack((ended,)))
    assert shape(await source.ask(requests.Tree("parent", None))) == [
        (2, (7,), 2, True, False),
        (0, (6,), 1, True, False),
    ]
    assert shape(await source.ask(requests.Tree("parent", 7))) == [(1, (8, 9), 0, False, False)]
    detail = await source.ask(requests.Task(8))
    assert detail.created_by == (model.Ancestor(7, 2, "gone", "other", live=False),)
    assert detail.siblings == 1
    groups = await source.ask(requests.Groups("parent"))
    assert [(each.key, each.label, each.live) for each in groups] == [
        ("2", "other", 2),
        ("-", "(a task that ended before the snapshot)", 1),
    ]


async def test_cycles_are_shown_once_and_not_followed(tmp_path: Path) -> None:
    tasks = [
        task(1, **waits_for(2)),
        task(2, **waits_for(3)),
        task(3, **waits_for(2)),
        task(4, **waits_for(5)),
        task(5, **waits_for(4)),
        task(6),
    ]
    source = await opened(tmp_path, tasks)
    roots = await source.ask(requests.Tree("await", None))
    assert shape(roots) == [(1, (1, 6), 1, False, False), (1, (4,), 1, False, True)]
    assert shape(await source.ask(requests.Tree("await", 3))) == [(1, (2,), 1, False, False)]
    detail = await source.ask(requests.Task(2))
    assert [each.serial for each in detail.awaited_by] == [1, 3]
    assert [each.serial for each in detail.waits_for] == [3]


async def test_tasks_without_stacks_or_births_are_answered_for(tmp_path: Path) -> None:
    source = await opened(tmp_path, [task(1, birth=None), task(2, **waits_for(1)), task(3, site=99)])
    assert (await source.ask(requests.Ages(None))).unknown == 1
    assert (await source.ask(requests.Task(1))).stack == ()
    assert (await source.ask(requests.Task(2))).creation_exact
    assert not (await source.ask(requests.Task(1))).creation_exact
    assert (await source.ask(requests.Task(3))).creation == ()
    assert [each.label for each in await source.ask(requests.Tree("parent", None))] == ["work", "(unknown)"]


async def test_what_created_an_older_task_is_unknown(tmp_path: Path) -> None:
    source = await opened(tmp_path, [task(1), task(2, birth=None), task(3, birth=0.5), task(4, parent=1)])
    groups = {group.label: group.live for group in await source.ask(requests.Groups("parent"))}
    assert groups == {"(created outside any task)": 1, "(before the agent)": 2, "work": 1}


async def test_a_parked_task_has_the_frames_of_its_stack(tmp_path: Path) -> None:
    parked: dict[str, Any] = {
        "stack": 0,
        "parked": {"wait": "sleep", "text": "asyncio.sleep", "remaining": 3.5},
    }
    source = await opened(tmp_path, [task(1, **parked)])
    (found,) = (await source.ask(requests.Tasks())).tasks
    assert found.parked is not None
    assert (found.parked.frame.origin, found.parked.remaining) == ("user", 3.5)
    assert found.parked.user_frame == model.Frame("/app/main.py", 7, "work")
    (group,) = await source.ask(requests.Parked(None))
    assert (group.frame.line, group.live, group.remaining_min, group.remaining_max) == (7, 1, 3.5, 3.5)


async def test_text_in_a_file_is_as_hostile_as_text_of_a_target(tmp_path: Path) -> None:
    source = await opened(tmp_path, [task(1, name="\x1b]52;c;x\x07 \u202e" + "x" * 10_000)])
    (found,) = (await source.ask(requests.Tasks())).tasks
    assert found.name.isprintable()
    assert len(found.name) <= wire.MAX_TEXT * 6


@pytest.mark.parametrize(
    "damage",
    [
        {"tasks": [{}]},
        {"tasks": [{"serial": 1}]},
        {"tasks": None},
        {"frames": [[1]]},
        {"sample": {}},
        {"process": None},
        {"sites": [{"id": "x"}]},
        {"tasks": [task(1, stack=77)]},
        {"tasks": [task(1, birth=float("nan"))]},
        {"tasks": [task(1, parked={"wait": "sleep", "text": "x", "remaining": "soon"})]},
        {"stacks": [[0, 9]]},
        {"history": {}},
        {"site_stacks": [{"site": 1, "serial": 2, "stack": -1}]},
        {"threads": [7]},
        {"findings": [{"level": "leak"}]},
    ],
)
async def test_damage_is_said_on_opening(tmp_path: Path, damage: dict[str, Any]) -> None:
    with pytest.raises(SourceError, match=r"s\.json is damaged: \w+"):
        await opened(tmp_path, [], **damage)


async def test_what_is_not_in_it_is_not_available(tmp_path: Path) -> None:
    source = await opened(tmp_path, [])
    for question in (
        source.ask(requests.Task(1)),
        source.ask(requests.Site(77)),
        source.ask(requests.Thread(1)),
        source.ask(requests.SetInterval(1.0)),
    ):
        with pytest.raises(NotAvailable):
            await question


async def test_source_comes_from_this_machine(tmp_path: Path) -> None:
    code = tmp_path / "code.py"
    code.write_text("one\n\ttwo \x1b\nthree\nfour\n")
    source = await opened(tmp_path, [])
    assert await source.ask(requests.Source(str(code), 3, 1)) == model.SourceLines(
        str(code), 2, ("        two \\x1b", "three", "four")
    )
    with pytest.raises(NotAvailable, match="is not on this machine"):
        await source.ask(requests.Source("/not/here.py", 3, 1))
