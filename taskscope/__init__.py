"""TaskScope: htop for asyncio tasks and threads.

The public API: `start`, `stop`, `snapshot`, `no_leaks`.  It imports only the standard library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taskscope.agent.agent import Agent
    from taskscope.testing.guard import NoLeaks

__version__ = "0.1.0"
__all__ = ["StartError", "no_leaks", "snapshot", "start", "stop"]

_agent: Agent | None = None


class StartError(OSError):
    """The agent could not start; the message says why.  It leaves nothing behind."""


def start(name: str | None = None, *, interval: float = 1.0, control: bool = False) -> None:
    """Starts the agent in this process; does nothing if it already runs.

    name: the name for ``taskscope attach NAME`` (default: the script's name).
    interval: seconds between samples, 0.1 to 60.
    control: whether attached clients may cancel tasks.

    Raises only StartError: there is no place for its socket, no free descriptor or thread, this is a
    subinterpreter, or TaskScope has a bug.  The program is then unchanged and can continue.
    """
    global _agent  # noqa: PLW0603
    if _agent is not None:
        return
    try:
        from taskscope.agent.agent import Agent

        _agent = agent = Agent(name, interval=interval, control=control, version=__version__)
        agent.on_stop = lambda: _forget(agent)
        agent.start()
    except Exception as error:
        _agent = None
        raise StartError(str(error) or type(error).__name__) from error


def stop() -> None:
    """Removes the agent and every patch; does nothing if there is none.  Never raises."""
    agent = _agent
    if agent is not None:
        agent.stop()


def snapshot() -> dict[str, Any]:
    """The state of this process, as ``taskscope snapshot`` writes it (JSON values).

    Starts the agent if there is none.  Raises StartError if that fails.
    """
    start()
    assert _agent is not None
    from taskscope.testing import within

    return within.snapshot(_agent)


def no_leaks(
    *, grace: float = 0.5, tolerance: int = 0, allow: Iterable[str] = (), threads: bool = True
) -> NoLeaks:
    """Requires that every task and thread started inside has ended: a context manager (also ``async with``)
    and a decorator for functions and coroutine functions.

    grace: seconds to wait for leftovers to end.
    tolerance: how many leftovers to accept.
    allow: glob patterns for task names, thread names, qualified names of what they run, or the
    ``folder/file.py:function`` that started them.
    threads: whether to check threads too.

    Raises testing.guard.LeakError (an AssertionError) at the end: what each leftover runs, what started it,
    and where it is.
    """
    from taskscope.testing.guard import NoLeaks

    return NoLeaks(grace, tolerance, allow, threads=threads)


def _forget(agent: Agent) -> None:
    global _agent  # noqa: PLW0603
    if _agent is agent:
        _agent = None
