"""aiomonitor and the agent in one process, started and stopped in every order."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from taskscope.attach.presence import agent_in
from taskscope.checked import unpack
from taskscope.model import Sample
from tests.agent_client import AgentClient
from tests.integration.monitored import Child, monitored
from tests.integration.test_aiomonitor_source import HERE, line

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.packages

LEAVES = "# the site of the leaves"
SPAWN = line(LEAVES)
OLDER = 2
"""Leaves of the family that are older than the agent.

Unless a monitor recorded who started them, they are counted at the only line that was seen to start leaves.
"""
THEIRS = f"leaf()@<cwd>/tests/integration/monitored.py:{SPAWN}"


def agent(child: Child) -> AgentClient:
    give_up = time.monotonic() + 20
    while (point := agent_in(child.pid)) is None:
        assert time.monotonic() < give_up, "no agent answers"
        time.sleep(0.01)
    return AgentClient(point.path)


def leaves(packed: dict[str, Any]) -> tuple[int, int, int]:
    """Live, born and adopted at the line that starts leaves."""
    sample = unpack(Sample, packed)
    sites = {
        site.id
        for site in sample.new_sites
        if (site.frame.file, site.frame.line, site.coroutine) == (HERE, SPAWN, "leaf")
        and site.known == "exact"
    }
    found = [each for each in sample.sites if each.site in sites]
    return (
        sum(each.counts.live for each in found),
        sum(each.counts.born for each in found),
        sum(each.adopted for each in found),
    )


def settled(child: Child, live: int) -> tuple[int, int, int]:
    """What the agent counts once it has come to ``live`` leaves."""
    give_up = time.monotonic() + 10
    while True:
        with agent(child) as client:
            sample = client.sample()
            found = leaves(sample)
        assert sample["disarmed"] == []
        assert sample["tasks"]["born"] == sample["tasks"]["live"] + sum(
            sample["tasks"][how] for how in ("finished", "failed", "cancelled", "lost", "unseen")
        )
        if found[0] == live:
            return found
        assert time.monotonic() < give_up, f"{found} instead of {live} live"


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param


def skip_broken_pair(hook: str, loop: str) -> None:
    if (hook, loop) == ("hook", "uvloop") and sys.version_info >= (3, 13):
        pytest.skip("uvloop gives factories eager_start here, which aiomonitor 0.7.1's does not take")


@pytest.mark.parametrize("hook", ["hook", "plain"])
def test_the_agent_first(hook: str, loop: str) -> None:
    skip_broken_pair(hook, loop)
    with monitored(hook, "before", loop=loop) as child:
        child.do("start 7")
        assert settled(child, 7) == (7, 7, 0)
        if hook == "hook":
            assert THEIRS in child.do("locations").split()
        child.do("end 3")
        assert settled(child, 4) == (4, 7, 0)
        child.do("close")
        child.do("start 2")
        assert settled(child, 6) == (6, 9, 0)
        child.do("no agent")
        child.do("start 2")


def test_aiomonitor_first(loop: str) -> None:
    skip_broken_pair("hook", loop)
    with monitored("hook", loop=loop) as child:
        child.do("start 5")
        child.do("agent")
        child.do("start 7")
        assert settled(child, 12) == (12, 12, 5)
        assert child.do("locations").split().count(THEIRS) == 1
        child.do("no agent")
        child.do("start 1")
        assert THEIRS in child.do("locations").split()
        child.do("agent")
        child.do("end 2")
        child.do("close")
        child.do("start 3")
        assert settled(child, 14)[0] == 14


def test_what_the_monitor_recorded_is_known_of_tasks_older_than_the_agent() -> None:
    with monitored("hook") as child:
        child.do("start 2")
        child.do("agent")
        child.do("start 1")
        assert settled(child, 3) == (3, 3, 2)
        with agent(child) as client:
            born = client.hello["agent_since"]
            sites = [
                site
                for site in client.sample()["new_sites"]
                if (site["frame"]["line"], site["coroutine"]) == (SPAWN, "leaf")
            ]
            assert [site["frame"]["function"] for site in sites] == ["Program.do"]
            page = client.ask("tasks", sites=[sites[0]["id"]])
            (main,) = {task["parent"] for task in page["tasks"]}
            assert client.ask("task", serial=main)["task"]["coroutine"] == "main"
            assert sorted(task["birth"] < born for task in page["tasks"]) == [False, True, True]
            family = next(task for task in client.ask("tasks")["tasks"] if task["coroutine"] == "family")
            children = client.ask("tasks", parent=family["serial"])["tasks"]
            assert [task["coroutine"] for task in children] == ["leaf", "leaf"]
            assert family["parent"] == main
            chain = client.ask("task", serial=children[0]["serial"])["created_by"]
            assert [each["serial"] for each in chain] == [family["serial"], main]


def test_tasks_of_an_aiomonitor_without_hook_are_ours_before_and_after_it_closes() -> None:
    with monitored("plain") as child:
        child.do("agent")
        child.do("start 4")
        assert settled(child, 4 + OLDER) == (4 + OLDER, 4 + OLDER, OLDER)
        child.do("close")
        child.do("start 4")
        assert settled(child, 8 + OLDER) == (8 + OLDER, 8 + OLDER, OLDER)


def test_coroutines_and_stacks_are_the_users() -> None:
    with monitored("hook", "before") as child:
        child.do("start 1")
        with agent(child) as client:
            sample = client.sample()
            assert "Monitor._coro_wrapper" not in {site["coroutine"] for site in sample["new_sites"]}
            (site,) = (
                site["id"]
                for site in sample["new_sites"]
                if site["coroutine"] == "leaf" and site["frame"]["line"] == SPAWN
            )
            page = client.ask("tasks", sites=[site])
            task = client.ask("task", serial=page["tasks"][0]["serial"])
            assert task["task"]["coroutine"] == "leaf"
            assert task["task"]["parked"]["wait"] == "sleep"
            assert [frame["function"] for frame in task["stack"]][:2] == ["sleep", "leaf"]
            assert task["created_by"][0]["coroutine"] == "main"


def test_how_tasks_end_is_known_with_aiomonitors_factory_too() -> None:
    with monitored("hook", "before") as child:
        child.do("fail")
        child.do("churn 5")
        with agent(child) as client:
            ended = {(each["coroutine"], each["outcome"]) for each in client.ask("ended", limit=100)}
    assert {("boom", "failed"), ("leaf", "cancelled"), ("quick", "finished")} <= ended


def test_a_second_monitor_after_the_first_is_followed_as_well() -> None:
    with monitored("hook", "before") as child:
        child.do("start 1")
        child.do("close")
        child.do("start 1")
        child.do("open")
        child.do("start 1")
        assert settled(child, 3) == (3, 3, 0)
        assert THEIRS in child.do("locations").split()


def test_the_agent_leaves_nothing_behind_in_the_monitor() -> None:
    with monitored("hook", "before") as child:
        child.do("start 1")
        path = ""
        with agent(child) as client:
            path = client.path
        child.do("no agent")
        assert not os.path.exists(path)
        assert child.do("records") == "WeakKeyDictionary"
