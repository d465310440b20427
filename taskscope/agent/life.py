"""The life of an agent in a process: its start and end, its failures, and what each kind of agent answers.

There are two: ``agent`` sees everything, ``counting`` only counts, where no more is safe.
"""

from __future__ import annotations

import atexit
from functools import partial
from typing import TYPE_CHECKING, Any

from taskscope import model, wire
from taskscope.agent.answers import source
from taskscope.agent.answers.site import detail
from taskscope.agent.counts import process
from taskscope.agent.counts.registry import Registry
from taskscope.agent.hooks import forking
from taskscope.agent.hooks.lasting import calls_of
from taskscope.agent.hooks.parts import insist
from taskscope.agent.inspect import looking, origins, stacks
from taskscope.agent.inspect.walk import run
from taskscope.agent.reply import part_senders
from taskscope.model import requests
from taskscope.model.snapshot import add_part
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.agent.counts.sampler import Sampler
    from taskscope.agent.hooks.parts import Part
    from taskscope.agent.hooks.presence import Presence
    from taskscope.agent.inspect.walk import Job
    from taskscope.agent.server import Server
    from taskscope.model.requests import Request
    from taskscope.model.vocabulary import Arrived

    Actions = dict[type[Request[Any]], Callable[[Any], Job[Any]]]

MIN_INTERVAL, MAX_INTERVAL = 0.1, 60.0
"""Seconds between samples."""

ARRIVAL = 10.0
"""Most seconds a snapshot waits for older tasks to be registered."""

MAX_FAILURES = 50
"""Failures of ours reported individually."""


