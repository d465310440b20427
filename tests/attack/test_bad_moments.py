"""Each row of the table of ``bad_moments``: the service keeps running, and the clients say what is wrong."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.attack.bad_moments import MOMENTS, Felt, Moment, outcome

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.attack,
    pytest.mark.timeout(120),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up root, and fill a disk of its own"),
]

LATE = 1.0
"""Seconds by which a heartbeat may be late on a busy machine, beside what the moment itself takes."""

FORKING = "use of fork() may lead to deadlocks"
"""CPython's own warning where there is more than one thread: the agent is one."""


@dataclass(frozen=True, slots=True)
class Expected:
    """``said``: a pattern in what ``snapshot`` says meanwhile, with ``status``, within so many ``seconds``.

    ``late``: seconds by which the moment itself delays the service; None: it is no more.
    """

    said: str = r"during\.json: 3 tasks"
    status: int = 0
    seconds: float = 20.0
    agent: str = "answers"
    late: float | None = 0.0


ROWS = {
    "no free descriptors": Expected(),
    "no free descriptors, no agent yet": Expected("left unchanged: it has no free file descriptors", 3, 10),
    "memory used up": Expected(),
    "memory used up, no agent yet": Expected(r"left unchanged: it may allocate only \d+ MB more", 3, 10),
    "no more threads, no agent yet": Expected("left unchanged: it may start no more threads", 3, 10),
    "full disk": Expected("cannot write .*: No space left on device", 3, 10),
    "stopped": Expected(r"is stopped \(kill -CONT \d+\)", 3, 5, late=60),
    "stopped, no agent yet": Expected(r"is stopped, .*kill -CONT \d+, then attach", 3, 5, late=60),
    "runs another program (exec)": Expected("not CPython", 3, 5, "does not answer", None),
    "forked a child": Expected(),
    "gave up root (setuid)": Expected(),
    "closed all descriptors": Expected(agent="answers; descriptors of the agent that the program closed: 1"),
    "loop blocked": Expected(late=12),
    "GIL held": Expected(late=12),
    "GIL held, no agent yet": Expected(late=12),
    "ten clients watch": Expected(),
    "16 clients that never read": Expected(),
}


@pytest.mark.parametrize("moment", MOMENTS, ids=[moment.name for moment in MOMENTS])
def test_in_a_bad_moment(moment: Moment, tmp_path: Path) -> None:
    expected = ROWS[moment.name]
    found = outcome(moment, tmp_path)
    assert re.search(expected.said, found.during.words), found.during
    assert found.during.status == expected.status
    assert found.during.seconds < expected.seconds
    assert found.watch.status == (0 if moment.full else expected.status), found.watch
    assert found.agent == expected.agent
    if expected.late is None:
        assert found.felt is None
        return
    assert found.after.status == 0, found.after
    assert found.detach.status == 0, found.detach
    assert isinstance(found.felt, Felt)
    assert found.felt.beats > 50
    assert found.felt.worst < expected.late + LATE
    assert [each for each in found.felt.errors if FORKING not in each and not each.startswith(" ")] == []
