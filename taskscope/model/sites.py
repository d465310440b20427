"""Creation sites and their counts, now and over time."""

from __future__ import annotations

from dataclasses import field

from taskscope.model import vocabulary as words  # noqa: TC001  (field types are resolved at run time)
from taskscope.model.frames import CreationStack, Frame  # noqa: TC001  (field types are resolved at run time)
from taskscope.model.process import Process  # noqa: TC001  (field types are resolved at run time)
from taskscope.values import dataclass

__all__ = ["Counts", "Failure", "History", "Sample", "Site", "SiteCounts", "SiteDetail", "SiteHistory"]


@dataclass(frozen=True, slots=True)
class Site:
    """A creation site: the line that starts tasks (or threads) of one coroutine (or target function).

    ``frame`` is the line that decided: the first one outside the plumbing, which is the standard library,
    libraries that start tasks for others, and functions that were handed what they start.  ``user_frame``
    is the nearest one outside the standard library and site-packages (None: there is none), ``via`` the
    plumbing's own line.  An ``imputed`` site is a guess, see ``candidates``; of an ``unknown`` one, and
    where no more than a callback of the standard library is known, ``frame`` is where the coroutine is
    defined.
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

    ``finished`` returned, ``failed`` raised, ``cancelled`` were cancelled, ``lost`` were destroyed while
    pending, ``unseen`` ended unobserved (tasks older than the agent).  ``born`` includes adopted tasks, so
    born = live + finished + failed + cancelled + lost + unseen.
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

    ``adopted``: how many of ``born`` are older than the agent.  ``retained``: done but still referenced.
    """

    site: int
    counts: Counts
    oldest: float | None = None
    median: float | None = None
    adopted: int = 0
    retained: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """One tick.  ``sites`` holds what changed since the previous sample (every site, if ``full``).

    ``cpu`` and ``agent_cpu`` are cores over the last interval (0.31 = 31 % of one core), ``rss`` and
    ``agent_memory`` bytes, ``loop_latency`` the highest p99 of any loop over the last minute, in seconds.
    None: unknown on this platform.  ``new_sites`` defines sites before they are counted.  ``process`` is set
    when one of its limits changes.  ``arriving``: tasks older than the agent are still being registered.
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
    arriving: bool = False


@dataclass(frozen=True, slots=True)
class History:
    """Past samples of the process, oldest first, denser towards the end.  None: unknown."""

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
    """Past counts of one site, oldest first.  Values hold until the next listed time."""

    site: int
    times: tuple[float, ...]
    live: tuple[int, ...]
    born: tuple[int, ...]
    ended: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that ended ``count`` tasks of a site between ``first`` and ``last``.

    Errors of one type from one line are grouped.  ``error`` is type and message of the last, from task
    ``serial``.  ``raised`` is the innermost frame of its traceback, ``user_frame`` the innermost user frame,
    if any.
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
    """A site with its sampled creation stacks and its tasks' errors, latest first."""

    site: Site
    counts: SiteCounts
    stacks: tuple[CreationStack, ...]
    failures: tuple[Failure, ...] = ()
