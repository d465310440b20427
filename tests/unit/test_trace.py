"""Recordings and snapshots as traces: by the rules of the format, and with what they know."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from taskscope import model, wire
from taskscope.export.trace import Span, Trace
from taskscope.export.trace_stream import TraceStream
from taskscope.model.snapshot import Agent, Times
from taskscope.sources.recorded import RecordedSource
from taskscope.sources.traced import RecordedTrace
from tests.recordings import record
from tests.trace_format import Events, check
from tests.tui.fake_source import BOOT, EXECUTOR, WALL, FakeSource

if TYPE_CHECKING:
    from pathlib import Path

PROCESS = FakeSource().process
STARTED = PROCESS.started_wall
SITE = model.Site(1, "task", EXECUTOR, EXECUTOR, "decay_after")
STACK = (model.Frame("/srv/a.py", 3, "compute"), EXECUTOR)


def written(fill: Any) -> Events:
    """The events that ``fill`` has a trace write."""
    parts: list[bytes] = []
    trace = Trace(parts.append, PROCESS)
    trace.sites[1] = SITE
    fill(trace)
    trace.close()
    return check(json.loads(b"".join(parts)))


def span(serial: int, begin: float, end: float, parent: int = 0, loop: int = 1) -> Span:
    return Span(serial, f"Task-{serial}", "decay_after", 1, loop, parent, STARTED + begin, STARTED + end)


def named(events: Events) -> dict[int, str]:
    """The names of the trace's processes."""
    return {each["pid"]: each["args"]["name"] for each in events if each["name"] == "process_name"}


def test_tasks_are_spans_by_site_and_loop_with_flows_from_their_parents() -> None:
    def fill(trace: Trace) -> None:
        trace.span(span(5, 1, 9))
        trace.span(span(6, 2, 4, parent=5))
        trace.span(span(7, 2, 4, parent=99, loop=2))

    events = written(fill)
    spans = {each["tid"]: each for each in events if each["ph"] == "X"}
    names = named(events)
    assert names[spans[5]["pid"]] == "loop 1: executor.py:231 record_failure (decay_after)"
    assert names[spans[7]["pid"]].startswith("loop 2: ")
    assert (spans[5]["ts"], spans[5]["dur"]) == (1e6, 8e6)
    begin, end = (each for each in events if each["ph"] in "sf")
    assert (begin["tid"], end["tid"], begin["ts"]) == (5, 6, 2e6)


def test_serials_of_another_agent_are_other_tasks() -> None:
    def fill(trace: Trace) -> None:
        trace.span(span(5, 1, 2))
        trace.restart()
        trace.sites[1] = SITE
        trace.span(span(5, 10, 12))
        trace.span(span(6, 11, 12, parent=5))

    events = written(fill)
    spans = [each for each in events if each["ph"] == "X"]
    assert spans[0]["pid"] != spans[1]["pid"]
    assert [each["pid"] for each in events if each["ph"] == "s"] == [spans[1]["pid"]]


def test_a_stall_has_its_stack_and_what_the_collector_took() -> None:
    stall = model.Stall(3, 0.0, 1.5, True, 7, STACK, collected=0.4)
    events = [each for each in written(lambda trace: trace.stall(stall, STARTED + 2)) if each["ph"] == "X"]
    assert [(each["name"], each["dur"]) for each in events] == [
        ("stall: a.py:3 compute", 1.5e6),
        ("garbage collection", 4e5),
    ]
    assert events[0]["args"]["stack"][0] == "compute (/srv/a.py:3)"


def test_what_lies_before_the_target_is_put_at_its_start() -> None:
    (one,) = (each for each in written(lambda trace: trace.span(span(1, -5, 3))) if each["ph"] == "X")
    assert (one["ts"], one["dur"]) == (0, 3e6)


@pytest.mark.parametrize("stalls", [7, [7], [{"loop": 0}], [None]])
def test_stalls_that_are_none_are_damage(stalls: object) -> None:
    stream = TraceStream(lambda data: None)

    def feed() -> None:
        stream.part("stalls", stalls)
        stream.close()

    with pytest.raises(wire.WireError, match=r"is (not|missing)"):
        feed()


