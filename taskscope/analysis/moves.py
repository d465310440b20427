"""Which tasks have moved since they were first sampled: tasks in use do occasionally, leaked ones never."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.analysis.clues import SOME

if TYPE_CHECKING:
    from taskscope.model import SiteFacts

WATCHED = 15.0
"""Seconds a task must be known before its lack of movement counts."""

STOOD = 300.0
"""Total seconds without movement, over all tasks: tasks used every minute or two would have moved."""

LONG = 120.0
"""Seconds after which even a few tasks without movement count."""

FEW = 0.03
"""Share of tasks that may move at a site that otherwise stands still."""


class Moves:
    """First marks of the sampled tasks, kept while they stay in the sample.

    ``workers``: whether any ever waited on a queue.  ``released``: how many ended after they had been known
    for long enough to count, as far as all were sampled.
    """

    __slots__ = ("_all", "_first", "_moved", "now", "released", "workers")

    def __init__(self) -> None:
        self.workers = False
        self.released = 0
        self._all = False  # whether the facts before were about every task
        self._first: dict[int, tuple[float, int]] = {}
        self._moved: set[int] = set()
        self.now = 0.0

    def add(self, facts: SiteFacts) -> None:
        """Adds the next facts."""
        then, self.now = self.now, facts.monotonic
        self.workers = self.workers or any(group.wait == "queue.get" for group in facts.groups)
        marks = {mark.serial: mark.where for mark in facts.marks}
        before, self._all = self._all, len(facts.marks) == facts.sampled == facts.live
        if before and self._all:
            gone = (since for serial, (since, _) in self._first.items() if serial not in marks)
            self.released += sum(1 for since in gone if then - since >= WATCHED)
        anew = {mark.serial for mark in facts.marks if mark.known > then}  # the agent dropped their marks
        self._first = {
            serial: (facts.monotonic, where)
            if serial in anew
            else self._first.get(serial, (facts.monotonic, where))
            for serial, where in marks.items()
        }
        moved = {serial for serial, where in marks.items() if self._first[serial][1] != where}
        self._moved = (self._moved & (marks.keys() - anew)) | moved

    @property
    def used(self) -> bool:
        """Whether almost every task known for a while has moved."""
        old = [serial for serial, (since, _) in self._first.items() if self.now - since >= WATCHED]
        stood = sum(1 for serial in old if serial not in self._moved)
        return len(old) > 1 and stood <= FEW * len(old)

    @property
    def some(self) -> bool:
        """Whether a good part of those seen more than once has moved: others of them may idle for long."""
        again = [serial for serial, (since, _) in self._first.items() if since < self.now]
        return bool(again) and sum(serial in self._moved for serial in again) >= SOME * len(again)

    @property
    def comes(self) -> bool:
        """Whether what they wait for comes: some that had waited for long have ended."""
        return self.released > FEW * len(self._first)

    @property
    def never(self) -> bool:
        """Whether almost no task known for a while has ever moved."""
        known = {serial: self.now - since for serial, (since, _) in self._first.items()}
        old = {serial: seconds for serial, seconds in known.items() if seconds >= WATCHED}
        stood = [seconds for serial, seconds in old.items() if serial not in self._moved]
        enough = sum(stood) >= STOOD or (len(stood) > 1 and max(stood) >= LONG)
        return enough and len(old) - len(stood) <= FEW * len(old)
