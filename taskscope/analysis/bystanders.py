"""Tasks that wait where a hang has them wait: what only follows from a hang is no leak of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from taskscope.analysis.watched_site import WatchedSite
    from taskscope.model import Finding, WaitGraph

_Lines = frozenset[tuple[str, int]]


def without_bystanders(
    found: Sequence[Finding],
    hangs: Iterable[Finding],
    graph: WaitGraph | None,
    watched: Mapping[int, WatchedSite],
) -> list[Finding]:
    """The findings but those on sites that do not grow, of tasks that all are part of a hang."""
    if graph is None or not any(each.level == "hang" and each.kind == "deadlock" for each in hangs):
        return list(found)
    lines = _lines_of(graph)
    told = ("stuck", "long-lived")
    return [each for each in found if each.why not in told or not _is_part(watched[each.id], lines)]


def _lines_of(graph: WaitGraph) -> _Lines:
    frames = [each.user_frame or each.frame for each in graph.nodes]
    frames += [line.frame for each in graph.unreturned for line in (*each.lines, *each.takers)]
    frames += [each.waiter.user_frame for each in graph.unread if each.alone]
    return frozenset((each.file, each.line) for each in frames if each is not None)


def _is_part(watched: WatchedSite, lines: _Lines) -> bool:
    grows = watched.reading is not None and watched.reading.gained > 0
    groups = watched.facts.groups if watched.facts is not None else ()
    return not grows and bool(groups) and all((each.frame.file, each.frame.line) in lines for each in groups)
