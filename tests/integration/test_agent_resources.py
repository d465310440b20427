"""Contexts, loops, executors, transports, generators, subprocesses and descriptors."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from taskscope.attach.inject import ensure_agent
from taskscope.export.check import check
from taskscope.export.snapshot import save
from taskscope.model import Resource, Resources, requests
from taskscope.sources.live import LiveSource
from taskscope.sources.saved import SavedSource
from tests.integration.children import running, says
from tests.integration.resource_ways import ZOO
from tests.integration.test_agent_hangs import agent_of
from tests.pythons import NEWEST, require

if TYPE_CHECKING:
    from pathlib import Path

VERSIONS = ("3.11", NEWEST)


async def resources_of(version: str = "3.11") -> Resources:
    with running(ZOO, python=str(require(version))) as child:
        says(child, "standing")
        async with agent_of(child.pid) as source:
            return await source.ask(requests.Resources())


def of_kind(resources: Resources, kind: str) -> dict[str, Resource]:
    return {f"{each.name} {each.state}": each for each in resources.rows if each.kind == kind}


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_kind_is_found_with_what_decides(version: str) -> None:
    found = await resources_of(version)

    contexts = of_kind(found, "context")
    request, tenant = contexts["request unknown"], contexts["tenant unknown"]
    assert (request.count, request.users, request.detail) == (
        30,
        60,
        "Request",
    )  # each in a task and in the timer of its sleep
    assert request.each is not None
    assert 5_000 < request.each < 6_000
    assert (tenant.count, tenant.detail) == (1, "str")
    assert (tenant.users or 0) >= 31

    loops = [each for each in found.rows if each.kind == "loop"]
    assert {(each.count, each.state, each.frame and each.frame.function) for each in loops} >= {
        (3, "stopped", "open_tenant")
    }
    assert [each.count for each in loops if each.state == "running"] == [1]

    pool = of_kind(found, "executor")["render full"]
    assert (pool.count, pool.users, pool.frame and pool.frame.function) == (1, 3, "main")

    transports = of_kind(found, "transport")
    echo, kept = transports["Echo open"], transports["Kept open"]
    assert (echo.count, echo.alone, echo.inspected) == (4, 4, 4)
    assert (kept.count, kept.alone, kept.inspected) == (2, 0, 2)
    assert transports["server listening"].count == 4

    generator = of_kind(found, "generator")["count suspended"]
    assert generator.count == 3
    assert generator.frame is not None
    assert ZOO.split("\n")[generator.frame.line - 1].strip() == "yield number"

    assert of_kind(found, "subprocess")["true ended"].count == 1
    assert of_kind(found, "subprocess")["sleep running"].count == 1

    primitives = {each.name: each for each in found.rows if each.kind == "primitive" and each.frame}
    lock, queue = primitives["Lock"], primitives["Queue"]
    assert (lock.count, lock.users, lock.frame and lock.frame.function) == (1, 4, "wait_for")
    lines_of = {line: at for at, line in reversed([*enumerate(ZOO.split("\n"), 1)])}
    assert lock.detail == f"held by holder at <string>:{lines_of['    async with lock:']}"
    assert (queue.count, queue.users) == (3, 3)
    lines = primitives["Lines"]
    assert (lines.count, lines.users) == (1, 2)
    taken = lines_of["    line = await lines.take(port)"]
    assert lines.detail == f"taken, held by caller 0 at <string>:{taken}"
    assert any(name.endswith("of threads") for name in primitives)

    descriptors = [each for each in found.rows if each.kind == "descriptor"]
    assert sum(each.detail == "of the agent" for each in descriptors) >= 1
    accepted = [each.count for each in descriptors if each.detail.startswith("accepted on 127.0.0.1:")]
    assert {2, 4} <= set(accepted)


async def test_of_streams_those_whose_handler_has_returned_have_no_owner() -> None:
    streams = of_kind(await resources_of(), "transport")["StreamReaderProtocol open"]
    assert (streams.count, streams.alone, streams.inspected) == (5, 2, 5)


async def test_loops_older_than_the_agent_are_found_in_a_small_process() -> None:
    with subprocess.Popen([sys.executable, "-c", ZOO], stdout=subprocess.PIPE, text=True) as child:
        try:
            says(child, "standing")
            source = LiveSource(ensure_agent(child.pid).path)
            await source.open()
            found = await source.ask(requests.Resources())
            again = await source.ask(requests.Resources())
            await source.close()
        finally:
            child.kill()
    assert found.searched
    loops = [
        (each.count, each.frame) for each in found.rows if each.kind == "loop" and each.state == "stopped"
    ]
    assert loops == [(3, None)]
    assert [each for each in again.rows if each.kind == "loop"] == [
        each for each in found.rows if each.kind == "loop"
    ]


async def test_a_snapshot_holds_timers_and_resources(tmp_path: Path) -> None:
    with running(ZOO) as child:
        says(child, "standing")
        async with agent_of(child.pid) as source:
            whole = await source.ask(requests.Snapshot())
    path = tmp_path / "saved.json"
    save(check(whole), path)
    saved = SavedSource(str(path))
    await saved.open()
    timers = await saved.ask(requests.Timers())
    resources = await saved.ask(requests.Resources())
    assert {each.function: each.live for each in timers.groups}["print"] == 1
    assert of_kind(resources, "context")["request unknown"].count == 30