def test_a_parent_beyond_all_numbers_is_nobody() -> None:
    assert written(lambda trace: trace.span(span(1, 0, 3, parent=2**63)))


def test_a_recording_shows_its_tasks_counts_stalls_and_findings(tmp_path: Path) -> None:
    asyncio.run(record(tmp_path / "a.rec", 130, FakeSource(start=5)))
    source = RecordedSource(str(tmp_path / "a.rec"))
    hello = asyncio.run(source.open())
    parts: list[bytes] = []
    trace = RecordedTrace(source, parts.append)
    moments = list(trace.steps())
    events = check(json.loads(b"".join(parts)))
    asyncio.run(source.close())
    spans = [each for each in events if each["ph"] == "X" and each["cat"] == "task"]
    assert len(spans) == trace.tasks > 20
    assert any(each["args"].get("ended") == "failed" for each in spans)
    counts = Counter(each["name"] for each in events if each["ph"] == "C")
    assert counts["tasks"] == 131
    assert "live: executor.py:231 record_failure (decay_after)" in counts
    assert any(each["ph"] == "i" and each["name"] == "LEAK executor.py:231 record_failure" for each in events)
    assert any(each.get("cat") == "stall" for each in events)
    assert moments == sorted(moments)
    assert (moments[0], moments[-1]) == (source.begin, source.end)
    latest = (source.end - hello.process.started_wall) * 1e6
    assert all(each["ts"] + each["dur"] <= latest + 1e6 for each in spans)


def test_a_parent_that_seems_younger_than_its_child_gets_no_flow() -> None:
    def fill(trace: Trace) -> None:
        trace.span(span(5, 3, 9))
        trace.span(span(6, 2, 4, parent=5))

    assert not [each for each in written(fill) if each["ph"] in "sf"]


def test_a_snapshot_shows_each_live_task_until_then() -> None:
    parts: list[bytes] = []
    stream = TraceStream(parts.append)
    row = {
        "name": "",
        "coroutine": "work",
        "state": "pending",
        "site": 1,
        "loop": 4,
        "parent": 0,
        "birth": None,
        "serial": 1,
    }
    sample = dataclasses.replace(FakeSource().sample(), sites=())
    stall = model.Stall(4, BOOT + 1, 1.5, True, None, ())
    for section, value in (
        ("process", wire.pack(PROCESS)),
        ("agent", wire.pack(Agent(BOOT, 1.0))),
        ("time", wire.pack(Times(WALL + 60, BOOT + 60))),
        ("sample", wire.pack(sample)),
        ("sites", [wire.pack(SITE)]),
        ("stalls", [{**wire.pack(stall), "stack": 0}]),
        ("frames", [["/srv/a.py", 3, "compute", "user"]]),
        ("stacks", [[0]]),
        ("tasks", [row, {**row, "serial": 2, "parent": 1, "birth": BOOT + 20, "stack": 0}]),
        ("ended", [wire.pack(model.Ended(9, 1, "", "work", "failed", "ValueError: x", BOOT + 2, BOOT + 3))]),
    ):
        stream.part(section, value)
    stream.close()
    events = check(json.loads(b"".join(parts)))
    spans = {each["tid"]: each for each in events if each["ph"] == "X"}
    end = (WALL + 60 - STARTED) * 1e6
    assert {serial: round(each["dur"] / 1e6) for serial, each in spans.items()} == {0: 2, 1: 60, 2: 40, 9: 1}
    assert spans[1]["ts"] + spans[1]["dur"] == end
    assert spans[1]["args"]["began"] == "before the agent"
    assert spans[2]["args"]["at"] == "compute (/srv/a.py:3)"
    assert spans[0]["name"] == "stall: a.py:3 compute"
    assert [each["tid"] for each in events if each["ph"] in "sf"] == [1, 2]
