"""The part of a wait graph that cannot continue: its cycles, and chains through it in words."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from taskscope import text as wording
from taskscope.analysis.onset import Onset
from taskscope.analysis.patterns.pattern import UNKNOWN, ProcessPattern, line_finding, place
from taskscope.model import deadlocked, user_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from taskscope.analysis.patterns.pattern import ProcessFacts
    from taskscope.model import Finding, Frame, Stall, WaitEdge, WaitGraph, WaitNode

STILL = 9.0
"""Seconds for which none may have moved: a wait that a timeout ends sooner is not a hang."""

MAX_STEPS = 12

OWN = ("thread", "task")
LIVING = (*OWN, "process")
"""Those whose line is told first come first; other processes are only part of what happens to ours."""

THINGS = {"lock": "lock", "slots": "slot", "pool": "worker", "channel": "pipe or socket"}


class Chains:
    """Nodes that have not moved for long enough and cannot continue."""

    def __init__(self, graph: WaitGraph) -> None:
        still = [each for each in graph.nodes if _is_still(each, graph.monotonic)]
        kept = deadlocked(still, graph.edges)
        self.nodes = {each.id: each for each in still if each.id in kept}
        self.ahead: dict[int, list[WaitEdge]] = defaultdict(list)
        self.behind: dict[int, list[int]] = defaultdict(list)
        for edge in graph.edges:
            if edge.waiter in kept and edge.on in kept:
                self.ahead[edge.waiter].append(edge)
                if self.nodes[edge.waiter].kind != "rest":
                    self.behind[edge.on].append(edge.waiter)

    def circles(self) -> Iterator[list[WaitEdge]]:
        """One shortest cycle per group of nodes that wait for each other."""
        seen: set[int] = set()
        for id, node in self.nodes.items():
            if id in seen or node.kind not in OWN:
                continue
            circle = self._path(id, id)
            if circle:
                seen |= self._reach(id, self._ahead_ids()) & self._reach(id, self.behind)
                yield circle

    def chains_to_rest(self) -> list[list[WaitEdge]]:
        """To the process as a whole, from those that wait for something certain which waits for it."""
        rest = next((each.id for each in self.nodes.values() if each.kind == "rest"), None)
        found = []
        for id, node in self.nodes.items():
            if node.kind in OWN and rest is not None:
                chain = self._path(id, rest)
                if chain and not _is_idle(self.nodes, chain) and not self._is_of_circle(chain[-1].waiter):
                    found.append(chain)
        return found

    def _is_of_circle(self, id: int) -> bool:
        """Whether it is a pipe or socket, and somebody is known who has to use its other end."""
        return self.nodes[id].kind == "channel" and any(
            each.how in ("reads", "writes") for each in self.ahead[id]
        )

    def dead_ends(self) -> list[list[list[WaitEdge]]]:
        """For each task that nothing can wake, the chains from those that wait for it."""
        ends = [each.id for each in self.nodes.values() if each.gone and each.kind in LIVING]
        living = [id for id, node in self.nodes.items() if node.kind in LIVING]
        found = [[chain for id in living if id != end and (chain := self._path(id, end))] for end in ends]
        return [each for each in found if each]

    def members(self, circle: list[WaitEdge]) -> list[WaitNode]:
        """The tasks and threads of a cycle, and other holders of its slots."""
        ids = dict.fromkeys(edge.waiter for edge in circle)
        for id in list(ids):
            if self.nodes[id].kind not in LIVING:
                ids.update(dict.fromkeys(edge.on for edge in self.ahead[id]))
        return [self.nodes[id] for id in ids if self.nodes[id].kind in LIVING]

    def waiting_for(self, ids: Iterable[int]) -> int:
        """How many other tasks and threads wait for these, directly or indirectly."""
        inside = set(ids)
        found = set().union(*(self._reach(id, self.behind) for id in inside)) - inside
        return sum(self.nodes[id].kind in LIVING for id in found)

    def others(self, thing: WaitNode, members: Iterable[WaitNode]) -> int:
        """How many wait for a thing besides these: not each of them is sent."""
        return thing.waiting - sum(each.id in self.behind[thing.id] for each in members)

    def _ahead_ids(self) -> Mapping[int, list[int]]:
        return {id: [edge.on for edge in edges] for id, edges in self.ahead.items()}

    def _path(self, start: int, end: int) -> list[WaitEdge]:
        """The shortest path to another node or back; empty if there is none.  It does not pass the rest."""
        came: dict[int, WaitEdge] = {}
        queue = deque([start])
        while queue:
            id = queue.popleft()
            for edge in self.ahead[id] if self.nodes[id].kind != "rest" else ():
                if edge.on == end:
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


def _is_still(node: WaitNode, now: float) -> bool:
    if node.kind in LIVING and node.since is None:
        return False
    return node.since is None or node.since <= now - STILL


def _is_idle(nodes: Mapping[int, WaitNode], chain: list[WaitEdge]) -> bool:
    """Whether it only waits for work to come, which nobody owes it."""
    last = chain[-1]
    if last.how == "waits" or nodes[last.waiter].kind == "slots":
        return True
    return len(chain) == 1 and last.how != "ends"


class Case(NamedTuple):
    """``steps``: from the one that waits at ``node``.  ``of_lock``: somebody holds a lock or a slot."""

    node: WaitNode
    text: str
    steps: tuple[str, ...]
    cause: str
    since: float
    stuck: int
    waiting: int
    of_lock: bool = False


def dated(process: ProcessFacts) -> WaitGraph | None:
    """The wait graph, where threads that hold up their loop have waited as long as that.

    The tasks that need the loop have not moved since then either.
    """
    graph = process.waits
    if graph is None:
        return None
    held = {each: stall.began for stall in process.stalls if (each := holding_line(stall)) is not None}
    threads = {
        node.id: held[node.user_frame]
        for node in graph.nodes
        if node.kind == "thread" and node.user_frame in held
    }
    began = {
        **{
            each.waiter: threads[each.on] for each in graph.edges if each.how == "loop" and each.on in threads
        },
        **threads,
    }
    nodes = (
        replace(each, since=min(each.since, began[each.id]))
        if each.id in began and each.since is not None
        else each
        for each in graph.nodes
    )
    return replace(graph, nodes=tuple(nodes))


def holding_line(stall: Stall) -> Frame | None:
    """The program's line that holds a loop up now; None if it is over, or something else does."""
    return user_line(stall.stack) if stall.why == "held" and not stall.over else None


