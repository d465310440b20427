"""Loops of all kinds: short-lived ones by the hundred, other classes, other tasks, a notebook's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.packages import require
from tests.pythons import require as require_python
from tests.pythons import versions

WAYS = Path(__file__).with_name("loop_ways.py")
ROOT = Path(__file__).parents[2]
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
RUNS = 300


def run(command: list[Any], tmp_path: Path, *path: Path) -> Any:
    tmp_path.chmod(0o700)
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=50,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(map(str, [ROOT, *path])), "TASKSCOPE_DIR": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("version", versions())
def test_every_task_of_every_loop_is_accounted_for(version: str, tmp_path: Path) -> None:
    answer = run([require_python(version), "-W", "error", WAYS], tmp_path)
    kinds, snapshot = answer["kinds"], answer["snapshot"]
    assert answer["most"] < 200, "loops that are closed pile up"
    assert snapshot["loops"] == []
    totals: dict[str, dict[str, int]] = {}
    counts = {each["site"]: each["counts"] for each in snapshot["sample"]["sites"]}
    for site in snapshot["sites"]:
        numbers = counts[site["id"]]
        ended = sum(numbers[how] for how in ("finished", "failed", "cancelled", "lost", "unseen"))
        assert numbers["born"] == numbers["live"] + ended
        total = totals.setdefault(site["coroutine"], dict.fromkeys(numbers, 0))
        for how, number in numbers.items():
            total[how] += number
    for name, how, number in (
        ("short", "finished", RUNS + 1),
        ("ends", "finished", 2 * (RUNS + 1) + len(kinds)),
        ("fails", "failed", len(kinds)),
        ("stays", "cancelled", RUNS + 1 + len(kinds)),
    ):
        assert (totals[name][how], totals[name]["born"], totals[name]["live"]) == (number, number, 0), name
    assert {name: kind["class"] for name, kind in kinds.items()} == {
        name: {"slotted": "Slotted", "plain": "Plain", "eager slotted": "Slotted"}.get(name, "Task")
        for name in kinds
    }
    for name, kind in kinds.items():
        assert kind["tasks"] == [["named", "stays"]], name
        assert [loop.rpartition(".")[2] == "Loop" for loop in kind["loops"]] == [
            name in {"plain", "none", "eager slotted"}
        ], name
    assert (snapshot["sample"]["disarmed"], snapshot["sample"]["dropped"]) == ([], {})


NOTEBOOK = """
    import json, sys
    from jupyter_client import KernelManager

    def execute(code):
        said = []
        answer = client.execute_interactive(code, timeout=30, output_hook=said.append)
        assert answer["content"]["status"] == "ok", answer
        return "".join(message["content"].get("text", "") for message in said)

    manager = KernelManager()
    manager.kernel_spec.argv[0] = sys.executable
    manager.start_kernel(stderr=sys.stderr)
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=30)
    try:
        execute("import taskscope; taskscope.start('notebook')")
        execute("import asyncio\\nasync def job():\\n    await asyncio.sleep(60)")
        execute("first = asyncio.create_task(job())")
        execute("await asyncio.sleep(0)\\n\\nmore = asyncio.ensure_future(job())")
        print(execute("import json; print(json.dumps(taskscope.snapshot()))"))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
"""


def test_a_task_of_a_notebook_has_the_line_of_its_cell(tmp_path: Path) -> None:
    packages = require(HERE, "ipykernel", "jupyter_client")
    snapshot = run([require_python(HERE), "-c", textwrap.dedent(NOTEBOOK)], tmp_path, packages)
    sites = [site for site in snapshot["sites"] if site["coroutine"] == "job"]
    found = [(Path(site["frame"]["file"]).parts[-2][:9], site["frame"]["line"]) for site in sites]
    assert found == [("ipykernel", 1), ("ipykernel", 3)]
    assert all(site["user_frame"] == site["frame"] and site["frame"]["origin"] == "user" for site in sites)
    jobs = [task for task in snapshot["tasks"] if task["coroutine"] == "job"]
    assert len(jobs) == 2
    assert {task["loop"] for task in jobs} <= {loop["id"] for loop in snapshot["loops"] if loop["running"]}
