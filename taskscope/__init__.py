"""TaskScope: htop for asyncio tasks and threads.

The public API: `start`, `stop`, `snapshot`.  Importing it costs the standard library only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskscope.agent import Agent

__version__ = "0.1.0"
__all__ = ["snapshot", "start", "stop"]

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
    return _agent.snapshot()


def _forget() -> None:
    global _agent  # noqa: PLW0603
    _agent = None
