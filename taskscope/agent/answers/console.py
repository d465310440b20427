"""aiomonitor's console in this process: the running one, or one started on request.

Starting one requires control permission and an installed aiomonitor.  It adds no hook, and is closed when the
client leaves it, when the last client disconnects, or when the agent stops.
"""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from taskscope import wire
from taskscope.agent.hooks.aiomonitor import monitors
from taskscope.agent.inspect import runs
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.agent.counts.loops import LoopWatch
    from taskscope.agent.hooks.parts import Part
    from taskscope.agent.inspect.walk import Job
    from taskscope.model import requests

PATIENCE = 10.0
"""Seconds for a loop to start it."""

_LOOPBACK = "127.0.0.1"
_EVERYWHERE = {"0.0.0.0": _LOOPBACK, "::": "::1", "": _LOOPBACK}  # noqa: S104  (what others listen on)


class Console:
    """The console of this process."""

    def __init__(self, watch: LoopWatch, part: Part, control: bool) -> None:
        self._watch = watch
        self._part = part
        self._control = control
        self._started: Any = None

    def where(self, query: requests.Console) -> Job[dict[str, Any]]:
        """Its host and port, and whether we started it; host None if none runs and none was requested.

        Raises RemoteError with the reason if it cannot be started.
        """
        yield
        running = monitors()
        if not running and query.start:
            yield from self._start()
            running = monitors()
            if not running:
                raise wire.RemoteError(wire.NOT_FOUND, "aiomonitor started here and ended immediately")
        if not running:
            self._permitted()
            return {"host": None, "port": None, "started": False}
        monitor = running[0]
        host = str(monitor.host)
        return {
            "host": _EVERYWHERE.get(host, host),
            "port": int(monitor.port),
            "started": monitor is self._started,
        }

    def leave(self, _: requests.LeaveConsole) -> Job[dict[str, Any]]:
        """Closes the console that the client requested."""
        yield
        self.stop()
        return {}

    def stop(self) -> None:
        """Closes the console we started.  Never raises."""
        self._started = None
        self._part.undo()

    @staticmethod
    def _close(monitor: Any) -> None:
        """Closes it, and keeps the loop's current task factory."""
        if monitor.closed:
            return
        loop = monitor._monitored_loop
        factory = loop.get_task_factory()
        try:
            monitor.close()  # restores the factory from when it started
        finally:
            loop.set_task_factory(factory)

    def _permitted(self) -> None:
        if not self._control:
            raise wire.RemoteError(
                wire.FORBIDDEN,
                "no aiomonitor runs in this process, and its agent only observes: start the agent with "
                "control=True, or aiomonitor.start_monitor() in the program",
            )

    def _start(self) -> Job[None]:
        self._permitted()
        running = (yield from self._watch.running()).values()
        loops = (loop for number, loop in self._watch.loops() if number in running)
        loop = next((loop for loop in loops if not runs.is_run(loop)), None)
        if loop is None:
            raise wire.RemoteError(wire.NOT_FOUND, "no event loop is running in this process")
        try:
            from aiomonitor import start_monitor
        except ImportError:
            raise wire.RemoteError(
                wire.NOT_FOUND,
                "aiomonitor is not installed in this process's Python: pip install aiomonitor there",
            ) from None
        outcome: list[Exception | None] = []
        self._part.armed = True
        self._watch.wakes(loop)
        loop.call_soon_threadsafe(self._part.guarded(self._start_on), start_monitor, loop, outcome)
        blocked = wire.RemoteError(
            wire.NOT_FOUND, "the event loop is blocked, so no console was opened: try again later"
        )
        give_up = clock.monotonic() + PATIENCE
        try:
            while not outcome and clock.monotonic() < give_up:
                yield
        finally:  # also if the client has left: it must not start later
            outcome.append(blocked)
        if isinstance(outcome[0], wire.RemoteError):
            raise outcome[0]
        if outcome[0] is not None:
            raise wire.RemoteError(wire.NOT_FOUND, f"aiomonitor did not start: {outcome[0]}")

    def _start_on(
        self, start_monitor: Callable[..., Any], loop: Any, outcome: list[Exception | None]
    ) -> None:
        """Runs in the loop's thread, so the console shows that thread's stack."""
        if outcome:
            return  # the request was given up
        try:
            console, telnet, web = _free_ports(3)
            monitor = start_monitor(loop, host=_LOOPBACK, port=telnet, webui_port=web, console_port=console)
            self._part.on_undo(self._close, monitor)
            self._started = monitor
        except Exception as error:  # noqa: BLE001  (an outer edge: the program's loop must not see it)
            outcome.append(error)
        else:
            outcome.append(None)


def _free_ports(count: int) -> list[int]:
    """Loopback ports that were free a moment ago."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((_LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]
