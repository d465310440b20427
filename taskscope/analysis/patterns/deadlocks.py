"""Tasks and threads that wait for each other, for themselves, or for what no longer exists."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from typing import TYPE_CHECKING, NamedTuple

from taskscope import text as wording
from taskscope.analysis.patterns.pattern import ProcessPattern, place
from taskscope.model import Finding, Frame, deadlocked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from taskscope.model import WaitEdge, WaitGraph, WaitNode

STILL = 9.0
"""Seconds for which none may have moved: a wait that a timeout ends sooner is not a hang."""

MAX_STEPS = 12

_LIVING = ("task", "thread")
_GONE = {
    "fork": "its owner stayed behind in the parent when this process was forked",
    "thread": "its owner is a thread that has ended",
    "task": "its owner is a task that has ended",
}
_THINGS = {"lock": "lock", "slots": "slot", "pool": "worker"}


class _Graph:
    """Nodes that have not moved for long enough and cannot continue."""

    def __init__(self, graph: WaitGraph) -> None:
        still = [
            each
            for each in graph.nodes
            if each.kind not in _LIVING or (each.since is not None and each.since <= graph.monotonic - STILL)
        ]
        kept = deadlocked(still, graph.edges)
        self.nodes = {each.id: each for each in still if each.id in kept}
        self.ahead: dict[int, list[WaitEdge]] = defaultdict(list)
        self.behind: dict[int, list[int]] = defaultdict(list)
        for edge in graph.edges:
            if edge.waiter in kept and edge.on in kept:
                self.ahead[edge.waiter].append(edge)
                self.behind[edge.on].append(edge.waiter)

    def circles(self) -> Iterator[list[WaitEdge]]:
        """One shortest cycle per group of nodes that wait for each other."""
        seen: set[int] = set()
        for id, node in self.nodes.items():
            if id in seen or node.kind not in _LIVING:
                continue
            circle = self._circle(id)
            if circle:
                seen |= self._reach(id, self._ahead_ids()) & self._reach(id, self.behind)
                yield circle

    def members(self, circle: list[WaitEdge]) -> list[WaitNode]:
        """The tasks and threads of a cycle, and other holders of its slots."""
        ids = dict.fromkeys(edge.waiter for edge in circle)
        for id in list(ids):
            if self.nodes[id].kind not in _LIVING:
                ids.update(dict.fromkeys(edge.on for edge in self.ahead[id]))
        return [self.nodes[id] for id in ids if self.nodes[id].kind in _LIVING]

    def waiting_for(self, ids: Iterable[int]) -> int:
        """How many other tasks and threads wait for these, directly or indirectly."""
        inside = set(ids)
        found = set().union(*(self._reach(id, self.behind) for id in inside)) - inside
        return sum(self.nodes[id].kind in _LIVING for id in found)

    def _ahead_ids(self) -> Mapping[int, list[int]]:
        return {id: [edge.on for edge in edges] for id, edges in self.ahead.items()}

    def _circle(self, start: int) -> list[WaitEdge]:
        """The shortest path from a node back to itself; empty if there is none."""
        came: dict[int, WaitEdge] = {}
        queue = deque([start])
        while queue:
            id = queue.popleft()
            for edge in self.ahead[id]:
                if edge.on == start:
                    way = [edge]
                    while way[-1].waiter != start:
                        way.append(came[way[-1].waiter])
                    return way[::-1]
                if edge.on not in came:
                    came[edge.on] = edge
                    queue.append(edge.on)
        return []

    @staticmethod
    def _reach(start: int, ways: Mapping[int, list[int]]) -> set[int]:
        found, left = {start}, [start]
        while left:
            new = [each for each in ways.get(left.pop(), ()) if each not in found]
            found.update(new)
            left += new
        return found


class _Case(NamedTuple):
    """``edges``: the steps, from the one that waits at ``node``."""

    node: WaitNode
    text: str
    steps: tuple[str, ...]
    cause: str
    since: float
    stuck: int
    waiting: int


def _circles(graph: WaitGraph | None, *, alone: bool) -> tuple[Finding, ...]:
    """Cycles: of one thread or task with something it holds itself, or of several."""
    if graph is None or not graph.nodes:
        return ()
    seen = _Graph(graph)
    cases = [
        _case(seen, graph.monotonic, circle, members)
        for circle in seen.circles()
        if not _is_leaving(circle) and (len(members := seen.members(circle)) == 1) == alone
    ]
    return _findings(ITSELF if alone else DEADLOCK, cases)


def _is_leaving(circle: list[WaitEdge]) -> bool:
    """Whether the process is ending, and waits for a thread that no other is left to wake."""
    return any(edge.how == "woken" for edge in circle)


def endings(graph: WaitGraph | None) -> tuple[Finding, ...]:
    """The thread that keeps a process from ending, with the chain that leads there."""
    if graph is None or not graph.nodes:
        return ()
    seen = _Graph(graph)
    cases = []
    for circle in filter(_is_leaving, seen.circles()):
        at = next(at for at, edge in enumerate(circle) if edge.how == "woken")
        last = seen.nodes[circle[at].waiter]
        chain = circle[at + 1 :] + circle[: at + 1]
        members = seen.members(circle)
        since = max(each.since or 0.0 for each in members)
        text = f"the process has not ended for at least {wording.age(graph.monotonic - since)}"
        cause = f"no thread is left to wake {_named(last)}"
        waiting = seen.waiting_for(each.id for each in members)
        cases.append(_Case(last, text, _steps(seen, chain), cause, since, len(members), waiting))
    return _findings(CANNOT_END, cases[:1])


def _case(seen: _Graph, now: float, circle: list[WaitEdge], members: list[WaitNode]) -> _Case:
    """``members``: the tasks and threads of the cycle."""
    at = next((each for each in members if each.kind == "thread"), members[0])
    since = max(each.since or 0.0 for each in members)
    things = [seen.nodes[edge.on] for edge in circle if seen.nodes[edge.on].kind not in _LIVING]
    full = next((each for each in things if each.kind != "lock" and len(seen.ahead[each.id]) > 1), None)
    for_long = f"for at least {wording.age(now - since)}"
    if len(members) == 1:
        what = f"a {_THINGS[things[0].kind]} that it holds itself" if things else "what only it can do"
        text = f"{_named(at)} has waited {for_long} for {what}"
        cause = _interruption(circle) or "only it can end its own wait"
    elif full is not None:
        taken = f"all {len(seen.ahead[full.id]):,} {_THINGS[full.kind]}s of {_named(full)}"
        text = f"{taken} have been taken {for_long} by those that wait for one"
        cause = f"{taken} are held by those that wait, directly or indirectly, for a free one"
    else:
        text = f"{_counted(members)} have waited for each other {for_long}"
        cause = "none of them can continue before another does"
    waiting = seen.waiting_for(each.id for each in members)
    return _Case(at, text, _steps(seen, circle), cause, since, len(members), waiting)


def _counted(nodes: Iterable[WaitNode]) -> str:
    """``2 tasks and 1 thread``."""
    kinds = Counter(each.kind for each in nodes)
    return " and ".join(wording.plural(number, kind) for kind, number in sorted(kinds.items()))


def _interruption(circle: list[WaitEdge]) -> str:
    edge = next((each for each in circle if each.interrupted), None)
    if edge is None or edge.frame is None or edge.by is None:
        return ""
    by, holds = f"{edge.by.function} ({place(edge.by)})", f"{edge.frame.function} ({place(edge.frame)})"
    return f"a {edge.interrupted}, {by}, ran while {holds} held the lock"


def _steps(seen: _Graph, circle: list[WaitEdge]) -> tuple[str, ...]:
    return tuple(_step(seen.nodes, edge) for edge in circle[:MAX_STEPS])


def _step(nodes: Mapping[int, WaitNode], edge: WaitEdge) -> str:
    one, other = nodes[edge.waiter], nodes[edge.on]
    if edge.how == "held":
        taken = f", taken at {_at(edge.frame)}" if edge.frame is not None else ""
        return f"{_named(one)} is held by {_named(other)}{taken}"
    at = _placed(one)
    if edge.how == "woken":
        return f"{_named(one)} {one.text}{at}"
    if edge.how == "loop":
        return f"{_named(one)} needs its event loop, which {_named(other)} runs"
    if edge.how == "runs":
        return f"{_named(one)} waits{at} for a job that {_named(other)} runs"
    if edge.how == "ends":
        return f"{_named(one)} waits{at} for {_named(other)} to end"
    return f"{_named(one)} waits{at} for {_named(other)}"


def _placed(node: WaitNode) -> str:
    return f" at {_at(node.frame)}" if node.frame is not None else ""


def _at(frame: Frame) -> str:
    return f"{place(frame)} in {frame.function}"


def _named(node: WaitNode) -> str:
    if node.kind in _LIVING:
        return f"{node.kind} {node.name or node.number}"
    if node.kind == "lock":
        return f"{node.name} #{node.id}"
    size = f" of {node.size:,}" if node.size is not None else ""
    return f"the {node.name or node.kind}{size}"


def _orphaned(graph: WaitGraph | None) -> tuple[Finding, ...]:
    """Waits for locks and pools whose owner or workers are gone."""
    if graph is None or not graph.nodes:
        return ()
    seen = _Graph(graph)
    cases = []
    for thing in seen.nodes.values():
        waiters = [seen.nodes[id] for id in seen.behind[thing.id] if seen.nodes[id].kind in _LIVING]
        if thing.gone and waiters:
            at = waiters[0]
            since = max(each.since or 0.0 for each in waiters)
            which = "workers have ended" if thing.kind == "pool" else "owner is gone"
            for_long = f"for at least {wording.age(graph.monotonic - since)}"
            text = f"{_named(at)} has waited {for_long} for a {_THINGS[thing.kind]}"
            steps = tuple(_step(seen.nodes, edge) for edge in seen.ahead[at.id] if edge.on == thing.id)
            gone = _GONE[thing.gone].replace("its owner is a", "it belonged to a")
            cases.append(
                _Case(
                    at,
                    f"{text} whose {which}",
                    steps,
                    gone,
                    since,
                    len(waiters),
                    seen.waiting_for([thing.id]) - len(waiters),
                )
            )
    return _findings(OWNER_GONE, cases)


def _findings(pattern: ProcessPattern, cases: Iterable[_Case]) -> tuple[Finding, ...]:
    """One finding per line at which they wait."""
    by_line: dict[tuple[str, int], list[_Case]] = defaultdict(list)
    for case in cases:
        frame = case.node.frame
        by_line[(frame.file, frame.line) if frame is not None else ("", 0)].append(case)
    found = [_finding(pattern, each) for each in by_line.values()]
    return tuple(sorted(found, key=lambda each: -each.live))


def _finding(pattern: ProcessPattern, cases: list[_Case]) -> Finding:
    case = cases[0]
    site = case.node.frame or Frame("", 0, "(unknown)", "stdlib")
    waiting = sum(each.waiting for each in cases)
    evidence = list(case.steps)
    if len(cases) > 1:
        evidence.append(f"{len(cases) - 1:,} more are stuck at the same line in the same way")
    if waiting:
        evidence.append(f"{waiting:,} more {'waits' if waiting == 1 else 'wait'} behind them")
    return Finding(
        level="hang",
        kind="deadlock",
        id=0,
        site=site,
        user_site=case.node.user_frame,
        coroutine=site.function,
        live=sum(each.stuck for each in cases),
        rate_per_min=0.0,
        since=case.since,
        since_at_least=True,
        text=case.text,
        evidence={"why": "deadlock", "stuck": sum(each.stuck for each in cases), "waiting": waiting},
        cause=pattern.cause(case.cause, tuple(evidence)),
    )


DEADLOCK = ProcessPattern(
    name="deadlock",
    find=lambda process: _circles(process.waits, alone=False),
    noun="deadlock",
    explanation="They wait in a cycle: each holds, or has to do, what another one waits for.",
    remedy=(
        "Take locks in one order everywhere, release what is held before waiting, or wait with a timeout; "
        "never wait in a pool's worker for a job of the same pool."
    ),
)

ITSELF = ProcessPattern(
    name="deadlocked with itself",
    find=lambda process: _circles(process.waits, alone=True),
    noun="self-deadlock",
    explanation="It waits for something that only it can do or release; a plain lock is not reentrant.",
    remedy=(
        "Use an RLock, or release the lock before calling what takes it again; await what runs in the same "
        "loop or pool. A finaliser or a signal handler must not take locks: let it put items into a "
        "queue.SimpleQueue, which is reentrant."
    ),
)

OWNER_GONE = ProcessPattern(
    name="owner gone",
    find=lambda process: _orphaned(process.waits),
    noun="orphaned lock",
    explanation="Only its owner releases a lock, and only workers run the jobs of a pool.",
    remedy=(
        "Fork before starting threads, or renew locks and pools in the child with os.register_at_fork; "
        "release locks by with or finally."
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
