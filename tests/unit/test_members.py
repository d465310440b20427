"""The processes of a group in words."""

from __future__ import annotations

from taskscope.export.members import refusals
from taskscope.model.members import Member


def refused(pid: int, why: str) -> Member:
    return Member(pid, "", "", "", 0, "refused", why, 0.0)


def test_a_reason_of_many_processes_is_said_once_with_the_first_of_them() -> None:
    every = [refused(pid, f"no permission to inspect process {pid}") for pid in range(11, 31)]
    assert refusals(every[:1]) == "no permission to inspect process 11"
    assert refusals([*every, refused(0, "no agent is named 'x'")]) == (
        "no permission to inspect process 11 (and so for 19 more: 12, 13, 14, 15, 16, 17, 18, 19, …); "
        "no agent is named 'x'"
    )
