"""Attaching in the kernels and containers of production: it works, or says why not, and leaves nothing.

The whole: ``pytest tests/machine -m "machine or not machine" -n 0``, as root; the table that it checks:
``python -m tests.machine.environments``.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from taskscope.attach import privilege
from tests.machine.environment import PYTHON, REPO, USER, Missing, observed, shelf
from tests.machine.environments import from_machine
from tests.machine.here import HERE, hidepid
from tests.machine.linux import NoMachineError
from tests.machine.there import THERE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.machine.environment import Environment

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="takes root")

QUICK = {"not dumpable", "hidepid=2, another user's", "nowhere to write"}
"""Those that run with every suite."""


@pytest.fixture(scope="module")
def readable() -> Iterator[Path]:
    with shelf() as folder:
        yield folder


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param(each, id=each.name, marks=() if each.name in QUICK else pytest.mark.machine)
        for each in HERE
    ],
)
def test_attaching_works_or_says_why_not(environment: Environment, readable: Path) -> None:
    try:
        row = observed(environment, readable)
    except Missing as missing:
        pytest.skip(str(missing))
    assert not row.problem, row.says


def test_ps_says_that_processes_are_hidden(readable: Path) -> None:
    command = [*hidepid(2, *USER), PYTHON, "-S", "-m", "taskscope", "ps"]
    environment = {"PYTHONPATH": str(readable), "PATH": os.environ["PATH"]}
    told = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)
    assert (told.returncode, told.stderr) == (0, f"taskscope ps: {privilege.HIDDEN}\n")


def test_the_documented_table_has_each_of_them() -> None:
    text = (REPO / "taskscope/ARCHITECTURE.md").read_text()
    table = text.partition("| environment | attaching |\n|---|---|\n")[2].partition("\n\n")[0]
    named = [line.split("|")[1].strip() for line in table.splitlines()]
    assert named == [each.name for each in (*HERE, *THERE)]


@pytest.mark.machine
@pytest.mark.timeout(2400)
def test_likewise_in_a_machine_of_its_own() -> None:
    try:
        found = from_machine(print)
    except NoMachineError as problem:
        pytest.skip(str(problem))
    assert [each.name for each in found] == [each.name for each in THERE]
    assert not [row for row in found if row.problem]
