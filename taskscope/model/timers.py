"""The timers of event loops: calls scheduled for later, by what they call and what they keep alive."""

from __future__ import annotations

from taskscope.model import vocabulary as words  # noqa: TC001  (field types are resolved at run time)
from taskscope.model.frames import Frame  # noqa: TC001  (field types are resolved at run time)
from taskscope.values import dataclass

__all__ = ["KeptByTimers", "TimerGroup", "Timers"]


@dataclass(frozen=True, slots=True)
class KeptByTimers:
    """What keeps what the timers of a group hold: ``inspected`` of them, the oldest and the newest.

    ``type``: of the object whose method they call, "" if they call a function.  ``objects``: how many
    different such objects.  ``alone``: of how many timers that object, or an argument, is kept alive by
    nothing else.  ``each``: bytes that one timer alone keeps alive, on average.  ``closed``: how many of the
    objects belong to a closed connection.  ``again``: how many of the group's timers, all of them, would do
    what another pending one does too: call the same method or function with the same objects; ``of``: the
    type of these.
    """

    inspected: int
    type: str
    objects: int
    alone: int
    each: int
    closed: int = 0
    again: int = 0
    of: str = ""


@dataclass(frozen=True, slots=True)
class TimerGroup:
    """Pending timers that call the same function, armed at the same line as far as that is known.

    ``function``: what they call; ``frame``: where it is defined, None if it is not written in Python.
    ``armed``: the lines that may have armed them, most likely first; exact if ``known`` says so.
    ``of_tasks``: each belongs to a task that sleeps or has a timeout.  ``nearest``, ``furthest``: when they
    are due; ``dues``: an even sample of that, in order.  ``later``: how many are due later than any was when
    the agent first looked; if all are armed with one delay, those armed since.  ``kept`` None: not inspected.
    """

    id: int
    function: str
    frame: Frame | None
    armed: tuple[Frame, ...]
    known: words.Known
    of_tasks: bool
    live: int
    nearest: float
    furthest: float
    later: int = 0
    dues: tuple[float, ...] = ()
    kept: KeptByTimers | None = None


@dataclass(frozen=True, slots=True)
class Timers:
    """All timers at ``monotonic``, largest group first; ``unlisted``: timers of the groups left out.

    ``cancelled``: those that asyncio has not removed yet.  ``hidden``: loops that do not show their timers.
    """

    monotonic: float
    groups: tuple[TimerGroup, ...] = ()
    unlisted: int = 0
    cancelled: int = 0
    hidden: int = 0
