"""A program that closes the agent's descriptors keeps its own, and the agent comes back."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.agent_client import AgentClient
from tests.integration import closed_descriptors
from tests.integration.children import REPO
from tests.pythons import require

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path


def closing(rounds: int, version: str, folder: Path) -> AbstractContextManager[subprocess.Popen[str]]:
    return subprocess.Popen(
        [require(version), closed_descriptors.__file__, str(rounds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPO), "TASKSCOPE_DIR": str(folder)},
    )


def reached(path: str) -> AgentClient:
    """A client of the agent, which is back within a second or two."""
    give_up = time.monotonic() + 10
    while True:
        try:
            return AgentClient(path)
        except (OSError, ValueError):
            assert time.monotonic() < give_up, "the agent has not come back"
            time.sleep(0.02)


def check(rounds: int, version: str, folder: Path) -> None:
    with closing(rounds, version, folder) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        told = json.loads(child.stdout.readline())
        assert told["faults"] == 0, told
        lost = told["drops"]["descriptors of the agent that the program closed"]
        with reached(told["path"]) as client:
            assert client.sample()["fds"]
        print(f"Python {version}: {rounds} rounds, {lost} descriptors of the agent closed, 0 faults")
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.stdout.readline() == "alive\n"
        reached(told["path"]).detach()
        assert os.listdir(folder) == []
        child.kill()


@pytest.mark.parametrize("version", ["3.11", "3.14"])
def test_it_has_no_fault_of_its_own_and_the_agent_listens_again(version: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    check(10, version, tmp_path)
