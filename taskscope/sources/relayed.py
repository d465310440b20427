"""The requests that the relay at the far end of ``--via`` answers about its machine, each said once.

Their methods are their names in lower case.
"""

from __future__ import annotations

from typing import Self, get_args

from taskscope import model  # noqa: TC001  (checked.py reads the types at run time)
from taskscope.attach.diagnosis import Diagnosis
from taskscope.attach.errors import AttachError
from taskscope.attach.privilege import Fact  # noqa: TC001  (likewise)
from taskscope.sources.base import SourceError, TargetGone, TargetSilent
from taskscope.values import dataclass


@dataclass(frozen=True, slots=True)
class Find:
    """The endpoint of the one agent that TARGET means; ``inject``: brings one into a process without."""

    target: str
    inject: bool


@dataclass(frozen=True, slots=True)
class Named:
    """The endpoints of all agents of that name."""

    name: str


@dataclass(frozen=True, slots=True)
class Processes:
    """The Python processes there."""


@dataclass(frozen=True, slots=True)
class Parents:
    """The parents of all processes there; the answer is a `Family`."""


@dataclass(frozen=True, slots=True)
class Family:
    """Two columns: each process, Python or not, and its parent."""

    pids: tuple[int, ...]
    parents: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Contained:
    """The processes of ``docker:NAME`` and the like; the answer is a `Pids`."""

    container: str


@dataclass(frozen=True, slots=True)
class Pids:
    """Processes, Python or not."""

    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Open:
    """Connects a new channel to the agent at ``path``; the answer is a `Connected`."""

    channel: int
    path: str


@dataclass(frozen=True, slots=True)
class Connected:
    """``pid``: of the process that listens there; 0: unknown."""

    pid: int


@dataclass(frozen=True, slots=True)
class Look:
    """The condition of the process behind a channel, as seen from outside; None if unknown."""

    channel: int


@dataclass(frozen=True, slots=True)
class Impute:
    """Likely lines of these sites, from the source files of the process whose agent is at ``path``."""

    path: str
    files: tuple[str, ...]
    sites: tuple[model.Site, ...]


@dataclass(frozen=True, slots=True)
class Doctor:
    """Whether and how TARGET can be attached to; the answer is a `Diagnosed`."""

    target: str


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """A `Diagnosis` as plain values; ``sentence`` and ``remedy`` are those of the obstacle, if any."""

    facts: tuple[Fact, ...]
    sentence: str
    remedy: str
    ways: tuple[Fact, ...]

    @classmethod
    def of(cls, found: Diagnosis) -> Self:
        obstacle = found.obstacle or AttachError("")
        return cls(found.facts, obstacle.sentence, obstacle.remedy, found.ways)

    @property
    def diagnosis(self) -> Diagnosis:
        obstacle = AttachError(self.sentence, self.remedy) if self.sentence else None
        return Diagnosis(self.facts, obstacle, self.ways)


@dataclass(frozen=True, slots=True)
class Detach:
    """Removes the agent of a process; ``only_injected``: unless the program started it itself."""

    target: str
    only_injected: bool = False


Asked = Find | Named | Processes | Parents | Contained | Open | Look | Impute | Doctor | Detach

METHODS: dict[str, type[Asked]] = {kind.__name__.lower(): kind for kind in get_args(Asked)}

CODES: dict[type[SourceError], int] = {TargetGone: -32010, TargetSilent: -32011}
"""How the kinds of errors that a client tells apart are said on the wire; all others are plain."""
