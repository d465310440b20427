"""Which real threads nothing can wake: see ``thread_waking_ways.py``."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.agent_client import AgentClient
from tests.pythons import require

WAYS = Path(__file__).with_name("thread_waking_ways.py")
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14", "3.15"])
def test_only_those_threads_are_called_stuck_that_nothing_can_wake(version: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    found = reaches(require(version), tmp_path)
    assert len(found) > 20
    for name, reach in found.items():
        stuck = reach["stuck"] if reach is not None else 0
        assert stuck == (2 if name.startswith("stuck_") else 0), name


def reaches(python: Path, tmp_path: Path) -> dict[str, dict[str, Any] | None]:
    """By the name of the way: whether its threads can be woken."""
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
                return {
                    name: client.ask("facts", site=site).get("reach") for name, site in told["sites"].items()
                }
        finally:
            child.kill()
