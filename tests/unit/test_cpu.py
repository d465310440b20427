"""Slices of CPU are summed up by what runs, with its hottest line, and as a tree of calls."""

from __future__ import annotations

from taskscope.analysis.cpu import KEPT, CpuProfile, folded
from taskscope.model import CpuSlice, CpuStack, CpuThread, Frame

HANDLE = Frame("/app/api.py", 10, "handle")
PARSE = Frame("/app/parse.py", 40, "parse")
PARSE_LATER = Frame("/app/parse.py", 44, "parse")
LOADS = Frame("/usr/lib/python3.11/json/__init__.py", 300, "loads", "stdlib")
RUN = Frame("/app/pool.py", 5, "run")
FRAMES = (HANDLE, PARSE, LOADS, RUN, PARSE_LATER)
THREADS = (
    CpuThread(1, "MainThread", 0.7),
    CpuThread(2, "pool", 0.1),
    CpuThread(9, "agent", 0.01, agent=True),
)
STACKS = (
    CpuStack(1, 3, "handle", True, 0.4, 20, (0, 1, 2)),
    CpuStack(1, 3, "handle", True, 0.1, 5, (0, 4)),
    CpuStack(1, 0, "deliver", True, 0.2, 10, ()),
    CpuStack(2, 0, "", False, 0.1, 5, (3,)),
)


def part(time: float = 0.0) -> CpuSlice:
    return CpuSlice(time, 1.0, 50, 0.91, 0.01, FRAMES, THREADS, STACKS, 0.0)


def profile(slices: int = 2) -> CpuProfile:
    found = CpuProfile()
    for time in range(slices):
        found.add(part(time))
    return found


def test_what_runs_is_listed_by_cpu_with_the_users_hottest_line() -> None:
    rows = [(each.key, round(each.seconds, 2), each.line) for each in profile().work()]
    assert rows == [
        ((3, "handle", 0), 1.0, PARSE),
        ((0, "deliver", 0), 0.4, None),
        ((0, "", 2), 0.2, RUN),
    ]


def test_shares_are_of_the_last_half_minute_and_native_threads_are_what_is_left() -> None:
    found = profile(2 * KEPT)
    assert (found.seconds, found.looks) == (KEPT, 50 * KEPT)
    assert round(found.used, 3) == 0.91
    assert round(found.cost, 3) == 0.01
    assert round(found.elsewhere, 3) == 0.1
    assert found.names()[2] == "pool"


def test_the_tree_has_what_runs_on_top_and_merges_the_lines_of_a_function() -> None:
    root = profile(1).tree()
    assert round(root.seconds, 3) == 0.8
    handle = root.calls[repr((3, "handle", 0))].calls["handle /app/api.py"]
    (parse,) = handle.calls.values()
    assert parse.frame == PARSE
    assert (round(handle.seconds, 3), round(parse.seconds, 3), round(parse.own, 3)) == (0.5, 0.5, 0.1)
    assert [round(each.seconds, 3) for each in profile(1).tree((0, "deliver", 0)).calls.values()] == [0.2]


def test_it_is_written_in_the_form_that_other_tools_read() -> None:
    only = profile(1).tree((3, "handle", 0))
    for call in only.calls.values():
        call.name = "api.py:10"
    assert sorted(folded(only)) == [
        "api.py:10;handle;parse 100000",
        "api.py:10;handle;parse;loads 400000",
    ]


def test_without_slices_there_is_nothing() -> None:
    empty = CpuProfile()
    assert (empty.work(), empty.used, empty.cost, empty.elsewhere, empty.tree().calls) == (
        [],
        0.0,
        0.0,
        0.0,
        {},
    )
