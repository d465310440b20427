"""Real faults of ``tests/cases``, attached by pid: named within a minute; their repaired twins are silent.

The packages may be those of another interpreter, ``$TASKSCOPE_CASES_PYTHON``.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from taskscope.sources.base import SourceError
from taskscope.sources.resolve import resolve
from tests.corpus.program import SURE, Program, programs, shown
from tests.corpus.score import judged, started

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from taskscope.model import Finding

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

PYTHON = os.environ.get("TASKSCOPE_CASES_PYTHON", sys.executable)
CASES = programs("cases")
WITHIN = 60.0


def name_of(program: Program) -> str:
    return program.path.stem


def with_packages(case: Program) -> Program:
    lack = case.missing(PYTHON)
    if lack:
        pytest.skip(f"{case.path.stem} needs {', '.join(lack)}")
    return case


@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_a_real_fault_is_named_within_a_minute(case: Program) -> None:
    async with started(with_packages(case), PYTHON) as pid:
        if case.declared("Where") == ("outside",):
            await until_told_from_outside(case, pid)
            return
        said = await until_right(case, pid)
    assert any(case.is_right(each) for each in said), "\n\n".join(map(shown, said))


@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_of_its_repaired_twin_nothing_is_said(case: Program) -> None:
    async with started(with_packages(case), PYTHON, "--fixed") as pid:
        said = [each for each in await throughout(case, pid) if each.level in SURE or case.is_right(each)]
    assert said == []


async def watched(case: Program, pid: int) -> AsyncGenerator[tuple[Finding, ...]]:
    """What is said of the process, or of all its children, at a time, for as long as a fault may take."""
    pids = [pid] if case.declared("Where") != ("children",) else await children(pid)
    courses = [judged(each) for each in pids]
    try:
        while True:
            steps = await asyncio.gather(*(anext(each) for each in courses))
            yield tuple(finding for _, findings in steps for finding in findings)
            if min(passed for passed, _ in steps) > WITHIN:
                return
    finally:
        for each in courses:
            await each.aclose()


async def children(pid: int) -> list[int]:
    """Those of a process that has four of them."""
    while True:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if len(found) == 4:
            return [int(each) for each in found]
        await asyncio.sleep(0.1)


async def until_told_from_outside(case: Program, pid: int) -> None:
    """Until the error says why no agent gets in."""
    give_up = asyncio.get_running_loop().time() + WITHIN
    text = ""
    while not (case.is_named_in(text) and all(each in text for each in case.declared("Says"))):
        assert asyncio.get_running_loop().time() < give_up, text or "an agent got in"
        try:
            await asyncio.to_thread(resolve, str(pid))
        except SourceError as error:
            text = str(error)
        await asyncio.sleep(0.5)


async def until_right(case: Program, pid: int) -> tuple[Finding, ...]:
    """What was said as the right thing was, or at the end."""
    said: tuple[Finding, ...] = ()
    async with aclosing(watched(case, pid)) as course:
        async for said in course:
            if any(case.is_right(each) for each in said):
                break
    return said


async def throughout(case: Program, pid: int) -> list[Finding]:
    """All that was ever said."""
    async with aclosing(watched(case, pid)) as course:
        return [each async for said in course for each in said]
