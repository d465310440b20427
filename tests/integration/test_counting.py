"""The agent that only counts, in real free-threaded builds (``$TASKSCOPE_FREE_THREADED``)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from taskscope.attach.presence import agent_in
from taskscope.sources.live import LiveSource
from taskscope.text import found_nothing, left_out
from tests import pythons
from tests.integration.children import REPO, running, says, taskscope
from tests.tui.running import running as app_on
from tests.tui.screen_text import until_shown

FREE_THREADED = pytest.mark.parametrize("version", pythons.FREE_THREADED)

TARGET = Path(__file__).with_name("counting_target.py")

LEAKING = """
import asyncio, sys
async def forgotten(): await asyncio.Event().wait()
async def ends(): ...
async def fails(): raise ValueError
async def cancelled(): await asyncio.sleep(3600)
async def main():
    print("begun", flush=True)
    kept = [asyncio.create_task(forgotten()) for _ in range(40)]
    some = [asyncio.create_task(each()) for each in (ends,) * 25 + (fails,) * 7]
    others = [asyncio.create_task(cancelled()) for _ in range(3)]
    await asyncio.sleep(0)
    for each in others: each.cancel()
    await asyncio.gather(*some, *others, return_exceptions=True)
    print("standing", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        loop = asyncio.get_running_loop()
        print(loop.get_task_factory(), type(kept[0]) is asyncio.Task, flush=True)
        print(*(hasattr(each, "__wrapped__") for each in (asyncio.BaseEventLoop.__init__,
              asyncio.BaseEventLoop.set_task_factory, asyncio.run_coroutine_threadsafe)), flush=True)
asyncio.run(main())
"""

FORKS = """
import asyncio, os, taskscope
async def ends(): ...
async def main(): await asyncio.gather(*(asyncio.create_task(ends()) for _ in range(5)))
taskscope.start("forks")
asyncio.run(main())
if child := os.fork():
    assert os.waitpid(child, 0)[1] == 0
    taken = taskscope.snapshot()
    print(taken["sample"]["tasks"]["born"])
else:
    assert taskscope._agent is None
    asyncio.run(main())
    taskscope.start("child")
    asyncio.run(main())
    taken = taskscope.snapshot()
    print(taken["sample"]["tasks"]["born"], flush=True)
    os._exit(0)
"""
"""Each run of a loop makes eight tasks: these five, the main one, and two of asyncio's as it ends."""


def started(version: str) -> Any:
    return running(LEAKING, "--name", "counts", python=str(pythons.require(version)), stdin=subprocess.PIPE)


def by_coroutine(snapshot: dict[str, Any]) -> dict[str, dict[str, int]]:
    names = {each["id"]: each["coroutine"] for each in snapshot["sites"]}
    return {names[each["site"]]: each["counts"] for each in snapshot["sample"]["sites"]}


def counts(born: int, **ended: int) -> dict[str, int]:
    none = dict.fromkeys(("finished", "failed", "cancelled", "lost", "unseen"), 0)
    return {"live": born - sum(ended.values()), "born": born, **none, **ended}


def ran(version: str, *command: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    return subprocess.run(
        [pythons.require(version), *command], capture_output=True, text=True, check=False, env=environment
    )


@FREE_THREADED
def test_lines_and_exact_counts_are_shown_and_what_is_left_out_is_said(version: str) -> None:
    with started(version) as child:
        says(child, "begun")
        says(child, "standing")
        taken = taskscope("snapshot", str(child.pid))
        assert taken.returncode == 0
        snapshot = json.loads(taken.stdout)
        watched = taskscope("watch", str(child.pid), "--for", "2s")
        doctor = taskscope("doctor", str(child.pid))
    found = by_coroutine(snapshot)
    assert found["forgotten"] == counts(40)
    assert found["ends"] == counts(25, finished=25)
    assert found["fails"] == counts(7, failed=7)
    assert found["cancelled"] == counts(3, cancelled=3)
    lines = {each["coroutine"]: each["frame"]["line"] for each in snapshot["sites"]}
    assert lines["forgotten"] == 1 + LEAKING.splitlines().index(
        "    kept = [asyncio.create_task(forgotten()) for _ in range(40)]"
    )
    assert snapshot["process"]["python"].endswith("t")
    for said in (taken, watched):
        assert "Free-threaded Python: tasks are only counted" in said.stderr
    assert "forgotten" in watched.stdout
    assert doctor.returncode == 0
    assert "agent       already running" in doctor.stdout


@FREE_THREADED
async def test_the_app_shows_the_lines_and_why_other_views_are_empty(version: str) -> None:
    with started(version) as child:
        says(child, "begun")
        says(child, "standing")
        agent = agent_in(child.pid)
        assert agent is not None
        async with app_on(LiveSource(agent.path), (80, 24)) as (app, pilot):
            await until_shown(pilot, "Free-threaded Python: tasks are only counted")
            hello = app.context.store.hello
            assert hello is not None
            assert (found_nothing(hello), left_out(hello)) == (
                "no growth found",
                "Hangs and causes are not looked for on a free-threaded build.",
            )
            await until_shown(pilot, "    40 ")
            await pilot.press("t")
            await until_shown(
                pilot, f"Not on a free-threaded build: `taskscope attach --read-only {child.pid}`"
            )


@FREE_THREADED
def test_detach_takes_all_of_it_away(version: str) -> None:
    with started(version) as child:
        says(child, "begun")
        says(child, "standing")
        assert taskscope("detach", str(child.pid)).returncode == 0
        assert agent_in(child.pid) is None
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
        says(child, "None True")
        says(child, "False False False")


@FREE_THREADED
def test_a_forked_child_has_no_agent_and_may_start_its_own(version: str) -> None:
    done = ran(version, "-W", "ignore", "-c", FORKS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "8\n8\n", "")


@FREE_THREADED
@pytest.mark.parametrize(
    ("rounds", "options"),
    [
        (20, ()),
        (5, ("-X", "gil=1")),
        pytest.param(10_000, (), marks=[pytest.mark.soak, pytest.mark.timeout(1200)]),
    ],
    ids=["free", "with the GIL", "long"],
)
def test_no_birth_or_end_is_missed_whatever_threads_and_loops_do(
    version: str, rounds: int, options: tuple[str, ...]
) -> None:
    done = ran(version, *options, TARGET, str(rounds))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["failures"] == []
    made = told["made"]
    left = told["counted"].pop("left")
    assert (left["born"], left["live"]) == (made, 0)
    assert left["finished"] + left["unseen"] == made
    assert told["counted"] == {
        "yields": counts(made, finished=made),
        "returns": counts(made, finished=made),
        "fails": counts(made, failed=made),
        "lasts": counts(made, cancelled=made),
        "dropped": counts(made, unseen=made),
        "elsewhere": counts(made, unseen=made),
    }
    assert told["held"] == 0
