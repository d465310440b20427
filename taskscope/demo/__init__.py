"""The five leaking services and their fixed twins.

Each is a package of its own, ``python -m taskscope.demo.NAME [--fixed] [--speed N]``, independent of
TaskScope.  This module describes them without importing them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class System:
    """One demo service.

    ``look`` says what to watch.  ``guilty`` lists the places of the leaky version that start tasks that
    never end, as (file name, function); ``cause`` names why, and ``rates`` the tasks per minute that each
    gains at speed 1, in the same order.  ``speed`` shows the leak best within a minute.
    """

    name: str
    title: str
    look: str
    guilty: tuple[tuple[str, str], ...]
    cause: tuple[str, ...]
    rates: tuple[float, ...]
    speed: float = 1.0

    @property
    def rate(self) -> float:
        """Tasks per minute that the leaky version gains at speed 1, over all places."""
        return sum(self.rates)


_ORDERS = System(
    name="orders",
    title="one sleeper per error",
    look="""\
An order executor counts the orders that failed in the last five minutes. Each failure adds one, and a task
that sleeps 300 s subtracts it again. At 100 failures per second, the site in record_failure gains 6,000
tasks per minute, all asleep and awaited by nothing, until it levels off at rate x sleep = 30,000. The 50
tasks started in open_streams live as long as the service and do not grow: long-lived, not a leak (though
nothing stops them at shutdown). The short tasks of the order server come and go by the hundred. Fixed: one
ticker drops old times from a list.""",
    guilty=(("executor.py", "record_failure"),),
    cause=("sleeper per event",),
    rates=(6_000.0,),
)

_HEARTBEAT = System(
    name="heartbeat",
    title="the child that outlives its owner",
    look="""\
Twelve websocket clients follow a venue that disconnects each of them every 20 s. Every connect starts a
heartbeat task that nothing keeps, so it outlives its session: the site in connect gains 36 tasks per
minute, all asleep, all orphans (the session that created them has ended). In the task tree their parents
are ghosts. The other tasks come and go: sessions, dashboard requests, the library's own. Fixed: the client
keeps its heartbeat, cancels it with the session, and waits up to 5 s for it; its pauses can be
interrupted.""",
    guilty=(("client.py", "connect"),),
    cause=("orphan",),
    rates=(36.0,),
)

_BACKEND = System(
    name="backend",
    title="five small lifecycle bugs in one API server",
    look="""\
An API server runs jobs that clients can watch. Five sites gain 110 tasks per minute together. serve:
readers whose client disconnected after its run, blocked on a full queue that no hub reads any more.
announce: notices whose acknowledgement never comes. on_event: halts, in bursts of three, waiting for the
lock of the first, which waits for a confirmation. process: workers with a result for a collector that has
given up. start (of the cleanup): workers waiting for work after a stop() that did not wait for them. Runs,
hubs, writers and requests come and go; four report workers stay. Fixed: puts that do not wait, calls with
a timeout, a collector that ends its workers, and a stop() that waits.""",
    guilty=(
        ("hub.py", "serve"),
        ("notices.py", "announce"),
        ("risk.py", "on_event"),
        ("signals.py", "process"),
        ("cleanup.py", "start"),
    ),
    cause=("stuck handing over", "fire and forget", "fire and forget", "stuck handing over", "stuck waiting"),
    rates=(20.0, 30.0, 20.0, 20.0, 20.0),
)

_RESTARTS = System(
    name="restarts",
    title="start() called twice",
    look="""\
A simulation of 1,600 nodes in 32 zones, with a chaos event every 90 s. One event in five is a restart,
which calls start() on every controller again. start() has no guard, so each call adds another loop next to
the first: the site in start gains 1,600 tasks at each restart, in steps, 12,800 per hour, and stop() ends
only the last of them. The same coroutine runs N times on one ChaosController. The recoveries after the
other events live for seconds. Fixed: a second start() does nothing while the loop runs.""",
    guilty=(("controller.py", "start"),),
    cause=("started twice",),
    rates=(32 * 50 / 7.5,),
    speed=30.0,
)

_ROTATION = System(
    name="rotation",
    title="the next round starts before the last one ended",
    look="""\
A log capturer follows 171 streams of eight containers, each with a thread in a blocking read and a task
that writes. It rotates every stream every five minutes: it closes the stream, cancels the task, and starts
a new reader at once. But the old thread is stuck in its read, and its task waits for it: the site in start
gains 34.2 tasks per minute that were cancelled and still run, as many threads, and three descriptors each,
up to the limit. The 171 of the first generation are fine. Fixed: disconnect, and wait for the old reader
before starting the next.""",
    guilty=(("reader.py", "start"),),
    cause=("generations overlapping",),
    rates=(34.2,),
)

SYSTEMS: dict[str, System] = {
    system.name: system for system in (_ORDERS, _HEARTBEAT, _BACKEND, _RESTARTS, _ROTATION)
}
"""The demo services by name."""
