"""The five leaking services and their fixed twins.

Each is a package of its own, ``python -m taskscope.demo.NAME [--fixed] [--speed N]``, and knows nothing
of TaskScope.  This module describes them and imports none.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class System:
    """One demo service.

    ``look`` says what to look at.  ``guilty`` are the places of the leaky version that start what never
    ends, as (file name, function), and ``cause`` the word for why it does not end, in the same order.
    ``rates`` are the tasks a minute that each place gains at speed 1.  ``speed`` shows its leak best within
    a minute.
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
        """Tasks a minute that the leaky version gains at speed 1, over all places."""
        return sum(self.rates)


_ORDERS = System(
    name="orders",
    title="one sleeper per error",
    look="""\
An order executor counts the orders that failed in the last five minutes: one up at once, one down by a task
that sleeps 300 s. At 100 failures a second the site in record_failure gains 6,000 tasks a minute, all
parked in a sleep, awaited by nobody, until it levels off at rate x sleep: 30,000. The 50 tasks started in
open_streams live as long as the service, but their number stays: long-lived, no leak (though nobody stops
them at shutdown). The short tasks of the order server come and go by the hundred. --rate 1000 is the load
test that the team put off: 300,000 live tasks. Fixed: one ticker drops old times from a list.""",
    guilty=(("executor.py", "record_failure"),),
    cause=("sleeper per event",),
    rates=(6_000.0,),
)

_HEARTBEAT = System(
    name="heartbeat",
    title="the child that outlives its owner",
    look="""\
Twelve websocket clients follow a venue that hangs up on each of them every 20 s. Every connect starts a
heartbeat task that nobody keeps, so it outlives its session: the site in connect gains 36 tasks a minute,
all in a sleep, all orphans (the session that created them has ended). In the task tree their parents are
ghosts. The other tasks come and go: sessions, requests of the dashboard, the library's own. Fixed: the
client keeps its heartbeat, cancels it with the session, waits for it up to 5 s, and its pauses can be
interrupted.""",
    guilty=(("client.py", "connect"),),
    cause=("orphan",),
    rates=(36.0,),
)

_BACKEND = System(
    name="backend",
    title="five small lifecycle faults in one API server",
    look="""\
An API server with runs that can be watched. Five sites gain tasks, 110 a minute together. serve: readers of
watchers who hung up after their run, handing their client to a full queue that no hub reads any more.
announce: notices whose acknowledgement never comes. on_event: halts, in bursts of three, waiting for the
lock of the first, which waits for a confirmation. process: workers with a result for a collector that has
given up. start (of the clean-up): workers waiting for work after stop(), which did not wait for them. Runs,
hubs, writers and requests come and go; four report workers stay. Fixed: hand-over without waiting, calls
awaited with a time-out, collection that ends its workers, stop() that waits.""",
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
A simulation of 1,600 nodes in 32 zones, with a chaos event every 90 s. One of five is a restart, which
calls start() of every controller again; start() has no guard, so each call adds a second, third, fourth
loop beside the first, fifty a zone: the site in start gains 1,600 tasks at each restart, in steps, 12,800
an hour, and stop() ends only the last of them. The same coroutine runs N times on one ChaosController. The
recoveries that follow the other events live for seconds. Fixed: a second start() does nothing while the
loop runs.""",
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
that writes, and rotates every stream once in five minutes: it closes the stream, cancels the task, and
starts a new reader at once. But the old one is stuck in its read, and its task waits for it: the site in
start gains 34.2 tasks a minute that were cancelled and go on, as many threads, and three descriptors each,
until the limit. The 171 of the first generation are well. Fixed: hang up, wait for the old reader, then go
on.""",
    guilty=(("reader.py", "start"),),
    cause=("generations overlapping",),
    rates=(34.2,),
)

SYSTEMS: dict[str, System] = {
    system.name: system for system in (_ORDERS, _HEARTBEAT, _BACKEND, _RESTARTS, _ROTATION)
}
"""By name, in the order of their pages."""
