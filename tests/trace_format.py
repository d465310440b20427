"""The rules of Chrome's trace events, as far as we use them, from "Trace Event Format" (Google, 2016).

https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

NEEDED = {
    "X": {"name", "cat", "dur"},  # complete events
    "i": {"name", "s"},  # instant events
    "C": {"name", "args"},  # counters
    "M": {"name", "args"},  # metadata
    "s": {"name", "cat", "id"},  # a flow starts
    "f": {"name", "cat", "id"},  # a flow ends
}
"""Fields of each phase, besides those that all have."""

METADATA = {"process_name": str, "process_sort_index": int, "thread_name": str}

Events = list[dict[str, Any]]


def check(trace: Any) -> Events:
    """The events of a trace that keeps the rules."""
    assert isinstance(trace, dict), "the object form"
    assert trace.get("displayTimeUnit", "ms") in ("ms", "ns")
    events: Events = trace["traceEvents"]
    slices: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    for event in events:
        _check_fields(event)
        if event["ph"] == "X":
            slices[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    for every in slices.values():
        _check_nesting(sorted(every, key=lambda each: (each[0], -each[1])))
    _check_flows(events, slices)
    return events


def _check_fields(event: dict[str, Any]) -> None:
    phase = event["ph"]
    assert NEEDED[phase] <= event.keys(), event
    for name in ("pid", "tid"):
        assert type(event[name]) is int, event
    for name in {"ts", "dur"} & event.keys():
        assert isinstance(event[name], (int, float)), event
        assert 0 <= event[name] < 1e15, event
    if phase == "C":
        assert event["args"], event
        assert all(isinstance(value, (int, float)) for value in event["args"].values()), event
    if phase == "M":
        (value,) = event["args"].values()
        assert type(value) is METADATA[event["name"]], event
    if phase == "i":
        assert event["s"] in ("g", "p", "t"), event


def _check_nesting(slices: list[tuple[float, float]]) -> None:
    """Slices of one thread lie inside each other or apart."""
    open_: list[float] = []
    for begin, end in slices:
        while open_ and open_[-1] <= begin:
            open_.pop()
        assert not open_ or end <= open_[-1], (begin, end)
        open_.append(end)


def _check_flows(events: Events, slices: dict[tuple[int, int], list[tuple[float, float]]]) -> None:
    """A flow has one start and one end, not before it, each inside a slice of its thread."""
    flows: dict[tuple[Any, ...], Events] = defaultdict(list)
    for event in events:
        if event["ph"] in "sf":
            flows[event["cat"], event["name"], event["id"]].append(event)
            inside = slices[event["pid"], event["tid"]]
            assert any(begin <= event["ts"] <= end for begin, end in inside), event
    for ends in flows.values():
        assert [each["ph"] for each in ends] == ["s", "f"], ends
        assert ends[0]["ts"] <= ends[1]["ts"], ends
        assert ends[1].get("bp") == "e", ends
