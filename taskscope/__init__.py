"""TaskScope: htop for asyncio tasks and threads.

The public API: `start`, `stop`, `snapshot`, `no_leaks`.  Importing it costs the standard library only.
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
    """The agent could not start, for the reason that this says in a sentence; nothing of it is left."""


def start(name: str | None = None, *, interval: float = 1.0, control: bool = False) -> None:
    """Starts the agent in this process; harmless if it runs already.

    name: what to call this process in ``taskscope attach NAME`` (default: the script's name).
    interval: seconds between samples, 0.1 to 60.
    control: whether somebody attached may cancel tasks.

    Raises StartError, and nothing else, if it cannot: no place for its socket, no descriptor or thread to be
    had, a subinterpreter, or a fault of ours.  Then nothing of it is left, and the program can go on.
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
    """Removes the agent and everything it patched; harmless if there is none.  Never raises."""
    agent = _agent
    if agent is not None:
        agent.stop()


def snapshot() -> dict[str, Any]:
    """The whole state of this process, as ``taskscope snapshot`` writes it (JSON values).

    Starts the agent if there is none.  Raises StartError if that fails.
    """
    start()
    assert _agent is not None
    from taskscope.testing import within

    return within.snapshot(_agent)


def no_leaks(
    *, grace: float = 0.5, tolerance: int = 0, allow: Iterable[str] = (), threads: bool = True
) -> NoLeaks:
    """Code in which tasks and threads that it starts must end: a context manager (also ``async with``) and
    a decorator of functions of both kinds.

    grace: seconds that what is left has to end.
    tolerance: how many may be left.
    allow: patterns, as file names have them, of task names, thread names, qualified names of what they
    run, or ``folder/file.py:function`` where they are started.
    threads: whether threads count too.

    Raises testing.guard.LeakError (an AssertionError) at the end: what each runs, who started it, where it
    stands.
    """
    from taskscope.testing.guard import NoLeaks

    return NoLeaks(grace, tolerance, allow, threads=threads)


def _forget(agent: Agent) -> None:
    global _agent  # noqa: PLW0603
    if _agent is agent:
        _agent = None