class Resident:
    """One at a time; see ``taskscope.start``."""

    lingers = float("inf")  # seconds without a client after which it leaves by itself
    notes: tuple[str, ...] = ()
    """What it leaves out."""
    presence: Presence
    exits: Part
    sampler: Sampler
    server: Server

    def __init__(
        self, name: str | None, *, interval: float, control: bool, version: str, arrived: Arrived = "started"
    ) -> None:
        self.interval = min(max(interval, MIN_INTERVAL), MAX_INTERVAL)
        self.control = control
        self.version = version
        self.arrived = arrived
        self.since = clock.monotonic()
        origins.read_configuration()
        self.described = process.Described(name or process.default_name())
        self.registry = Registry()
        self.on_stop: Callable[[], None] = lambda: None
        self.exiting = False
        self._ended = False

    @property
    def process(self) -> model.Process:
        return self.described.process

    # -- what differs --------------------------------------------------------------------------

    def obstacle(self) -> str:
        """Why it cannot run in this interpreter; empty if it can."""
        raise NotImplementedError

    def begin(self) -> None:
        """Arms the hooks and starts the thread."""
        raise NotImplementedError

    def forked(self) -> None:
        """In a forked child."""
        raise NotImplementedError

    def tick(self) -> Job[model.Sample]:
        """The next sample."""
        raise NotImplementedError

    def sections(
        self, emit: Callable[[str, Any], None], emit_large: Callable[[str, Any], Job[None]], *, stacks: bool
    ) -> Job[int]:
        """The whole state in parts, and how many."""
        raise NotImplementedError

    def look(self, late: float) -> float:
        """Looks at the loops; returns the seconds until the next look."""
        return self.interval

    def work(self) -> None:
        """Called as the thread begins to work."""

    def rest(self) -> None:
        """Called as the thread rests while nobody watches."""

    def deserted(self) -> None:
        """Called as the last client goes."""

    def settled(self, patience: float) -> Job[None]:
        """Waits until what was there before the agent is counted, ``patience`` seconds at most."""
        yield

    # -- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Arms the hooks and starts the thread.

        Raises EndpointError, OSError, or RuntimeError where no agent can run, and then leaves nothing behind.
        """
        if reason := self.obstacle():
            raise RuntimeError(reason)
        try:
            self.exits.arm(self._arm_exits)
            self.begin()
        except BaseException:
            self.stop()
            raise
        if self._ended:  # the thread has failed meanwhile, or a client has already detached us
            self._undo()

    def stop(self) -> None:
        """Undoes everything.  Never raises."""
        for _ in range(2):  # a failed step may succeed on retry
            try:
                try:
                    self.server.stop()
                finally:
                    self._undo()
                break
            except Exception as error:  # noqa: BLE001  (an outer edge: the program must not see it)
                self.tell("agent", error)

    def thread_ended(self) -> None:
        """Called by the thread as it ends, also after a detach request."""
        if not self.exiting:
            self._undo()

    def _undo(self) -> None:
        self._ended = True
        self.presence.undo()
        insist("agent", self.tell, stacks.forget_shapes, looking.forget, self.on_stop)

    def _arm_exits(self) -> None:
        at_exit = calls_of("_taskscope_exits", atexit.register)
        self.exits.on_undo(at_exit.clear)
        at_exit[:] = [self.exits.guarded(self._at_exit)]
        forking.follow(self, self.exits)

    def _at_exit(self) -> None:
        """At process exit: only the socket's file must be removed."""
        self.exiting = True
        self.server.stop(timeout=1.0)

    def tell(self, where: str, error: BaseException) -> None:
        """Records a failure of ours for attached clients.  Never raises."""
        try:
            if len(self.sampler.disarmed) < MAX_FAILURES:
                self.sampler.disarmed.append(f"{where}: {type(error).__name__}: {error}"[:300])
            else:
                self.registry.drop("failures")
        except Exception:  # noqa: BLE001  (the outermost edge: nothing is left to report to)
            pass

    # -- for the server ------------------------------------------------------------------------

    def hello(self) -> model.Hello:
        return model.Hello(
            protocol=wire.PROTOCOL,
            taskscope=self.version,
            process=self.process,
            interval=self.interval,
            control=self.control,
            agent_since=self.since,
            monotonic=clock.monotonic(),
            wall=clock.wall(),
            arrived=self.arrived,
            notes=self.notes,
        )

    def answer(self, request: Request[Any], send: Callable[[bytes], None]) -> Job[Any]:
        """Raises NotFoundError, RemoteError."""
        return (yield from self._actions(send)[type(request)](request))

    def _actions(self, send: Callable[[bytes], None]) -> Actions:
        """The answer to each request, except those of the desk."""
        return {
            requests.Site: lambda query: detail(self.registry, query),
            requests.History: self._history,
            requests.SiteHistory: self._site_history,
            requests.Source: source.source,
            requests.Modules: source.modules,
            requests.Snapshot: lambda query: self._snapshot(query, send),
            requests.SetInterval: self._set_interval,
            requests.Detach: lambda _: now(dict),
        }

    def _history(self, query: requests.History) -> Job[model.History]:
        yield
        return self.sampler.history.read(clock.monotonic() - query.seconds)

    def _site_history(self, query: requests.SiteHistory) -> Job[tuple[model.SiteHistory, ...]]:
        found = []
        since = clock.monotonic() - query.seconds
        for site in query.sites:
            found.append(self.sampler.past(site, since))
            yield
        return tuple(found)

    def _snapshot(self, query: requests.Snapshot, send: Callable[[bytes], None]) -> Job[dict[str, int]]:
        yield from self.settled(ARRIVAL)
        parts = yield from self.sections(*part_senders(send), stacks=query.stacks)
        return {"parts": parts}

    def snapshot(self) -> dict[str, Any]:
        """The whole state, built synchronously, for the program itself."""
        result: dict[str, Any] = {}
        emit = partial(add_part, result)
        run(self.sections(emit, lambda name, value: now(lambda: emit(name, wire.pack(value))), stacks=True))
        return result

    def _set_interval(self, query: requests.SetInterval) -> Job[dict[str, float]]:
        yield
        self.interval = min(max(query.seconds, MIN_INTERVAL), MAX_INTERVAL)
        return {"interval": self.interval}


def now(function: Callable[[], Any]) -> Job[Any]:
    """The answer of a function that is soon done."""
    yield
    return function()
