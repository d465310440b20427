"""The wait graph: what can never continue is a hang, with both lines; what only waits long is not.

Shows: deadlock, deadlocked with itself, owner gone, cannot end, cancel swallowed, output not read
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from taskscope.analysis.onset import Onset
from taskscope.analysis.patterns import deadlocks, outputs
from taskscope.analysis.patterns.cancels import PATIENCE, swallowed
from taskscope.analysis.patterns.pattern import ProcessFacts
from taskscope.attach.presence import agent_in
from taskscope.model import requests
from taskscope.sources.live import LiveSource
from tests.integration.children import running, says
from tests.integration.hang_ways import (
    CLEANS_UP,
    FORKED,
    FORKED_METHOD,
    FORKED_TURN,
    FORKED_WORKER,
    FULL,
    HANGS,
    HEALTHY,
    IN_BYTECODE,
    NOT_AWAITED,
    POLLED,
    PROGRAMS,
    SWALLOWED,
    UNREAD,
)
from tests.pythons import require

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from taskscope.model import Finding, WaitGraph


@asynccontextmanager
async def agent_of(pid: int) -> AsyncIterator[LiveSource]:
    give_up = time.monotonic() + 20
    while (point := agent_in(pid)) is None:
        assert time.monotonic() < give_up, "no agent answers"
        await asyncio.sleep(0.01)
    source = LiveSource(point.path)
    await source.open()
    try:
        yield source
    finally:
        await source.close()


def judged(graph: WaitGraph) -> list[Finding]:
    """The findings if nothing moves for another minute."""
    later = replace(graph, monotonic=graph.monotonic + 60)
    facts = ProcessFacts(0.0, (), (), (), Onset(0.0), waits=later)
    return [finding for pattern in deadlocks.PATTERNS for finding in pattern.find(facts)]


async def hang_in(source: LiveSource) -> Finding:
    give_up = time.monotonic() + 20
    while True:
        found = judged(await source.ask(requests.Waits()))
        if found:
            return found[0]
        assert time.monotonic() < give_up, "nothing is found"
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("name", "version"),
    [*((name, "3.11") for name in HANGS), *((name, "3.14") for name in IN_BYTECODE)],
)
async def test_tasks_that_can_never_continue_are_a_hang_with_its_cause(name: str, version: str) -> None:
    pattern, function, _ = HANGS[name]
    with running(PROGRAMS[name], python=str(require(version))) as child:
        says(child, "standing")
        async with agent_of(child.pid) as source:
            finding = await hang_in(source)
    assert finding.cause is not None
    assert (finding.level, finding.cause.pattern, finding.site.function) == ("hang", pattern, function)


@pytest.mark.parametrize("name", HEALTHY)
async def test_what_only_waits_is_none(name: str) -> None:
    with running(PROGRAMS[name]) as child:
        says(child, "standing")
        async with agent_of(child.pid) as source:
            for _ in range(10):
                graph = await source.ask(requests.Waits())
                assert judged(graph) == []
                await asyncio.sleep(0.1)


async def test_a_cycle_of_tasks_is_reported_with_both_lines_of_each() -> None:
    with running(PROGRAMS["tasks, two locks"]) as child:
        says(child, "standing")
        async with agent_of(child.pid) as source:
            finding = await hang_in(source)
    assert finding.text.startswith("2 tasks have waited for each other for at least ")
    assert finding.cause is not None
    lines = PROGRAMS["tasks, two locks"].split("\n")
    taken = lines.index("    async with first:") + 1
    wanted = lines.index("        async with second: pass") + 1
    steps = [line for line in finding.cause.evidence if "<string>" in line]
    assert [f":{wanted} in one" in line for line in steps] == [True, False, True, False]
    assert [f"taken at <string>:{taken} in one" in line for line in steps] == [False, True, False, True]
    assert finding.evidence["waiting"] == 1, "main waits behind them"


@pytest.mark.parametrize(
    ("name", "what"),
    [("a finaliser", "a finaliser, Dropped.__del__"), ("a signal handler", "a signal handler")],
)
async def test_what_brought_a_thread_back_to_a_lock_that_it_holds_is_named(name: str, what: str) -> None:
    with running(PROGRAMS[name]) as child:
        says(child, "standing")
        async with agent_of(child.pid) as source:
            finding = await hang_in(source)
    assert finding.cause is not None
    assert finding.cause.text.startswith(what)


@asynccontextmanager
async def agent_of_child(program: str) -> AsyncIterator[LiveSource]:
    """Of the process that ``program`` forks."""
    with running(program) as child:
        assert child.stdout is not None
        pid = int(child.stdout.readline())
        try:
            async with agent_of(pid) as source:
                yield source
        finally:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("program", "function"), [(FORKED, "want"), (FORKED_METHOD, "Shipper.add"), (FORKED_WORKER, "want")]
)
async def test_what_stayed_behind_at_the_fork_is_waited_for_without_end(program: str, function: str) -> None:
    async with agent_of_child(program) as source:
        finding = await hang_in(source)
    assert finding.cause is not None
    assert (finding.cause.pattern, finding.site.function) == ("owner gone", function)
    assert "fork" in finding.cause.text


async def test_a_lock_that_was_taken_after_the_fork_is_none() -> None:
    async with agent_of_child(FORKED_TURN) as source:
        for _ in range(10):
            assert judged(await source.ask(requests.Waits())) == []
            await asyncio.sleep(0.1)


async def test_a_slot_that_is_passed_on_during_a_look_is_held_by_nobody_who_waited() -> None:
    with running(PROGRAMS["a semaphore at its limit"]) as child:
        says(child, "standing")
        async with agent_of(child.pid) as source:
            for _ in range(150):
                assert judged(await source.ask(requests.Waits())) == []


async def test_a_task_that_swallows_cancel_while_another_waits_for_it_is_suspected() -> None:
    with running(SWALLOWED) as child:
        says(child, "standing")
        async with agent_of(child.pid) as source:
            await source.ask(requests.Waits())
            graph = await source.ask(requests.Waits())
    assert swallowed(graph) == (), "it may be cleaning up"
    (finding,) = swallowed(replace(graph, monotonic=graph.monotonic + PATIENCE))
    assert (finding.level, finding.site.function, finding.evidence["waiting"]) == ("suspect", "poll", 1)
    assert finding.cause is not None
    assert "is caught at <string>:" in finding.cause.text and " in poll, and not raised" in finding.cause.text
    assert finding.cause.evidence[-1].startswith("task Task-1 waits for its end at ")
    assert ", after calling cancel at " in finding.cause.evidence[-1]


@pytest.mark.parametrize("version", ["3.11", "3.14"])
async def test_one_that_nobody_awaits_is_suspected_if_its_code_swallows_the_request(version: str) -> None:
    for program, told in ((NOT_AWAITED, 1), (CLEANS_UP, 0)):
        with running(program, python=str(require(version))) as child:
            says(child, "standing")
            async with agent_of(child.pid) as source:
                await source.ask(requests.Waits())
                graph = await source.ask(requests.Waits())
        late = swallowed(replace(graph, monotonic=graph.monotonic + PATIENCE))
        assert len(late) == told


async def test_who_waits_behind_a_pool_that_stands_still_is_counted_by_line() -> None:
    with running(FULL) as child:
        says(child, "standing")
        async with agent_of(child.pid) as source:
            give_up = time.monotonic() + 20
            while not (graph := await source.ask(requests.Waits())).full:
                assert time.monotonic() < give_up
                await asyncio.sleep(0.1)
    (pool,) = graph.full
    assert [(each.frame.function, each.tasks) for each in pool.waiting] == [("look_up", 3)]
    assert [each.function for each in pool.submitted] == ["render"]
    assert judged(graph) == [], "its jobs may end"


async def test_a_look_wakes_no_loop_and_leaves_no_lock_taken() -> None:
    with running(PROGRAMS["a lock held across a long await"]) as child:
        says(child, "standing")
        async with agent_of(child.pid) as source:
            for _ in range(5):
                await source.ask(requests.Waits())
            tasks = await source.ask(requests.Tasks())
    assert len(tasks.tasks) == 6


def test_watch_says_hang_soon_after_attaching_and_fails() -> None:
    with running(PROGRAMS["tasks, two locks"]) as child:
        says(child, "standing")
        done = subprocess.run(
            [sys.executable, "-m", "taskscope", "watch", str(child.pid), "--for", "14s"],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1, done.stderr
    assert "HANG" in done.stdout


async def graph_of(program: str, seconds: float, version: str) -> WaitGraph:
    """The graph once something is told of a child's output, or after some seconds."""
    with running(program, python=str(require(version))) as child:
        says(child, "standing")
        async with agent_of(child.pid) as source:
            end = time.monotonic() + seconds
            while not (graph := await source.ask(requests.Waits())).unread and time.monotonic() < end:
                await asyncio.sleep(0.1)
    return graph


@pytest.mark.parametrize("version", ["3.11", "3.14"])
async def test_a_child_whose_output_nobody_reads_is_suspected_while_the_rest_goes_on(version: str) -> None:
    graph = await graph_of(UNREAD, 40, version)
    assert graph.nodes == ()
    assert outputs.unread(graph) == (), "somebody may come and read it"
    later = replace(graph, monotonic=graph.monotonic + outputs.PATIENCE)
    (finding,) = outputs.unread(later)
    assert (finding.level, finding.site.function) == ("suspect", "watch")
    pid = finding.evidence["pid"]
    assert finding.text.startswith(f"task Task-2 waits for process {pid} (python")
    assert finding.cause is not None
    assert finding.cause.evidence[-1].startswith("the pipe, at our end: fd ")


async def test_of_one_whose_pipe_is_watched_nothing_is_said() -> None:
    assert (await graph_of(POLLED, 8, "3.11")).unread == ()
