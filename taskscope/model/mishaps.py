"""What goes wrong with single tasks: errors, time-outs, the wrong thread, destroyed while pending."""

from __future__ import annotations

from taskscope.model import vocabulary as words  # noqa: TC001  (field types are resolved at run time)
from taskscope.model.frames import Frame  # noqa: TC001  (field types are resolved at run time)
from taskscope.model.sites import Failure  # noqa: TC001  (field types are resolved at run time)
from taskscope.values import dataclass

__all__ = ["FromOtherThread", "Lost", "Mishaps", "Retried", "TimedOut"]


@dataclass(frozen=True, slots=True)
class FromOtherThread:
    """Tasks of a site that were created by a thread that does not run their loop."""

    site: int
    thread: str
    count: int
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Lost:
    """Tasks of a site that were destroyed while pending.

    ``frame``: where the last of them waited; None: unknown, as its coroutine was closed before.
    """

    site: int
    count: int
    frame: Frame | None
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class TimedOut:
    """Of ``ended`` tasks of a site, ``count`` lived for ``seconds``; live ones wait, so a time-out ends them.

    ``wait``, ``text`` and ``frame``: what the oldest live ones wait for, and where.
    """

    site: int
    ended: int
    count: int
    seconds: float
    wait: words.Wait
    text: str
    frame: Frame
    user_frame: Frame | None
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Retried:
    """Of the oldest ``looked_at`` tasks of a site, ``count`` sleep in an ``except`` for the same error again.

    They were there before, and have tried since.  ``frame``: where they sleep; ``raised``: the line that the
    error came from, the user's if there is one.
    """

    site: int
    error: str
    count: int
    looked_at: int
    frame: Frame
    raised: Frame | None
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Mishaps:
    """At one moment.  ``failures``: the most frequent error of each site first."""

    monotonic: float
    failures: tuple[Failure, ...] = ()
    from_other_threads: tuple[FromOtherThread, ...] = ()
    lost: tuple[Lost, ...] = ()
    timed_out: tuple[TimedOut, ...] = ()
    retried: tuple[Retried, ...] = ()
