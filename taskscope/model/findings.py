"""The facts about a suspected site, and the verdict: causes, projections, findings."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

from taskscope.model import vocabulary as words  # noqa: TC001  (field types are resolved at run time)
from taskscope.model.descriptors import Descriptor  # noqa: TC001  (field types are resolved at run time)
from taskscope.model.frames import Frame  # noqa: TC001  (field types are resolved at run time)
from taskscope.model.tasks import ParkedGroup  # noqa: TC001  (field types are resolved at run time)
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ENOUGH",
    "MOST_BOUND",
    "NEWS",
    "SOONEST",
    "Bound",
    "Cause",
    "Finding",
    "Judged",
    "Keeper",
    "Mark",
    "Older",
    "Projection",
    "Reach",
    "SiteFacts",
    "WaitObject",
    "blocking",
]


@dataclass(frozen=True, slots=True)
class Mark:
    """A task's position: equal marks of a serial at two times mean that it has not moved.

    ``where`` changes whenever the task waits for something new.  The agent has tracked the task since
    ``known``; an older mark says nothing about movement.
    """

    serial: int
    where: int
    known: float = 0.0


MOST_BOUND = 5_000
"""Oldest tasks of a site whose ``self`` is inspected (20 ms, in slices): of more, counts are lower bounds."""


@dataclass(frozen=True, slots=True)
class Bound:
    """An object that ``runs`` tasks of one site share (their method's ``self``).

    ``same_arguments``: the most of these whose other arguments are identical objects too.
    """

    type: str
    runs: int
    same_arguments: int


@dataclass(frozen=True, slots=True)
class WaitObject:
    """One object that ``waiters`` tasks wait on; ``kind`` as in ``Parked.wait``.

    ``size``, ``maxsize``, ``getters`` and ``putters`` apply to queues.  ``outside``: references to it from
    outside the waiting tasks (0: nothing else can reach it, so nothing can set it).  None: unknown.
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
class Keeper:
    """The container that keeps the tasks of a site alive, as a person would write it (``Hub._clients``).

    ``name`` is "" if it has none.  ``size``: its entries.  ``module``: that of its owner's class.  ``each``:
    bytes that the outcome of an ended task keeps; None if none has ended.  ``entry``: the class of its
    entries, if these are not the tasks but keep them.  ``emptied``: the code beside it also takes some out.
    ``unread``: the program only adds to it, and never looks into it.  ``filled``: the first line
    that adds to it, as far as its source tells.
    """

    name: str
    type: str
    size: int
    module: str = ""
    each: int | None = None
    entry: str = ""
    emptied: bool = False
    unread: bool = False
    filled: Frame | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """Whether anything that lives can wake tasks of a site: a walk that took ``cost`` seconds of CPU.

    Of ``asked`` tasks, ``stuck``, ``lost`` and ``endless`` (see ``vocabulary.Fate``) can be woken by nothing.
    The others may be, ``by`` some of these: those that could be named, most frequent first.  ``timed``: how
    many of them a timer will wake or cancel.
    """

    monotonic: float
    cost: float
    asked: int
    stuck: int
    lost: int = 0
    endless: int = 0
    by: tuple[str, ...] = ()
    timed: int = 0


@dataclass(frozen=True, slots=True)
class Older:
    """A site's ``live`` tasks that are older than the agent: an even sample, oldest first.

    ``births``: estimates for tasks, exact for threads; None: unknown.  ``numbers``: as asyncio counts unnamed
    tasks; None: a named one.  ``counter``: asyncio's count when the agent came, at least.
    """

    live: int
    births: tuple[float | None, ...] = ()
    numbers: tuple[int | None, ...] = ()
    counter: int = 0


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """The result of a walk over one site's live tasks; requested for suspected sites only.

    ``alive[i]`` live tasks were born at or before ``cuts[i]``.  ``sampled`` tasks (the oldest and the
    newest) were inspected, and of these: ``orphans`` were created by ``creators`` tasks that have ended,
    ``rootless`` outside any task, ``cancelling`` were cancelled, ``awaited`` are awaited by another task,
    ``unheld`` are referenced only by the loop (threads: nobody else could tell them to end), ``left`` were
    left running by a wait or gather that has returned, ``looping`` are inside a loop of their own coroutine,
    ``conditional`` in one that they may leave in any round, ``limited`` in one of so many rounds at most,
    ``retrying`` sleep in one that only the outcome of another call ends, ``cycles`` are part of an await
    cycle.
    They run on ``owners`` objects and wait on ``things``; ``bound`` and ``waits``: those of most tasks.
    ``holder``: where the task waits that has the lock some of them wait for.  ``setter``: the line that
    starts the threads which lead to what cancelled ones wait for.  ``taker``: the method that takes from the
    queue that one puts into, if no task runs it.
    Of threads, ``sharing`` are at work on what they took from one queue, to which they come back, and
    ``closed`` read from a socket that the program has closed.
    ``examples`` are serials, oldest first, ``descriptors`` some of those they wait on.  ``reach`` is None
    where time, the kernel or a thread ends the wait, ``older`` where no task is older than the agent.
    """

    site: int
    monotonic: float
    live: int
    alive: tuple[int, ...]
    sampled: int = 0
    orphans: int = 0
    creators: int = 0
    rootless: int = 0
    cancelling: int = 0
    awaited: int = 0
    unheld: int = 0
    left: int = 0
    looping: int = 0
    conditional: int = 0
    limited: int = 0
    retrying: int = 0
    sharing: int = 0
    cycles: int = 0
    marks: tuple[Mark, ...] = ()
    bound: tuple[Bound, ...] = ()
    waits: tuple[WaitObject, ...] = ()
    groups: tuple[ParkedGroup, ...] = ()
    examples: tuple[int, ...] = ()
    cuts: tuple[float, ...] = ()
    reach: Reach | None = None
    older: Older | None = None
    keeper: Keeper | None = None
    descriptors: tuple[Descriptor, ...] = ()
    owners: int = 0
    things: int = 0
    holder: ParkedGroup | None = None
    setter: Frame | None = None
    taker: str = ""
    closed: int = 0


@dataclass(frozen=True, slots=True)
class Cause:
    """Why tasks of a site do not end.  ``pattern`` is a stable name, ``text`` the sentence.

    ``evidence``: the observations behind it; ``explanation``: what happens, and the usual fix; ``shorter``:
    forms of the sentence for where there is less room, longest first; ``proof``: that nothing can wake them;
    ``held``: by what they, or what they wait for, are kept.  ``waits_at``: where those wait that should have
    ended, or the one they wait for.
    """

    pattern: str
    text: str
    evidence: tuple[str, ...] = ()
    explanation: str = ""
    shorter: tuple[str, ...] = ()
    proof: str = ""
    held: str = ""
    waits_at: Frame | None = None


@dataclass(frozen=True, slots=True)
class Projection:
    """When a resource runs out at the current rate: in ``seconds``, between ``earliest`` and ``latest``.

    ``latest`` None: perhaps never.  ``sites``: those whose live counts move with it, closest match first.
    ``limit_by``: which limit, if there are several.
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
    """A verdict on the site ``id``, or on the process (``id`` 0).

    ``text`` is the verdict in one sentence; ``since`` when it began, in the target's monotonic seconds;
    ``since_wall`` the same in seconds since the epoch.  ``since_at_least``: it began then or earlier, before
    the first observation.  ``evidence``: numbers by name.  ``until_told``: seconds until a suspect gets its
    final verdict.  ``via``: the helper through which the site starts what it starts.  ``since_estimated``: it
    rests on the births of tasks older than the agent, which are estimates.  ``processes``: of a group, the
    pids that have it, of ``of`` that were judged, and ``id`` is the group's number for the site.  ``ended``:
    those of the pids whose processes have ended since.
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
    via: Frame | None = None
    since_estimated: bool = False
    processes: tuple[int, ...] = ()
    of: int = 0
    ended: tuple[int, ...] = ()

    @property
    def counts(self) -> bool:
        """Whether it is about how many there are of something."""
        return self.id > 0 or self.kind in ("timer", "resource")

    @property
    def why(self) -> words.Reason | None:
        """Kept in the evidence, so that it is in files and in JSON."""
        return self.evidence.get("why")

    @property
    def blocks(self) -> float:
        """Seconds for which its line has blocked a loop until now; 0: it has let it go, or never did."""
        return float(self.evidence.get("lasting_seconds") or 0.0)


NEWS = 10.0
"""Seconds from which on a loop that is blocked is in the headline: short stalls would flicker there."""


def blocking(findings: Iterable[Finding]) -> Finding | None:
    """The line that has blocked a loop longest until now; None: none has for `NEWS`."""
    held = [each for each in findings if each.blocks >= NEWS and not each.ended]
    return max(held, key=lambda each: each.blocks, default=None)


ENOUGH = 18.0
"""Seconds that a first verdict takes: a watch of 20 s has them, whatever its start took."""


SOONEST = 1.0
"""Seconds in which a verdict is promised at the least: it comes with a sample."""


@dataclass(frozen=True, slots=True)
class Judged:
    """How far a judgement has come: whether the absence of findings means anything yet.

    ``seconds``: the time that was judged, not the age of the counts.  ``growing``: how many sites grow and
    have no verdict yet.
    """

    seconds: float
    growing: int = 0

    @property
    def wait(self) -> float:
        """Seconds until a first verdict on what grows."""
        return max(0.0, ENOUGH - self.seconds)

    @property
    def early(self) -> bool:
        return self.wait > 0 or self.growing > 0