def counted(nodes: Iterable[WaitNode]) -> str:
    """``2 tasks and 1 thread``."""
    kinds = Counter(each.kind for each in nodes)
    return " and ".join(wording.plural(number, kind) for kind, number in sorted(kinds.items()))


def steps(seen: Chains, circle: list[WaitEdge]) -> tuple[str, ...]:
    return tuple(step(seen.nodes, edge) for edge in circle[:MAX_STEPS])


def step(nodes: Mapping[int, WaitNode], edge: WaitEdge) -> str:
    one, other = nodes[edge.waiter], nodes[edge.on]
    if edge.how == "held":
        taken = f", taken at {_at(edge.frame)}" if edge.frame is not None else ""
        return f"{named(one)} is held by {named(other)}{taken}"
    at = _placed(one)
    if one.kind == "channel":
        verb = "write to" if edge.how in ("writes", "waits") else "read"
        who = f"{named(other)} has" if other.kind != "rest" else "nobody is left"
        where = f", {one.text}" if other.kind != "process" else ""
        return f"{who} to {verb} its other end{where}"
    if other.kind == "rest" and one.kind not in LIVING:
        return f"{named(one)} has no owner that lives"
    if edge.how == "woken" or other.kind == "rest":
        return standing(one)
    if edge.how == "loop":
        return f"{named(one)} needs its event loop, which {named(other)} runs"
    if edge.how == "runs":
        return f"{named(one)} waits{at} for a job that {named(other)} runs"
    if edge.how == "ends":
        return f"{named(one)} waits{at} for {named(other)} to end"
    return f"{named(one)} waits{at} for {named(other)}"


def standing(node: WaitNode) -> str:
    """Where a task or thread waits, and what in."""
    return f"{named(node)} {node.text}{_placed(node)}"


def _placed(node: WaitNode) -> str:
    """Where it waits; in a library, where the program called that as well."""
    if node.frame is None:
        return ""
    caller = node.user_frame if node.user_frame != node.frame else None
    return f" at {_at(node.frame)}" + (f" (called at {_at(caller)})" if caller is not None else "")


def _at(frame: Frame) -> str:
    return f"{place(frame)} in {frame.function}"


def shown(members: Iterable[WaitNode]) -> WaitNode:
    """The one whose line is told."""
    return min(members, key=lambda each: LIVING.index(each.kind))


def named(node: WaitNode) -> str:
    if node.kind == "process":
        return f"process {node.number} ({node.name})"
    if node.kind in LIVING:
        return f"{node.kind} {node.name or node.number}"
    if node.kind == "channel":
        return node.name
    if node.kind == "lock":
        return f"{node.name} #{node.id}"
    if node.kind == "pool" and node.name:
        return f"the pool {node.name}"
    size = f" of {node.size:,}" if node.size is not None else ""
    return f"the {node.name or node.kind}{size}"


def findings_of(pattern: ProcessPattern, cases: Iterable[Case]) -> tuple[Finding, ...]:
    """One finding per line at which they wait."""
    by_line: dict[tuple[str, int], list[Case]] = defaultdict(list)
    for case in cases:
        frame = case.node.frame
        by_line[(frame.file, frame.line) if frame is not None else ("", 0)].append(case)
    found = [_finding(pattern, each) for each in by_line.values()]
    return tuple(sorted(found, key=lambda each: -each.live))


def _finding(pattern: ProcessPattern, cases: list[Case]) -> Finding:
    case = cases[0]
    stuck = sum(each.stuck for each in cases)
    waiting = sum(each.waiting for each in cases)
    evidence = list(case.steps)
    if len(cases) > 1:
        evidence.append(f"{len(cases) - 1:,} more are stuck at the same line in the same way")
    if waiting:
        evidence.append(f"{waiting:,} more {'waits' if waiting == 1 else 'wait'} behind them")
    return line_finding(
        "hang",
        "deadlock",
        "deadlock",
        case.node.frame or UNKNOWN,
        case.node.user_frame,
        Onset(case.since, at_least=True),
        case.text,
        {"stuck": stuck, "waiting": waiting},
        pattern.cause(case.cause, tuple(evidence)),
        live=stuck,
    )
