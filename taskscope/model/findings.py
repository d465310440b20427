"""What is asked of a site under suspicion, and the verdict: causes, projections, findings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from taskscope.model import vocabulary as words  # noqa: TC001  (the fields' types are looked up)
from taskscope.model.frames import Frame  # noqa: TC001  (the fields' types are looked up)
from taskscope.model.tasks import ParkedGroup  # noqa: TC001  (the fields' types are looked up)

__all__ = [
    "Bound",
    "Cause",
    "Finding",
    "Mark",
    "Projection",
    "SiteFacts",
    "WaitObject",
]


@dataclass(frozen=True, slots=True)
class Mark:
    """Where one task stands: equal marks of a serial at two moments mean that it has not advanced.

    ``where`` is a number that is new whenever it waits for something new.  The agent remembers the task since
    ``known``: a mark from before then says nothing of whether it has moved.
    """

    serial: int
    where: int
    known: float = 0.0


@dataclass(frozen=True, slots=True)
class Bound:
    """An object on which tasks of one site run (their method's ``self``): ``runs`` of them at once.

    ``same_arguments``: the most of these whose other arguments are the very same objects too.
    """

    type: str
    runs: int
    same_arguments: int


@dataclass(frozen=True, slots=True)
class WaitObject:
    """One object that ``waiters`` tasks wait on; ``kind`` as in ``Parked.wait``.

    ``size``, ``maxsize``, ``getters``, ``putters`` are of queues.  ``outside``: references to it beyond
    those of the tasks that wait (0: nobody else can reach it, so nobody can set it).  None: not known.
    """

    kind: words.Wait
    type: str
    waiters: int
    size: int | None = None
    maxsize: int | None = None
    getters: int | None = None
    putters: int | None = None
    outside: int | None = None


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """What a walk over one site's live tasks says; asked of sites under suspicion only.

    ``alive[i]`` of all live tasks were born at or before ``cuts[i]``, the moments asked for.  The counts
    after ``sampled`` are of so many tasks looked into (the oldest and the newest): ``rootless`` were created
    outside any task, ``cancelling`` were asked to end, ``awaited`` have a task waiting for them,
    ``unheld`` are referenced by the loop alone, ``looping`` stand inside a loop of their own coroutine,
    ``cycles`` wait for themselves in the end.  ``examples`` are serials, oldest first.
    """

    site: int
    monotonic: float
    live: int
    alive: tuple[int, ...]
    sampled: int = 0
    orphans: int = 0
    rootless: int = 0
    cancelling: int = 0
    awaited: int = 0
    unheld: int = 0
    looping: int = 0
    cycles: int = 0
    marks: tuple[Mark, ...] = ()
    bound: tuple[Bound, ...] = ()
    waits: tuple[WaitObject, ...] = ()
    groups: tuple[ParkedGroup, ...] = ()
    examples: tuple[int, ...] = ()
    cuts: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Cause:
    """Why tasks of a site do not end.  ``pattern`` is a stable word, ``text`` the sentence for it.

    ``evidence`` are the observations behind it, ``explanation`` what goes on and the usual fix.
    """

    pattern: str
    text: str
    evidence: tuple[str, ...] = ()
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class Projection:
    """When a resource runs out at today's rate: ``seconds`` from now, between ``earliest`` and ``latest``.

    ``latest`` None: perhaps never.  ``sites`` are those whose live counts move with it, closest first.
    ``limit_by``: which limit, where there are several.
    """

    resource: words.Resource
    now: float
    limit: float
    rate_per_min: float
    seconds: float
    earliest: float
    latest: float | None
    sites: tuple[int, ...] = ()
    limit_by: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict: on the site ``id``, or on what holds the program up (``id`` 0).

    ``text`` is the verdict in one sentence; ``since`` the moment it began, in monotonic seconds of the
    target, ``since_wall`` the same in seconds since the epoch.  ``since_at_least``: it had begun before
    anybody looked, so it has lasted for at least that long.  ``evidence``: numbers by name.
    ``until_told``: seconds until a suspect can be told from a leak.
    """

    level: words.Level
    kind: words.FindingKind
    id: int
    site: Frame
    user_site: Frame | None
    coroutine: str
    live: int
    rate_per_min: float
    since: float
    text: str
    evidence: dict[str, Any] = field(default_factory=dict)
    cause: Cause | None = None
    projection: Projection | None = None
    known: words.Known = "exact"
    until_told: float | None = None
    since_at_least: bool = False
    since_wall: float | None = None
