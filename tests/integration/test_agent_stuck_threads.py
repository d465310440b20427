"""Which real threads nothing can wake: see ``thread_waking_ways.py``."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.agent_client import AgentClient
from tests.pythons import require, versions

WAYS = Path(__file__).with_name("thread_waking_ways.py")
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("version", versions())
def test_only_those_threads_are_called_stuck_that_nothing_can_wake(version: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    found = facts(require(version), tmp_path)
    assert len(found) > 30
    for name, each in found.items():
        reach = each.get("reach")
        stuck = reach["stuck"] if reach is not None else 0
        assert stuck == (2 if name.startswith("stuck_") else 0), name
        if name.startswith(("dropped_", "kept_")):
            assert each["unheld"] == (2 if name.startswith("dropped_") else 0), name
            assert each["looping"] == 2, name


def facts(python: Path, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """By the name of the way: what is found out about its threads."""
    child = subprocess.Popen(
        [python, WAYS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TASKSCOPE_DIR": str(tmp_path)},
    )
    with child:
        try:
            assert child.stdout is not None
            told = json.loads(child.stdout.readline())
            with AgentClient(told["agent"]) as client:
                client.ask("threads")  # what another request remembers of them must not count as a way
                client.ask("waits")
                return {name: client.ask("facts", site=site) for name, site in told["sites"].items()}
        finally:
            child.kill()
