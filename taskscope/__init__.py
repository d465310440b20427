"""TaskScope: htop for asyncio tasks and threads.

The public API: `start`, `stop`, `snapshot`, `metrics_app`, `no_leaks`, `attach`.  It imports only the
standard library.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as `typing` has it, which takes 10 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterable
    from socket import socket
    from typing import Any

    from taskscope.agent.life import Resident
    from taskscope.asgi import MetricsApp
    from taskscope.sources.attached import Attaching
    from taskscope.testing.guard import NoLeaks

__version__ = "0.1.0"
__all__ = ["StartError", "attach", "metrics_app", "no_leaks", "snapshot", "start", "stop"]

_agent: Any = None  # a Resident, of one kind or the other


class StartError(OSError):
    """The agent could not start; the message says why.  It leaves nothing behind."""


def start(
    name: str | None = None,
    *,
    interval: float = 1.0,
    control: bool = False,
    on: str | Iterable[str] = (),
    metrics: str | None = None,
) -> None:
    """Starts the agent in this process, if it does not run already.

    name: the name for ``taskscope attach NAME`` (default: the script's name).
    interval: seconds between samples, 0.1 to 60.
    control: whether attached clients may cancel tasks.
    on: rules, each ``"WORDS DO"`` like ``"leak,hang,fds=90% report:/var/log/shop"`` (see ``watch --help``).
    metrics: where to serve metrics, ``"127.0.0.1:9464"``.

    Rules and metrics run in a second process, which ends with the agent; each call that names some starts
    one.

    Raises only StartError: there is no place for its socket, no free descriptor or thread, no agent can run
    in this interpreter, a rule cannot be read, nobody can listen at that address, or TaskScope has a bug.
    The program is then unchanged and can continue.
    """
    global _agent  # noqa: PLW0603
    from taskscope.interpreter import obstacle

    if reason := obstacle():
        raise StartError(reason)
    before, listener = _agent, None
    try:
        rules, listener = _prepared(on, metrics)
        if before is None:
            _agent = agent = _made(name, interval=interval, control=control)
            agent.on_stop = lambda: _forget(agent)
            agent.start()
        if rules or listener is not None:
            from taskscope import companion

            assert _agent is not None
            companion.start(_agent.server.listener.path, rules, listener)
    except Exception as error:
        if before is None:
            stop()
            _agent = None
        raise StartError(str(error) or type(error).__name__) from error
    finally:
        if listener is not None:
            listener.close()


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


def metrics_app() -> MetricsApp:
    """An ASGI application that serves the metrics of this process: ``app.mount("/metrics", metrics_app())``.

    Starts the agent if there is none, and a second process as ``start(metrics=…)`` does.  Raises StartError.
    """
    from taskscope import endpoint
    from taskscope.asgi import MetricsApp

    start()
    assert _agent is not None
    path = f"{_agent.server.listener.path.removesuffix('.sock')}.http"
    if not endpoint.answers(path):
        start(metrics=f"unix:{path}")
    return MetricsApp(path)


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


def attach(target: int | str, *, inject: bool = True, via: str = "") -> Attaching:
    """Connects to another process, to read it as the app does: with ``with``, or with ``async with``.

    ``with taskscope.attach(4121) as service: print(service.findings())``.  Its methods give the objects of
    `taskscope.model`: ``process``, ``state()``, ``findings()``, ``judged()``, ``tasks()``,
    ``task(serial)``, ``stack(serial)``, ``threads()`` and ``ask(request)``.  After ``async with``,
    ``tasks()`` takes ``async for``, the other methods are awaited, and ``process`` stays an attribute.

    target: a pid, or what ``taskscope attach`` takes (a name, a socket, a snapshot, a recording).
    inject: whether a process without an agent gets one, which stays when this ends.
    via: a command like ``ssh HOST``, to whose far end the target belongs; taskscope has to be there.

    Entering and every method raise SourceError (``from taskscope.sources.base import SourceError``); its
    message says what to do.  Two subclasses in the same module: TargetGone once the process has ended, and
    NotAvailable for what the target does not have, such as ``task(serial)`` of a task that has ended since it
    was listed.  ``stack(serial)`` is empty then.
    """
    from taskscope.sources.attached import Attaching

    return Attaching(str(target), inject=inject, via=via)


_attaching = attach
"""The function where its name already means the package `taskscope.attach`."""


def _made(name: str | None, *, interval: float, control: bool) -> Resident:
    """The agent for this interpreter."""
    from taskscope.interpreter import is_free_threaded

    if is_free_threaded():
        from taskscope.agent.counting.agent import CountingAgent

        return CountingAgent(name, interval=interval, version=__version__)
    from taskscope.agent.agent import Agent

    return Agent(name, interval=interval, control=control, version=__version__)


def _prepared(on: str | Iterable[str], metrics: str | None) -> tuple[tuple[str, ...], socket | None]:
    """The rules, which can be read, and the socket for metrics."""
    rules = (on,) if isinstance(on, str) else tuple(on)
    if rules:
        from taskscope.analysis.rules import parse_all

        parse_all(rules)
    if metrics is None:
        return rules, None
    from taskscope.companion import listening

    return rules, listening(metrics)


def _forget(agent: Resident) -> None:
    global _agent  # noqa: PLW0603
    if _agent is agent:
        _agent = None
