"""Tasks that wait where a hang has them wait are no leak of their own, unless there are ever more of them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from taskscope.analysis.bystanders import without_bystanders
from taskscope.analysis.patterns.unreturned import PATTERNS
from taskscope.model import Frame, Unreturned, WaitGraph, WaitingAt

GET, JOIN = Frame("/app/mail.py", 28, "worker"), Frame("/app/mail.py", 41, "batch")
GRAPH = WaitGraph(
    100.0, unreturned=(Unreturned("items", "Queue", 3, 0.0, 1, (WaitingAt(JOIN, 1),), (WaitingAt(GET, 5),)),)
)
PROCESS: Any = SimpleNamespace(waits=GRAPH)
HANGS = [finding for each in PATTERNS for finding in each.find(PROCESS)]
IDLE = replace(HANGS[0], id=7, level="leak", kind="task", evidence={"why": "stuck"})


def site(frame: Frame, gained: int = 0) -> Any:
    return {
        7: SimpleNamespace(
            reading=SimpleNamespace(gained=gained),
            facts=SimpleNamespace(groups=(SimpleNamespace(frame=frame),)),
        )
    }


def test_a_missing_task_done_is_told_with_the_line_of_its_consumers() -> None:
    (hang,) = HANGS
    assert (hang.level, hang.site) == ("hang", JOIN)
    assert hang.cause is not None
    assert "mail.py:28" in " ".join(hang.cause.evidence)


def test_consumers_that_wait_behind_it_are_no_leak() -> None:
    assert without_bystanders([IDLE], HANGS, GRAPH, site(GET)) == []


@pytest.mark.parametrize("watched", [site(GET, gained=9), site(Frame("/app/mail.py", 99, "other"))])
def test_more_and_more_of_them_and_others_are(watched: Any) -> None:
    assert without_bystanders([IDLE], HANGS, GRAPH, watched) == [IDLE]


def test_without_a_hang_they_are() -> None:
    assert without_bystanders([IDLE], [], GRAPH, site(GET)) == [IDLE]
