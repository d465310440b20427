"""All live tasks of a snapshot as its parts come: in memory are its lines, its stacks, and one part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from taskscope import model
from taskscope.checked import unpack, unpack_all
from taskscope.export.check import check_frames, check_stacks, check_tasks
from taskscope.model.snapshot import NAMES, Times
from taskscope.wire import WireError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_FRAMES, MAX_STACKS = 1_000_000, 1_000_000


class Taker(Protocol):
    """Gets every task, as stored, with the number of its stack."""

    def take(self, row: dict[str, Any], stack: int | None) -> None:
        """The next task."""


class TaskStream:
    """Feed it the parts in order; it checks them and passes the tasks on.  Raises WireError."""

    READ: ClassVar[tuple[str, ...]] = ("process", "time", "frames", "stacks", "sites", "tasks")
    """The sections it needs."""

    def __init__(self, taker: Taker) -> None:
        self.tasks = 0
        self.frames: list[model.Frame] = []
        self.stacks: list[list[int]] = []
        self.sites: dict[int, model.Site] = {}
        self.process: model.Process | None = None
        self.times = Times(0.0, 0.0)
        self._taker = taker

    def part(self, section: str, value: Any) -> None:
        """The next part."""
        if section == "frames":
            check_frames(value)
            self.frames += [model.Frame(*row) for row in value]
        elif section == "stacks":
            check_stacks(value, len(self.frames))
            self.stacks += value
        elif section == "sites":
            self.sites.update((site.id, site) for site in unpack_all(model.Site, value))
        elif section == "tasks":
            self._tasks(value)
        elif section == "process":
            self.process = unpack(model.Process, value)
        elif section == "time":
            self.times = unpack(Times, value)
        if len(self.frames) > MAX_FRAMES or len(self.stacks) > MAX_STACKS:
            raise WireError("it has too many stacks")

    def whole(self, snapshot: Mapping[str, Any]) -> None:
        """All parts of a snapshot that has been read."""
        for section in NAMES:
            if section in self.READ:
                self.part(section, snapshot[section])

    def _tasks(self, rows: Any) -> None:
        check_tasks(rows, range(len(self.stacks)))
        for row in rows:
            self._taker.take(row, row.get("stack"))
        self.tasks += len(rows)

    def stack(self, number: int | None) -> list[model.Frame]:
        """Innermost first; empty if there is none."""
        return [] if number is None else [self.frames[each] for each in self.stacks[number]]


class StackCounts:
    """How many tasks are suspended with each stack."""

    def __init__(self) -> None:
        self.counts: dict[int | None, int] = {}

    def take(self, row: dict[str, Any], stack: int | None) -> None:
        self.counts[stack] = self.counts.get(stack, 0) + 1
