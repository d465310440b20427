"""The snapshot format: its sections in order, their types, and the schema version.

Writing, reading and checking all follow ``SECTIONS``; the published JSON Schema is generated from it.
Frames and stacks are numbered: a task refers to its stack by number, a stack to its frames.
"""

from __future__ import annotations

from typing import Any

from taskscope.model import vocabulary as words
from taskscope.model.findings import Finding, Judged
from taskscope.model.process import Hello, Loop, Process, Silence, Stall
from taskscope.model.resources import Resources
from taskscope.model.sites import Failure, History, Sample, Site, SiteHistory
from taskscope.model.tasks import Ended
from taskscope.model.threads import Thread
from taskscope.model.timers import Timers
from taskscope.values import dataclass

FORMAT, SCHEMA = "taskscope-snapshot", 1


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent that took the snapshot.  ``since`` is in monotonic seconds."""

    since: float
    interval: float
    control: bool = False
    arrived: words.Arrived = "started"
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, hello: Hello) -> Agent:
        return cls(hello.agent_since, hello.interval, hello.control, hello.arrived, hello.notes)


@dataclass(frozen=True, slots=True)
class Times:
    """Both clocks of the target at one moment.  Times are monotonic unless their names say wall."""

    wall: float
    monotonic: float


@dataclass(frozen=True, slots=True)
class SiteStack:
    """The stack that created one task of a site."""

    site: int
    serial: int
    stack: int


@dataclass(frozen=True, slots=True)
class SiteLine:
    """The text of a site's line, without its indentation; by it, the line is found again once it moved."""

    site: int
    text: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a task is suspended and what it waits on, as ``Parked``; its frames are in the stack."""

    wait: words.Wait = "unknown"
    text: str = ""
    task: int | None = None
    remaining: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A live task, as ``Task``.  ``stack``: its await chain.  ``awaits``: the tasks of a gather or the like
    that it waits for, where they are known; ``parked`` names a single one.
    """

    serial: int
    name: str
    coroutine: str
    state: words.TaskState
    site: int
    parent: int
    loop: int
    birth: float | None
    orphan: bool = False
    cancelling: int = 0
    stack: int | None = None
    parked: Place | None = None
    awaits: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class EndedParent:
    """A task that has ended, and started one that lives, or one of these here.  ``site`` 0: unknown."""

    serial: int
    parent: int
    site: int
    name: str
    coroutine: str


FrameRow = tuple[str, int, str, words.Origin]
"""File, line, function, origin."""


@dataclass(frozen=True, slots=True)
class Section:
    """``of``: the type of its value, or of each row.  Older files may lack sections that are not ``needed``.

    ``stacks``: fields of a row that hold a stack number; ``without``: fields a row omits.
    """

    name: str
    of: Any
    rows: bool = True
    needed: bool = False
    stacks: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


SECTIONS = (
    Section("format", FORMAT, rows=False, needed=True),
    Section("schema", SCHEMA, rows=False, needed=True),
    Section("taskscope", str, rows=False),
    Section("process", Process, rows=False, needed=True),
    Section("agent", Agent, rows=False),
    Section("time", Times, rows=False),
    Section("sample", Sample, rows=False, needed=True),
    Section("sites", Site, needed=True),
    Section("site_stacks", SiteStack, stacks=("stack",)),
    Section("site_lines", SiteLine),
    Section("loops", Loop),
    Section("frames", FrameRow, needed=True),
    Section("stacks", tuple[int, ...], needed=True),
    Section("tasks", TaskRow, needed=True, stacks=("stack",)),
    Section("ended_parents", EndedParent),
    Section("threads", Thread, stacks=("stack", "creation"), without=("frame",)),
    Section("ended", Ended),
    Section("failures", Failure),
    Section("stalls", Stall, stacks=("stack",)),
    Section("timers", Timers, rows=False),
    Section("resources", Resources, rows=False),
    Section("history", History, rows=False),
    Section("site_history", SiteHistory),
    Section("findings", Finding),
    Section("judged", Judged, rows=False),
    Section("silences", Silence),
)
"""In the order they are written: what identifies a file comes first."""

NAMES = tuple(each.name for each in SECTIONS)

LISTS = tuple(each.name for each in SECTIONS if each.rows)
"""Sections that are present even if empty."""


def add_part(sections: dict[str, Any], name: str, value: Any) -> None:
    """Adds a part, as agents emit a snapshot: a list extends its section, anything else sets it."""
    known = sections.get(name)
    if isinstance(value, list) and isinstance(known, list):
        known.extend(value)
    else:
        sections[name] = value
