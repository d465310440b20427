"""Timers and other resources as rows of one table, in words."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from taskscope import text as fmt
from taskscope.analysis.clues import keeper_as_text
from taskscope.model.vocabulary import RESOURCE_KINDS
from taskscope.tui.stack_panel import Section
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from taskscope.model import Finding, Frame, Resource, Resources, TimerGroup, Timers

TIMER = "timer"

KINDS = (TIMER, *(each for each in RESOURCE_KINDS if each != "unknown"))
"""In the order of the table."""

SHORT = {"subprocess": "child", "descriptor": "fd"}
"""Kinds whose names are too long for the column."""

NOUNS = {
    "context": "context variable",
    "descriptor": "descriptor",
    "generator": "async generator",
    "subprocess": "child program",
}

NONE = {
    TIMER: "No call is scheduled for later.",
    "context": "No task or timer has a value of a context variable.",
    "loop": "No event loop is known: none runs, and none was made since the agent came.",
    "executor": "No thread pool has started a worker.",
    "transport": "No connection is registered with an event loop.",
    "generator": "No async generator is begun and not finished.",
    "subprocess": "This process has no child processes.",
    "descriptor": "The open descriptors could not be listed.",
    "primitive": "No task or thread waits for a lock, an event, a queue or the like.",
}
"""What there is to say where a kind has no row."""

SPAN = 60.0
"""Seconds over which a change is measured, once there are so many."""

SOON = 4.0
"""Least seconds between two counts that are compared."""


@dataclass(frozen=True, slots=True)
class Row:
    """Timers that call one function, or resources that are alike.

    ``frame``: ``guess`` if inferred.  ``subject``: what a finding about it is about, see ``subject_of``.
    """

    key: Hashable
    kind: str
    name: str
    count: int
    state: str
    each: int | None
    frame: Frame | None
    guess: bool
    sections: Sequence[Section]
    subject: tuple[object, ...] = ()

    @property
    def place(self) -> str:
        """The line, marked if it is inferred."""
        return f"{fmt.IMPUTED if self.guess else ''}{fmt.frame(self.frame)}" if self.frame is not None else ""


def rows_of(timers: Timers, resources: Resources) -> list[Row]:
    """All of them, by kind."""
    found = [_timers(each, timers.monotonic) for each in timers.groups]
    met: Counter[Hashable] = Counter()
    for each in resources.rows:
        if each.kind != "unknown":
            met[each.key] += 1  # pools may have one name
            found.append(_resource((each.key, met[each.key]), each, resources.monotonic))
    order = {kind: at for at, kind in enumerate(KINDS)}
    return sorted(found, key=lambda each: (order[each.kind], -each.count))


def subject_of(finding: Finding) -> tuple[object, ...]:
    """What a finding is about, as ``Row.subject``."""
    if finding.kind == "resource":
        seen = finding.evidence
        made = finding.site if seen.get("line") == "made" else None
        return seen.get("resource"), finding.coroutine, seen.get("state"), made
    name = finding.coroutine if finding.kind == TIMER else ""
    return finding.kind, name, finding.site


def summary(rows: Iterable[Row]) -> list[str]:
    """``1,905 timers``, ``2 loops``…: the number of each kind; what is waited for is told if alone."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.kind] = counts.get(row.kind, 0) + (1 if row.kind == "context" else row.count)
    if len(counts) > 1:
        counts.pop("primitive", None)
    return [fmt.plural(number, NOUNS.get(kind, kind)) for kind, number in counts.items()]


_OF_TASKS = {
    "_set_result_unless_cancelled": "asyncio.sleep",
    "_release_waiter": "asyncio.wait_for",
    "Timeout._on_timeout": "asyncio.timeout",
}
"""asyncio's functions that timers call, and what a person calls these."""


def _timers(group: TimerGroup, now: float) -> Row:
    first, last = (fmt.age(max(0.0, due - now)) for due in (group.nearest, group.furthest))
    due = f"due {first}" if first == last else f"due {first} to {last}"
    kept = group.kept
    armed = group.armed[0] if group.armed else None
    return Row(
        (TIMER, group.id),
        TIMER,
        _OF_TASKS.get(group.function, group.function),
        group.live,
        f"{due}, of tasks" if group.of_tasks else due,
        kept.each if kept is not None and kept.alone else None,
        armed or (None if group.of_tasks else group.frame),
        armed is not None and group.known != "exact",
        _timer_sections(group, due),
        (TIMER, group.function, armed or group.frame),
    )


