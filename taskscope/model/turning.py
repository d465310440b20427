"""What loops run while they are awake, and what they run for nothing."""

from __future__ import annotations

from taskscope.model.descriptors import Descriptor  # noqa: TC001  (field types are resolved at run time)
from taskscope.model.frames import Frame  # noqa: TC001  (field types are resolved at run time)
from taskscope.values import dataclass

__all__ = ["Callback", "LoopTurns", "Rearmed", "Starting"]


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback that was running or queued on ``looks`` looks at a loop.

    ``frame``: where it is defined; of a task, where it is suspended.  ``task`` 0: it is none of a task.
    """

    function: str
    frame: Frame
    looks: int
    task: int = 0


@dataclass(frozen=True, slots=True)
class Rearmed:
    """A callback or task that was queued anew in every iteration, while the loop never slept.

    ``frame``: the line that queues it again; ``user_frame``: the line of the program behind it.  ``of_task``:
    it is a step of ``task``.  ``changes``: its variables or those of its object changed meanwhile;
    ``counts``: numbers among them.  ``owner``: the class of that object.  ``task``: the serial of the task
    behind it, ``coroutine`` that task's; ``ended``: all tasks behind it have ended.  ``left_by``: the line
    that leaves by hand what the object stands for.

    ``on``: instead, the descriptor for which it is called, which was ready on every look, with the same bytes
    unread; ``writes``: ready to be written.  ``frame`` is then the line that watches it.
    """

    function: str
    frame: Frame
    user_frame: Frame | None
    of_task: bool
    changes: bool
    counts: bool = False
    owner: str = ""
    task: int = 0
    coroutine: str = ""
    site: int = 0
    ended: bool = False
    left_by: Frame | None = None
    on: Descriptor | None = None
    writes: bool = False


@dataclass(frozen=True, slots=True)
class Starting:
    """A site that went on starting tasks during the looks, ``births`` in all, while its stock stayed flat.

    Those that tasks of such a site start are left out.  ``chain``: each was started by another; otherwise
    ``parent`` is the serial of the task that started the newest, ``function`` its coroutine (0, "": unknown).
    ``changes``: something that they or that task work on changed meanwhile; ``counts``: numbers did;
    ``whole``: all that they reach was compared.  ``finished`` of them returned, ``broken_off`` failed or were
    cancelled.  ``others``: looks at which the loop had anything else to run, other than what asyncio queues
    for such tasks, out of ``looks`` at which it was awake.
    """

    site: int
    births: int
    finished: int
    broken_off: int
    chain: bool
    parent: int = 0
    function: str = ""
    changes: bool = False
    counts: bool = False
    whole: bool = True
    others: int = 0
    looks: int = 0


@dataclass(frozen=True, slots=True)
class LoopTurns:
    """One loop over ``seconds``, at ``looks`` looks.

    ``asleep``: looks at which it waited in its selector; ``without_wait``: at which it polled without
    waiting.  ``iterations``: per second, measured only if a callback keeps it awake.  ``cpu``: share of a
    core that its thread used; ``sleeps``: how often that slept per second.  None: unknown.  ``callbacks``:
    most frequent first.  ``starting``: its sites that start the most tasks.
    """

    loop: int
    monotonic: float
    seconds: float
    looks: int
    asleep: int
    without_wait: int
    iterations: float | None
    cpu: float | None
    sleeps: float | None
    callbacks: tuple[Callback, ...] = ()
    rearmed: tuple[Rearmed, ...] = ()
    starting: tuple[Starting, ...] = ()
