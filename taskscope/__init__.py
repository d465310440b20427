"""TaskScope: htop for asyncio tasks and threads.

The public API: `start`, `stop`, `snapshot`, `no_leaks`.  Importing it costs the standard library only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taskscope.agent import Agent
    from taskscope.guard import NoLeaks

__version__ = "0.1.0"
__all__ = ["no_leaks", "snapshot", "start", "stop"]

_agent: Agent | None = None


def start(name: str | None = None, *, interval: float = 1.0, control: bool = False) -> None:
    """Starts the agent in this process; harmless if it runs already.

    name: what to call this process in ``taskscope attach NAME`` (default: the script's name).
    interval: seconds between samples, 0.1 to 60.
    control: whether somebody attached may cancel tasks.

    Raises OSError (or EndpointError) if there is no place for its socket.
    """
    global _agent  # noqa: PLW0603
    if _agent is not None:
        return
    from taskscope.agent import Agent

    agent = Agent(name, interval=interval, control=control, version=__version__)
    agent.on_stop = _forget
    agent.start()
    _agent = agent


def stop() -> None:
    """Removes the agent and everything it patched; harmless if there is none."""
    agent = _agent
    if agent is not None:
        agent.stop()
        _forget()


def snapshot() -> dict[str, Any]:
    """The whole state of this process, as ``taskscope snapshot`` writes it (JSON values).

    Starts the agent if there is none.  Raises OSError if that fails.
    """
    start()
    assert _agent is not None
    from taskscope import within

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

    Raises guard.LeakError (an AssertionError) at the end, saying of each what it runs, who started it and
    where it stands.
    """
    from taskscope.guard import NoLeaks

    return NoLeaks(grace, tolerance, allow, threads=threads)


def _forget() -> None:
    global _agent  # noqa: PLW0603
    _agent = None