def _timer_sections(group: TimerGroup, due: str) -> list[Section]:
    found = []
    if group.armed:
        note = [] if group.known == "exact" else ["inferred: a timer does not say which line armed it"]
        found.append(Section("armed at", [*group.armed, *note]))
    elif not group.of_tasks:
        found.append(Section("armed at", ["unknown: asyncio notes the line in its debug mode only"]))
    found.append(Section("calls", [group.frame if group.frame is not None else group.function]))
    found.append(Section("due", [f"in {due.removeprefix('due ')}"]))
    kept = group.kept
    if kept is not None and kept.inspected:
        found.append(Section(f"keeps alive ({kept.inspected} inspected)", list(_kept(group))))
    return found


def _kept(group: TimerGroup) -> Iterable[str]:
    kept = group.kept
    assert kept is not None
    if kept.type:
        each = "each its own" if kept.objects == kept.inspected else f"{kept.objects} different"
        yield f"they call a method of {kept.type}, {each}"
    if kept.closed:
        yield f"the connection of {kept.closed} is closed"
    if kept.alone:
        yield f"nothing else refers to what {kept.alone} of them hold: {fmt.bytes(kept.each)} each"
    else:
        yield "other code refers to what they hold"


def _resource(key: Hashable, resource: Resource, now: float) -> Row:
    state = _state(resource, now)
    return Row(
        key,
        resource.kind,
        resource.label,
        resource.count,
        state,
        resource.each,
        resource.frame,
        guess=False,
        sections=_sections(resource, state),
        subject=(resource.kind, resource.label, resource.state, resource.frame),
    )


def _state(resource: Resource, now: float) -> str:
    if resource.kind == "primitive":
        age = f" up to {fmt.age(max(0.0, now - resource.since))}" if resource.since is not None else ""
        return ", ".join(each for each in (f"{fmt.count(resource.users)} wait{age}", resource.detail) if each)
    if resource.kind == "context":
        carried = f" in {fmt.count(resource.users)} tasks and timers" if resource.users is not None else ""
        return f"{resource.detail}{carried}"
    if resource.kind == "descriptor":
        return resource.detail
    parts: list[str] = []
    if resource.state != "unknown":
        parts.append("not waited for" if resource.state == "ended" else resource.state)
    if resource.alone:
        parts.append(f"only the loop refers to {resource.alone} of {resource.inspected}")
    if resource.kind == "executor":
        parts.append(f"{resource.detail}, {fmt.plural(resource.users or 0, 'job')} queued")
    elif resource.detail:
        parts.append(resource.detail)
    return ", ".join(parts)


_LINES = {"loop": "made at", "executor": "started at", "generator": "stands at", "primitive": "waited for at"}


def _sections(resource: Resource, state: str) -> list[Section]:
    found = [Section(f"{resource.kind} {resource.name}", [state])]
    if resource.frame is not None:
        found.append(Section(_LINES.get(resource.kind, "at"), [resource.frame]))
    elif resource.kind == "loop":
        found.append(Section("made at", ["unknown: older than the agent"]))
    if resource.keeper is not None:
        filled = [resource.keeper.filled] if resource.keeper.filled is not None else []
        found.append(Section("kept in", [keeper_as_text(resource.keeper, grows=False), *filled]))
    return found


class Changes:
    """How fast the count of each row changes, per minute, while the view is open."""

    def __init__(self) -> None:
        self._seen: dict[Hashable, deque[tuple[float, int]]] = {}

    def add(self, now: float, rows: Iterable[Row]) -> None:
        """Adds the counts of now; rows that are gone are forgotten."""
        before, self._seen = self._seen, {}
        for row in rows:
            seen = self._seen[row.key] = before.get(row.key) or deque()
            if not seen or now - seen[-1][0] >= SOON:
                seen.append((now, row.count))
                while len(seen) > 2 and now - seen[1][0] >= SPAN:
                    seen.popleft()

    def of(self, row: Row) -> float | None:
        """None: seen too briefly."""
        seen = self._seen.get(row.key)
        if not seen or len(seen) < 2:
            return None
        (then, before), (now, after) = seen[0], seen[-1]
        return (after - before) / (now - then) * 60
