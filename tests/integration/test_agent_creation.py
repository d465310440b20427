"""Every way to make a task, on every kind of loop and factory: the site is the line that did it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.packages import require as require_packages
from tests.pythons import NEWEST, installed, require, versions

WAYS = Path(__file__).with_name("creation_ways.py")
ROOT = Path(__file__).parents[2]
MODES = ("default", "foreign-before", "foreign-after", "eager", "uvloop")

_MARKS = {
    line.rpartition("# @")[2].strip(): number
    for number, line in enumerate(WAYS.read_text().splitlines(), 1)
    if "# @" in line
}
_FROM_ANYIO = {"anyio_start_soon", "anyio_scope", "anyio_start", "anyio_from_thread"}
_BY_THE_LOOP = {
    "call_soon_direct": ("asyncio/base_events.py", "BaseEventLoop.create_task"),
    "call_later_direct": ("asyncio/tasks.py", "ensure_future"),
    "handler": ("asyncio/streams.py", "StreamReaderProtocol.connection_made"),
}
"""Where no line of the program's asked for the task, a callback of the loop's did: named is the coroutine."""
_BY_UVLOOP = _BY_THE_LOOP | {"call_soon_direct": ("asyncio/runners.py", "Runner.run")}
"""uvloop's own functions have no frames: the last one before them."""
_COROUTINES = {"anyio_start": "started_by_anyio.anyio_start", "other_loop": "way_of.other_loop"}
_NOT_TASKS = {"main", "second_thread", "fails"}
_PAST_FACTORIES = "constructed"
"""Made by ``asyncio.Task``: seen as it is born up to Python 3.13, found by a search later."""


def _run(
    python: Path | str, mode: str, tmp_path: Path, *options: str, packages: Path | str = ""
) -> dict[str, Any]:
    path = os.pathsep.join([str(ROOT), str(packages)])
    environment = os.environ | {"PYTHONPATH": path, "TASKSCOPE_DIR": str(tmp_path)}
    tmp_path.chmod(0o700)
    done = subprocess.run(
        [python, "-W", "error", WAYS, mode, *options],
        capture_output=True,
        text=True,
        timeout=50,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    snapshot: dict[str, Any] = json.loads(done.stdout)
    return snapshot


def _lines(snapshot: dict[str, Any]) -> dict[str, int]:
    """Coroutine → line of its site, for sites in the child's file."""
    here = [site for site in snapshot["sites"] if site["frame"]["file"] == str(WAYS)]
    return {site["coroutine"]: site["frame"]["line"] for site in here}


def _check(
    snapshot: dict[str, Any], absent: set[str], by_the_loop: dict[str, tuple[str, str]] = _BY_THE_LOOP
) -> None:
    found = _lines(snapshot)
    sites = {site["coroutine"]: site for site in snapshot["sites"]}
    for name, (file, function) in by_the_loop.items():
        frame, via = sites[name]["frame"], sites[name]["via"]
        assert (frame["file"], frame["function"]) == (str(WAYS), name)
        assert sites[name]["user_frame"] == frame, name
        assert via["file"].endswith(file), name
        assert via["function"] == function, name
    for name, line in _MARKS.items():
        if name not in absent | _NOT_TASKS | {_PAST_FACTORIES}:
            assert found.get(_COROUTINES.get(name, name)) == line, name
    assert found["other_thread"] == _MARKS["second_thread"]
    counts = {each["site"]: each["counts"] for each in snapshot["sample"]["sites"]}
    for site in snapshot["sites"]:
        numbers = counts[site["id"]]
        ended = sum(numbers[outcome] for outcome in ("finished", "failed", "cancelled", "lost", "unseen"))
        assert numbers["born"] == numbers["live"] + ended
    living = {task["coroutine"] for task in snapshot["tasks"]}
    expected = set(_MARKS) - absent - _NOT_TASKS
    assert living >= {_COROUTINES.get(name, name) for name in expected} | set(by_the_loop)
    constructed = sites[_PAST_FACTORIES]
    if tuple(map(int, snapshot["process"]["python"].split(".")[:2])) < (3, 14):
        assert (constructed["known"], found[_PAST_FACTORIES]) == ("exact", _MARKS[_PAST_FACTORIES])
    else:
        assert constructed["known"] == "unknown"
    assert snapshot["sample"]["disarmed"] == []
    assert snapshot["sample"]["dropped"] == {}


@pytest.mark.parametrize("mode", MODES)
def test_sites_of_all_ways(mode: str, tmp_path: Path) -> None:
    if mode == "eager" and sys.version_info < (3, 12):
        pytest.skip("eager tasks came with 3.12")
    snapshot = _run(sys.executable, mode, tmp_path, "anyio")
    absent = set() if mode == "foreign-after" else {"foreign"}
    if sys.version_info >= (3, 12):
        absent.add("wait_for")  # it makes no task of its own any more
    _check(snapshot, absent, _BY_UVLOOP if mode == "uvloop" else _BY_THE_LOOP)


@pytest.mark.parametrize("mode", ["uvloop", "eager"])
def test_sites_on_the_newest_python_with_anyio(mode: str, tmp_path: Path) -> None:
    packages = require_packages(NEWEST, "anyio", "uvloop")
    snapshot = _run(installed()[NEWEST], mode, tmp_path, "anyio", packages=packages)
    _check(snapshot, {"foreign", "wait_for"}, _BY_UVLOOP if mode == "uvloop" else _BY_THE_LOOP)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
def test_anyio_under_an_eager_factory(tmp_path: Path) -> None:
    _check(_run(sys.executable, "eager", tmp_path, "anyio"), {"foreign", "wait_for"})


@pytest.mark.parametrize("version", versions())
@pytest.mark.parametrize("mode", ["default", "foreign-after", "eager"])
def test_sites_on_other_versions(mode: str, version: str, tmp_path: Path) -> None:
    python = require(version)
    if mode == "eager" and version == "3.11":
        pytest.skip("eager tasks came with 3.12")
    snapshot = _run(python, mode, tmp_path)
    absent = _FROM_ANYIO if mode == "foreign-after" else _FROM_ANYIO | {"foreign"}
    if version != "3.11":
        absent = absent | {"wait_for"}
    _check(snapshot, absent)


def test_details_of_one_run(tmp_path: Path) -> None:
    snapshot = _run(sys.executable, "foreign-after", tmp_path)
    tasks = {task["coroutine"]: task for task in snapshot["tasks"]}
    assert tasks["create_task"]["name"] == "named"
    assert tasks["create_task"]["parent"] == tasks["main"]["serial"]
    assert tasks["stubborn"]["cancelling"] == 1
    assert tasks["create_task"]["parked"]["wait"] == "event"
    frames, stacks = snapshot["frames"], snapshot["stacks"]
    functions = [frames[index][2] for index in stacks[tasks["create_task"]["stack"]]]
    assert functions == ["Event.wait", "live", "create_task"]
    failed = [ended for ended in snapshot["ended"] if ended["coroutine"] == "fails"]
    assert [(ended["outcome"], ended["error"]) for ended in failed] == [("failed", "LookupError")]
    assert {loop["live"] for loop in snapshot["loops"]} == {2, len(snapshot["tasks"]) - 2}
