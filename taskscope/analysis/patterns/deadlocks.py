"""Tasks and threads that wait for each other, for themselves, or for what no longer exists."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis.patterns.chains import (
    LIVING,
    THINGS,
    Case,
    Chains,
    counted,
    dated,
    findings_of,
    named,
    shown,
    standing,
    step,
    steps,
)
from taskscope.analysis.patterns.pattern import ProcessPattern, place
from taskscope.analysis.patterns.unreturned import lines_of

if TYPE_CHECKING:
    from taskscope.model import Finding, WaitEdge, WaitGraph, WaitNode

_GONE = {
    "fork": "its owner stayed behind in the parent when this process was forked",
    "thread": "it belonged to a thread that has ended",
    "task": "it belonged to a task that has ended",
}

_WORKERS_GONE = {
    "fork": "they stayed behind in the parent when this process was forked",
    "thread": "no thread of it is left to take a job",
}


_MANY = ("slots", "pool")


def _circles(graph: WaitGraph | None, *, alone: bool) -> tuple[Finding, ...]:
    """Cycles: of one thread or task with something it holds itself, or of several."""
    if graph is None or not graph.nodes:
        return ()
    seen = Chains(graph)
    cases = [
        _case(seen, graph.monotonic, circle, members)
        for circle in seen.circles()
        if not _is_leaving(circle) and (len(members := seen.members(circle)) == 1) == alone
    ]
    if not alone:
        return findings_of(DEADLOCK, cases)
    return tuple(
        finding
        for pattern, locks in ((ITSELF, True), (ON_ITS_OWN, False))
        for finding in findings_of(pattern, [each for each in cases if each.of_lock == locks])
    )


def _is_leaving(circle: list[WaitEdge]) -> bool:
    """Whether the process is ending, and waits for a thread that no other is left to wake."""
    return any(edge.how == "woken" for edge in circle)


def endings(graph: WaitGraph | None) -> tuple[Finding, ...]:
    """The thread that keeps a process from ending, with the chain that leads there."""
    if graph is None or not graph.nodes:
        return ()
    seen = Chains(graph)
    cases = []
    for circle in filter(_is_leaving, seen.circles()):
        at = next(at for at, edge in enumerate(circle) if edge.how == "woken")
        last = seen.nodes[circle[at].waiter]
        chain = circle[at + 1 :] + circle[: at + 1]
        members = seen.members(circle)
        since = max(each.since or 0.0 for each in members)
        text = f"the process has not ended for at least {wording.age(graph.monotonic - since)}"
        cause = f"no thread is left to wake {named(last)}"
        waiting = seen.waiting_for(each.id for each in members)
        cases.append(Case(last, text, steps(seen, chain), cause, since, len(members), waiting))
    return findings_of(CANNOT_END, cases[:1])


def _ownerless(graph: WaitGraph | None) -> tuple[Finding, ...]:
    """Locks that nobody holds who lives, where the whole process stands still."""
    if graph is None or not graph.nodes:
        return ()
    seen = Chains(graph)
    explained = lines_of(graph)
    chains = {
        each[-1].waiter: each
        for each in _to_rest(seen)
        if _is_of_lock(seen, each) and seen.nodes[each[-2].waiter].frame not in explained
    }
    return findings_of(OWNER_GONE, [_standstill(seen, graph.monotonic, each) for each in chains.values()])


def _standstills(graph: WaitGraph | None) -> tuple[Finding, ...]:
    """A chain to what nothing can end any more: the whole process stands still, or nothing reaches a task."""
    if graph is None or not graph.nodes:
        return ()
    seen = Chains(graph)
    explained = lines_of(graph)
    chains = [each for each in _to_rest(seen) if seen.nodes[each[-1].waiter].frame not in explained]
    if any(_is_of_lock(seen, each) for each in chains):
        chains = []
    cases = [_standstill(seen, graph.monotonic, each) for each in _told(chains)[:1]]
    return findings_of(
        STANDSTILL, cases + [_dead_end(seen, graph.monotonic, each) for each in seen.dead_ends()]
    )


def _to_rest(seen: Chains) -> list[list[WaitEdge]]:
    """The chains to the process as a whole; that it cannot end, another finding says."""
    return [] if any(map(_is_leaving, seen.circles())) else seen.chains_to_rest()


def _is_of_lock(seen: Chains, chain: list[WaitEdge]) -> bool:
    return seen.nodes[chain[-1].waiter].kind == "lock"


def _told(chains: list[list[WaitEdge]]) -> list[list[WaitEdge]]:
    """The chains with something held, if there are any: those say most."""
    return [each for each in chains if any(edge.how == "held" for edge in each)] or chains


def _dead_end(seen: Chains, now: float, chains: list[list[WaitEdge]]) -> Case:
    """``chains``: to one task that nothing can wake."""
    chain = _told(chains)[0]
    last = seen.nodes[chain[-1].on]
    members = [*(node for each in chain if (node := seen.nodes[each.waiter]).kind in LIVING), last]
    since = max(each.since or 0.0 for each in members)
    text = f"{counted(members)} have waited for at least {wording.age(now - since)} for what cannot happen"
    cause = f"nothing that lives can reach what {named(last)} waits for"
    waiting = seen.waiting_for(each.id for each in members)
    return Case(last, text, (*steps(seen, chain), standing(last)), cause, since, len(members), waiting)


def _standstill(seen: Chains, now: float, chain: list[WaitEdge]) -> Case:
    last = seen.nodes[chain[-1].waiter]
    members = [node for each in chain if (node := seen.nodes[each.waiter]).kind in LIVING]
    since = max(each.since or 0.0 for each in members)
    for_long = f"for at least {wording.age(now - since)}"
    if last.kind == "lock":
        at = members[-1]
        text = f"{named(at)} has waited {for_long} for a lock whose owner is gone"
        cause = (
            "nothing that lives is inside a with of it, and nothing can run any more that could release it"
        )
    else:
        at = last if last.kind in ("task", "thread") else shown(members)
        have = "has" if len(members) == 1 else "have"
        text = f"{counted(members)} {have} waited {for_long} for what cannot happen"
        cause = f"all else in the process waits too: nothing is left to wake {named(last)}"
        if last.kind == "channel":
            cause = "all else in the process waits too: nobody is left to use its other end"
    behind = [last.id] if last.kind == "lock" else [each.id for each in members]
    others = seen.waiting_for(behind) - sum(each.id not in behind for each in members)
    return Case(at, text, steps(seen, chain), cause, since, len(members), others)


def _case(seen: Chains, now: float, circle: list[WaitEdge], members: list[WaitNode]) -> Case:
    """``members``: the tasks and threads of the cycle."""
    at = shown(members)
    since = max(each.since or 0.0 for each in members)
    things = [seen.nodes[edge.on] for edge in circle if seen.nodes[edge.on].kind not in LIVING]
    full = next((each for each in things if each.kind in _MANY and len(seen.ahead[each.id]) > 1), None)
    for_long = f"for at least {wording.age(now - since)}"
    if len(members) == 1:
        what = f"a {THINGS[things[0].kind]} that it holds itself" if things else "what only it can do"
        if things and things[0].kind == "channel":
            what = f"{named(things[0])}, whose other end only it has"
        text = f"{named(at)} has waited {for_long} for {what}"
        cause = _interruption(circle) or "only it can end its own wait"
    elif full is not None:
        taken = f"all {len(seen.ahead[full.id]):,} {THINGS[full.kind]}s of {named(full)}"
        text = f"{taken} have been taken {for_long} by those that wait for one"
        cause = f"{taken} are held by those that wait, directly or indirectly, for a free one"
    else:
        text = f"{counted(members)} have waited for each other {for_long}"
        cause = "none of them can continue before another does"
    waiting = max(
        [seen.waiting_for(each.id for each in members), *(seen.others(each, members) for each in things)]
    )
    of_lock = any(each.kind in ("lock", "slots") for each in things)
    return Case(at, text, steps(seen, circle), cause, since, len(members), waiting, of_lock)


def _interruption(circle: list[WaitEdge]) -> str:
    edge = next((each for each in circle if each.interrupted), None)
    if edge is None or edge.frame is None or edge.by is None:
        return ""
    by, holds = f"{edge.by.function} ({place(edge.by)})", f"{edge.frame.function} ({place(edge.frame)})"
    return f"a {edge.interrupted}, {by}, ran while {holds} held the lock"


def _orphaned(graph: WaitGraph | None) -> tuple[Finding, ...]:
    """Waits for locks and pools whose owner or workers are gone."""
    if graph is None or not graph.nodes:
        return ()
    seen = Chains(graph)
    cases = []
    for thing in seen.nodes.values():
        waiters = [seen.nodes[id] for id in seen.behind[thing.id] if seen.nodes[id].kind in LIVING]
        if thing.gone and waiters and thing.kind not in LIVING:
            at = waiters[0]
            since = max(each.since or 0.0 for each in waiters)
            for_long = f"for at least {wording.age(graph.monotonic - since)}"
            what, why = f"a {THINGS[thing.kind]} whose owner is gone", _GONE
            if thing.kind == "pool":
                what, why = "a pool whose workers are gone", _WORKERS_GONE
            steps = tuple(step(seen.nodes, edge) for edge in seen.ahead[at.id] if edge.on == thing.id)
            cases.append(
                Case(
                    at,
                    f"{named(at)} has waited {for_long} for {what}",
                    steps,
                    why[thing.gone],
                    since,
                    len(waiters),
                    seen.waiting_for([thing.id]) - len(waiters),
                )
            )
    return findings_of(OWNER_GONE, cases)


DEADLOCK = ProcessPattern(
    name="deadlock",
    find=lambda process: _circles(dated(process), alone=False) + _standstills(dated(process)),
    noun="deadlock",
    explanation="They wait in a cycle: each holds, or has to do, what another one waits for.",
    remedy=(
        "Take locks in one order everywhere, release what is held before waiting, or wait with a timeout; "
        "never wait in a pool's worker for a job of the same pool."
    ),
)

STANDSTILL = replace(
    DEADLOCK,
    explanation="Whoever could wake the last of them waits as well, or is gone.",
    remedy=(
        "Notify, set, put or release on every way out, errors too; hold nothing while you wait, or wait with "
        "a timeout."
    ),
)

ITSELF = ProcessPattern(
    name="deadlocked with itself",
    find=lambda process: _circles(dated(process), alone=True),
    noun="self-deadlock",
    explanation="It waits for something that only it can do or release; a plain lock is not reentrant.",
    remedy=(
        "Use an RLock, or release the lock before calling what takes it again; await what runs in the same "
        "loop or pool. A finaliser or a signal handler must not take locks: let it put items into a "
        "queue.SimpleQueue, which is reentrant."
    ),
)

ON_ITS_OWN = replace(
    ITSELF,
    explanation="It waits for something that only it can do.",
    remedy=(
        "Await what runs in the same loop instead of asking for its result(), or call from another thread; "
        "read a pipe while it is written; never wait in a pool's worker for a job of the same pool."
    ),
)

OWNER_GONE = ProcessPattern(
    name="owner gone",
    find=lambda process: _orphaned(process.waits) + _ownerless(process.waits),
    noun="orphaned lock",
    explanation="Only its owner releases a lock, and only workers run the jobs of a pool.",
    remedy=(
        "Release locks by with or finally; fork before starting threads, or renew locks and pools in the "
        "child with os.register_at_fork."
    ),
)

CANNOT_END = ProcessPattern(
    name="cannot end",
    find=lambda process: endings(process.waits),
    noun="process that cannot end",
    explanation=(
        "The interpreter joins every thread that is no daemon before it exits; this one waits for another "
        "thread, and all of them wait."
    ),
    remedy="Tell the thread to end (an event, None in its queue), or make it a daemon; shut executors down.",
)

PATTERNS = (CANNOT_END, ITSELF, OWNER_GONE, DEADLOCK)
"""In the order they are reported."""
