"""Chrome's trace events, which Perfetto and chrome://tracing read.

The format: "Trace Event Format" (Google, 2016), the JSON object form.  The tasks of one site on one loop are
a process of the trace, each task a thread of it with one span; a flow leads to it from the task that started
it.  Times are microseconds since the target started.
"""

from __future__ import annotations

import json
from array import array
from dataclasses import field
from itertools import count
from typing import TYPE_CHECKING, Any

from taskscope import __version__
from taskscope import text as fmt
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.model import Finding, Frame, Process, Sample, Site, Stall

GENERAL = 1
"""The trace's process for what concerns the whole target."""

STALLS = 0
"""The thread of a loop on which its stalls lie; tasks lie on threads of their serial."""

MICRO = 1e6


@dataclass(frozen=True, slots=True)
class Span:
    """A task between two times, in seconds since the epoch.  ``parent`` 0: it has none, or it is unknown."""

    serial: int
    name: str
    coroutine: str
    site: int
    loop: int
    parent: int
    begin: float
    end: float
    args: dict[str, Any] = field(default_factory=dict)


class Trace:
    """Writes events as they come; what is kept of a task until the flows are written takes some 150 bytes."""

    def __init__(self, write: Callable[[bytes], object], process: Process) -> None:
        self.sites: dict[int, Site] = {}
        self.spans = 0
        self._write = write
        self._began = process.started_wall
        self._separator = b""
        self._groups: dict[tuple[str, int, int], int] = {}
        self._numbers, self._ids = count(GENERAL + 1), count(1)
        self._position: dict[int, int] = {}  # of a serial in the columns
        self._columns = (array("q"), array("q"), array("d"), array("d"))  # group, parent, begin, end
        about = {"exporter": f"taskscope {__version__}", "process": process.name, "pid": process.pid}
        head = json.dumps(about, separators=(",", ":"))
        write(f'{{"displayTimeUnit":"ms","otherData":{head},"traceEvents":[\n'.encode())
        self._name(GENERAL, f"{process.name} (pid {process.pid})")

    def close(self) -> None:
        """Writes what is left, and the end."""
        self.restart()
        self._write(b"\n]}\n")

    # -- what is shown

    def span(self, span: Span) -> None:
        """The span of a task; of each task one."""
        group = self._group(span.site, span.loop)
        self.spans += 1
        begin = self._time(span.begin)
        lasts = round(max(0.0, self._time(span.end) - begin), 1)
        self._event(
            "X",
            group,
            span.serial,
            begin,
            name=span.coroutine or span.name,
            cat="task",
            dur=lasts,
            args={"name": span.name, "serial": span.serial, **span.args},
        )
        self._position[span.serial] = len(self._columns[0])
        groups, parents, begins, ends = self._columns
        groups.append(group)
        parents.append(span.parent if span.parent.bit_length() < 64 else 0)  # no agent counts that far
        begins.append(begin)
        ends.append(begin + lasts)

    def restart(self) -> None:
        """Writes the flows so far; then serials and sites may begin anew, as those of another agent do."""
        groups, parents, begins, ends = self._columns
        for child, at in self._position.items():
            whence = self._position.get(parents[at])
            if whence is None or not begins[whence] <= begins[at] <= ends[whence]:
                continue  # estimated births may contradict each other
            named = {"name": "starts", "cat": "parent", "id": next(self._ids)}
            self._event("s", groups[whence], parents[at], begins[at], **named)
            self._event("f", groups[at], child, begins[at], bp="e", **named)
        for column in self._columns:
            del column[:]
        self._position.clear()
        self._groups.clear()
        self.sites.clear()

    def stall(self, stall: Stall, wall: float) -> None:
        """A stall that began then; what the collector took of it is shown at its beginning."""
        group, begin = self._loop(stall.loop), self._time(wall)
        own = next((each for each in stall.stack if each.origin == "user"), None)
        name = f"stall: {fmt.frame(own)}" if own else f"stall ({stall.why})"
        args = {"why": stall.why, "task": stall.task, "stack": [_label(each) for each in stall.stack]}
        lasts = round(stall.duration * MICRO, 1)
        self._event("X", group, STALLS, begin, name=name, cat="stall", dur=lasts, args=args)
        if stall.collected:
            took = min(lasts, round(stall.collected * MICRO, 1))
            self._event("X", group, STALLS, begin, name="garbage collection", cat="gc", dur=took, args={})

    def sample(self, sample: Sample) -> None:
        """The process at one moment."""
        values = {
            "tasks": sample.tasks.live,
            "threads": sample.threads,
            "descriptors": sample.fds,
            "rss MB": None if sample.rss is None else round(sample.rss / 1e6, 3),
            "cpu cores": sample.cpu,
            "loop p99 ms": None if sample.loop_latency is None else round(sample.loop_latency * 1e3, 3),
        }
        for name, value in values.items():
            if value is not None:
                self._count(name, value, sample.wall)

    def live(self, site: int, number: int, wall: float) -> None:
        """The live tasks of a site from then on."""
        self._count(f"live: {self._label(site)}", number, wall)

    def finding(self, finding: Finding, wall: float) -> None:
        """A finding begins."""
        name = f"{finding.level.upper()} {fmt.place(finding)}"
        args = {"text": finding.text, "cause": finding.cause.text if finding.cause else ""}
        self._event("i", GENERAL, 0, self._time(wall), name=name, cat="finding", s="g", args=args)

    # -- events

    def _event(self, phase: str, group: int, thread: int, time: float, **more: Any) -> None:
        event = {"ph": phase, "pid": group, "tid": thread, "ts": time, **more}
        self._write(self._separator + json.dumps(event, separators=(",", ":"), check_circular=False).encode())
        self._separator = b",\n"

    def _time(self, wall: float) -> float:
        return round(max(0.0, wall - self._began) * MICRO, 1)

    def _count(self, name: str, value: float, wall: float) -> None:
        self._event("C", GENERAL, 0, self._time(wall), name=name, args={"value": value})

    def _group(self, site: int, loop: int) -> int:
        key = ("site", site, loop)
        if key not in self._groups:
            where = f"loop {loop}: " if loop else ""
            self._groups[key] = self._name(next(self._numbers), f"{where}{self._label(site)}")
        return self._groups[key]

    def _loop(self, loop: int) -> int:
        key = ("loop", loop, 0)
        if key not in self._groups:
            group = self._groups[key] = self._name(next(self._numbers), f"loop {loop}")
            self._event("M", group, STALLS, 0.0, name="thread_name", args={"name": "stalls"})
        return self._groups[key]

    def _name(self, group: int, name: str) -> int:
        self._event("M", group, 0, 0.0, name="process_name", args={"name": name})
        self._event("M", group, 0, 0.0, name="process_sort_index", args={"sort_index": group})
        return group

    def _label(self, site: int) -> str:
        known = self.sites.get(site)
        return f"site {site}" if known is None else f"{fmt.site(known)} ({known.coroutine})"


def _label(frame: Frame) -> str:
    return f"{frame.function} ({frame.file}:{frame.line})"
