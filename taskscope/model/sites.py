"""Creation sites and what is counted of each, now and over time."""

from __future__ import annotations

from dataclasses import dataclass, field

from taskscope.model import vocabulary as words  # noqa: TC001  (the fields' types are looked up)
from taskscope.model.frames import CreationStack, Frame  # noqa: TC001  (the fields' types are looked up)
from taskscope.model.process import Process  # noqa: TC001  (the fields' types are looked up)

__all__ = ["Counts", "Failure", "History", "Sample", "Site", "SiteCounts", "SiteDetail", "SiteHistory"]


@dataclass(frozen=True, slots=True)
class Site:
    """A creation site: the line that starts tasks (or threads) of one coroutine (or target function).

    ``frame`` is the first frame outside the plumbing, ``user_frame`` the nearest one outside the
    standard library and site-packages (None: there is none).  An ``imputed`` one is a guess, see
    ``candidates``; of an ``unknown`` one ``frame`` is where the coroutine is defined.
    ``via``: the line of a library that starts tasks for others, where ``frame`` is who asked it to.
    """

    id: int
    kind: words.SiteKind
    frame: Frame
    user_frame: Frame | None
    coroutine: str
    known: words.Known = "exact"
    candidates: tuple[Frame, ...] = ()
    via: Frame | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Totals since the agent started: ``live`` now, the others cumulative.

    ``finished`` returned, ``failed`` raised, ``cancelled`` were cancelled, ``lost`` were destroyed
    while pending, ``unseen`` ended without a trace of how (tasks older than the agent).
    ``born`` counts adopted tasks too, so born = live + finished + failed + cancelled + lost + unseen.
    """

    live: int = 0
    born: int = 0
    finished: int = 0
    failed: int = 0
    cancelled: int = 0
    lost: int = 0
    unseen: int = 0

    @property
    def ended(self) -> int:
        return self.finished + self.failed + self.cancelled + self.lost + self.unseen


@dataclass(frozen=True, slots=True)
class SiteCounts:
    """One site at one sample.  ``oldest`` and ``median`` are births (monotonic) of live tasks.

    ``adopted`` of the born were older than the agent.  ``retained``: done but still referenced.
    """

    site: int
    counts: Counts
    oldest: float | None = None
    median: float | None = None
    adopted: int = 0
    retained: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """One tick.  ``sites`` holds only what changed since the sample before (all, if ``full``).

    ``cpu`` and ``agent_cpu`` are cores (0.31 = 31 % of one core) over the last interval, ``rss`` and
    ``agent_memory`` bytes, ``loop_latency`` the worst over loops of the 99th percentile of the last
    minute, in seconds.  None: unknown on this platform.  ``new_sites`` come before they are counted.
    ``process`` is there when one of its limits has changed.
    """

    seq: int
    monotonic: float
    wall: float
    interval: float
    tasks: Counts
    threads: int
    fds: int | None
    rss: int | None
    cpu: float | None
    loop_latency: float | None
    agent_cpu: float | None
    agent_memory: int | None
    full: bool = False
    new_sites: tuple[Site, ...] = ()
    sites: tuple[SiteCounts, ...] = ()
    dropped: dict[str, int] = field(default_factory=dict)
    disarmed: tuple[str, ...] = ()
    process: Process | None = None


@dataclass(frozen=True, slots=True)
class History:
    """Past samples of the whole process, oldest first; finer near the end.  None: unknown then."""

    times: tuple[float, ...]
    tasks: tuple[float | None, ...]
    born: tuple[float | None, ...]
    ended: tuple[float | None, ...]
    threads: tuple[float | None, ...]
    fds: tuple[float | None, ...]
    rss: tuple[float | None, ...]
    cpu: tuple[float | None, ...]
    loop_latency: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class SiteHistory:
    """Past counts of one site, oldest first.  Values hold until the next time listed."""

    site: int
    times: tuple[float, ...]
    live: tuple[int, ...]
    born: tuple[int, ...]
    ended: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that ``count`` tasks of a site ended with, between the moments ``first`` and ``last``.

    Alike are those of one type from one line.  ``error`` is type and message of the last, whose task was
    ``serial``.  ``raised`` is the innermost line of its traceback, ``user_frame`` the innermost of the
    program's own; None: there is none.
    """

    site: int
    error: str
    raised: Frame | None
    user_frame: Frame | None
    count: int
    first: float
    last: float
    serial: int


@dataclass(frozen=True, slots=True)
class SiteDetail:
    """A site with the creation stacks sampled from it, and the errors of its tasks, the latest first."""

    site: Site
    counts: SiteCounts
    stacks: tuple[CreationStack, ...]
    failures: tuple[Failure, ...] = ()
