"""The part of a report on single sites, tasks and threads, and on who waits for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope import text as fmt
from taskscope.export.page import Heading, Items, Paragraph, Table
from taskscope.export.stacks import newest_and_first
from taskscope.model import requests

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from taskscope.export.page import Block
    from taskscope.export.report import Seen
    from taskscope.export.stacks import Lines
    from taskscope.model import Failure, Site

MAX_FINDINGS, MAX_STACKS = 10, 3


def place(site: Site) -> str:
    """Its line, and whether it is one of threads."""
    return f"thread {fmt.own_and_site(site)}" if site.kind == "thread" else fmt.own_and_site(site)


def details(seen: Seen, lines: Lines) -> Iterator[Block]:
    """The sites with findings; without any, those with most live tasks."""
    named = {site.id: site for site in seen.sample.new_sites}
    guilty = {finding.id for finding in seen.findings if finding.id and finding.level != "info"}
    for question, answer in seen.told.items():
        if isinstance(question, requests.Site) and question.site in (guilty & set(named) or named):
            site = named[question.site]
            yield Heading(2, f"{'Waits' if site.known == 'parked' else 'Started'} at {place(site)}")
            yield from _site(question.site, answer, seen, lines)
    threads = [(q, a) for q, a in seen.told.items() if isinstance(q, requests.Thread) and a.stack]
    if threads:
        yield Heading(2, "Threads")
    alike: dict[Any, list[Any]] = {}
    for _, answer in threads:
        alike.setdefault(answer.stack, []).append(answer.thread)
    for stack, (thread, *others) in list(alike.items())[:MAX_FINDINGS]:
        yield Paragraph(f"{thread.text}{_more(others)}; innermost line first", thread.name)
        yield lines.steps(stack)
    yield from _graph(seen)


def _site(site: int, detail: Any, seen: Seen, lines: Lines) -> Iterator[Block]:
    stacks = newest_and_first(detail.stacks)
    for stack, when in zip(stacks, ("most recently", "at first") if stacks[1:] else ("",), strict=False):
        yield Paragraph("innermost line first", f"Created by, {when}".rstrip(", "))
        yield lines.steps(stack.frames)
    parked = seen.told.get(requests.Parked((site,)))
    if parked:
        yield Heading(3, "Where they wait, a moment later")
        head = ("waits for", "line", "tasks", "whose creator ended", "cancelled")
        known = len(head) if seen.hello.counts_births else 3
        rows = tuple(
            (
                group.text,
                fmt.frame(group.frame),
                *map(fmt.count, (group.live, group.orphans, group.cancelling)),
            )[:known]
            for group in parked[:8]
        )
        yield Table(head[:known], rows, 2)
    if detail.failures:
        yield Heading(3, "How its tasks failed")
        yield Items(tuple(map(_failure, detail.failures[:5])))
    alike: dict[Any, list[Any]] = {}
    for question, answer in seen.told.items():
        if isinstance(question, requests.Task) and answer.task.site == site:
            alike.setdefault(answer.stack, []).append(answer)
    for tasks in list(alike.values())[:MAX_STACKS]:
        yield from _task(tasks, seen, lines)


def _failure(failure: Failure) -> str:
    at = fmt.frame(failure.user_frame or failure.raised)
    return f"{fmt.plural(failure.count, 'time')} {failure.error} at {at}"


def _task(alike: Sequence[Any], seen: Seen, lines: Lines) -> Iterator[Block]:
    """One of some tasks that are suspended alike."""
    detail, *others = alike
    task = detail.task
    births = seen.hello.counts_births
    age = fmt.age(seen.sample.monotonic - task.birth) if task.birth is not None else fmt.UNKNOWN
    about = [f"{age} old"] if births else []
    about += [f"waits for {task.parked.text}"] if task.parked is not None else []
    yield Heading(3, f"{task.name} ({', '.join(about)}{_more(others)})")
    if detail.created_by:
        chain = " ← ".join(f"{each.name}{'' if each.live else ' (ended)'}" for each in detail.created_by[:8])
        yield Paragraph(chain, "Created by")
    if detail.awaited_by:
        yield Paragraph(", ".join(each.name for each in detail.awaited_by[:8]), "Awaited by")
    elif births:
        yield Paragraph("nothing awaits it", "Awaited by")
    if detail.stack:
        yield Paragraph("innermost line first", "Suspended at")
        yield lines.steps(detail.stack)


def _more(others: Sequence[Any]) -> str:
    """``; 2 others looked at wait alike``."""
    wait = "wait" if len(others) > 1 else "waits"
    return f"; {fmt.plural(len(others), 'other')} looked at {wait} alike" if others else ""


def _graph(seen: Seen) -> Iterator[Block]:
    """Who waits for whom, of what cannot continue."""
    graph = next((a for q, a in seen.told.items() if isinstance(q, requests.Waits)), None)
    if graph is None or not graph.edges:
        return
    named = {node.id: node for node in graph.nodes}
    said = []
    for edge in graph.edges[:40]:
        waiter, on = named.get(edge.waiter), named.get(edge.on)
        if waiter is not None and on is not None:
            at = f", taken at {fmt.frame(edge.frame)}" if edge.frame is not None else ""
            where = f" at {fmt.frame(waiter.frame)}" if waiter.frame is not None else ""
            said.append(f"{waiter.kind} {waiter.name}{where} → {on.kind} {on.name} ({edge.how}{at})")
    yield Heading(2, "Who waits for whom")
    yield Items(tuple(said))
