"""Which processes a group consists of: a tree, several targets, all whose name or command fits a pattern."""

from __future__ import annotations

import time
from dataclasses import field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.attach.containers import is_container
from taskscope.attach.family import below, parents
from taskscope.attach.target import out_of_sight
from taskscope.sources.base import SourceError
from taskscope.sources.resolve import pids_in
from taskscope.sources.via import reached
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from taskscope.attach.discover import PythonProcess
    from taskscope.model.vocabulary import Role
    from taskscope.sources.via import Far

PATTERN = frozenset("*?[")
STARTS = 2.0
"""Seconds in which a process gets an agent by itself: a forked child after one."""

HELPERS: tuple[Role, ...] = ("resource tracker", "fork server")


@dataclass(frozen=True, slots=True)
class Found:
    """A process that belongs to the group.  ``target``: what `resolve` takes; ``key``: its identity.

    ``pid``: 0 while only its target is known.  ``here``: whether the process is on this machine.  ``young``:
    seconds until it is known that no agent comes by itself.
    """

    key: object
    target: str
    pid: int = 0
    command: str = ""
    role: Role = ""
    parent: int = 0
    young: float = 0.0
    here: bool = False

    @property
    def helper(self) -> bool:
        """Whether it runs nothing of the program."""
        return self.role in HELPERS


@dataclass(frozen=True, slots=True)
class Choice:
    """``targets`` as given; ``children``: with everything below them.  A pattern is for ``ps``'s list.

    ``via``: the command to whose far end all of them belong.
    """

    targets: tuple[str, ...]
    children: bool = False
    via: str = ""
    _seen: dict[int, PythonProcess] = field(default_factory=dict, compare=False, repr=False)
    """The processes at the last look, by pid."""
    _reached: list[Far] = field(default_factory=list, compare=False, repr=False)
    """The far end of ``via``, once it was needed."""

    @property
    def name(self) -> str:
        return " ".join(self.targets)

    @property
    def lasting(self) -> bool:
        """Whether processes may come when none is left."""
        return any(map(is_pattern, self.targets))

    @property
    def nobody(self) -> str:
        """What to say if no process is meant."""
        tree = next((each for each in self.targets if self.children and each.isdecimal()), "")
        if not tree:
            return f"no process is meant by {self.name}"
        if not (self.via or Path(f"/proc/{tree}").exists()):
            return str(out_of_sight(int(tree)))
        return f"neither process {tree} nor any below it runs Python"

    @property
    def lost(self) -> str:
        """Why the far end cannot be asked any more; "" while it can."""
        return next((far.lost for far in self._reached), "")

    def again(self) -> Choice:
        """The same over a new connection: that may ask for a password, so nobody connects again unasked."""
        return Choice(self.targets, self.children, self.via)

    @property
    def _far(self) -> Far | None:
        """Raises SourceError; may block."""
        if self.via and not self._reached:
            self._reached.append(reached(self.via))
        return self._reached[0] if self.via else None

    def find(self, living: Iterable[int] = ()) -> list[Found]:
        """The processes now, with the children of those ``living`` ones that belong to it.  May block."""
        above = self._above() if self.children else {}
        every = self._every(self._near(above, living))
        found: dict[object, Found] = {}
        for target in self.targets:
            for each in self._meant(target, every, above, living):
                found.setdefault(each.key, each)
        return list(found.values())

    def _near(self, above: Mapping[int, int], living: Iterable[int]) -> set[int] | None:
        """All pids that can be meant; None: any."""
        if any(is_pattern(each) or is_container(each) for each in self.targets):
            return None
        pids = {self._pid_of(each) for each in self.targets}
        return {each for one in (*pids, *living) if one for each in below(one, above)}

    def _every(self, only: set[int] | None) -> Sequence[PythonProcess]:
        if (far := self._far) is not None:
            return far.processes()
        from taskscope.attach.discover import processes

        every = processes(self._seen, only)
        self._seen.clear()
        self._seen.update((each.pid, each) for each in every)
        return every

    def _above(self) -> Mapping[int, int]:
        far = self._far
        return far.parents() if far is not None else parents()

    def _meant(
        self, target: str, every: Sequence[PythonProcess], above: Mapping[int, int], living: Iterable[int]
    ) -> list[Found]:
        if is_pattern(target):
            return [self._found(each) for each in every if _fits(each, target)]
        if is_container(target):
            far = self._far
            inside = far.contained(target) if far is not None else pids_in(target)
            return [self._found(each) for each in every if each.pid in inside]
        pid = self._pid_of(target)
        if not self.children:
            known = next((self._found(each) for each in every if each.pid == pid), None)
            return [replace(known or Found(target, target, pid), target=target)]
        family = {each for one in (pid, *living) for each in below(one, above)} if pid else set()
        return [self._found(each) for each in sorted(every, key=lambda each: each.pid) if each.pid in family]

    def _found(self, process: PythonProcess) -> Found:
        return Found(
            (process.pid, process.started),
            str(process.pid),
            process.pid,
            process.command,
            process.role,
            process.parent,
            0.0 if process.agent is not None else max(0.0, STARTS - (time.time() - process.started)),
            not self.via,
        )

    def _pid_of(self, target: str) -> int:
        """The pid that a target means now; 0 if that shows only when it is connected to."""
        from taskscope.sources.resolve import agent_named, is_name

        if target.isascii() and target.isdigit():
            return int(target)
        far = self._far
        try:
            if far is not None:
                return far.find(target, inject=False).pid
            return agent_named(target).pid if is_name(target) else 0
        except SourceError:
            return 0


def is_pattern(target: str) -> bool:
    """Whether it names processes by a pattern: a file of that name goes first."""
    return bool(PATTERN.intersection(target)) and not Path(target).exists()


def _fits(process: PythonProcess, pattern: str) -> bool:
    return fnmatchcase(process.agent or "", pattern) or fnmatchcase(process.command, pattern)
