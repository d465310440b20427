"""The report: what is wrong in plain words first, then what shows it.

Built as blocks from what a source answered; ``html`` and ``markdown`` write them.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from dataclasses import field
from itertools import dropwhile, takewhile
from typing import TYPE_CHECKING, Any

from taskscope import text as fmt
from taskscope.export.members import rows as rows_of
from taskscope.export.page import Chart, Heading, Items, Paragraph, Table
from taskscope.export.stacks import Lines, newest_and_first
from taskscope.model import blocking, requests
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from taskscope.export.page import Block
    from taskscope.model import Failure, Finding, Frame, Hello, History, Judged, Sample, Site, SiteHistory
    from taskscope.model.members import Member
    from taskscope.model.requests import Request

MANY_TIMERS = 100
"""From so many on, a group of timers that was not judged is named."""

MAX_FINDINGS, MAX_SITES, MAX_STACKS, MAX_CALLERS = 10, 30, 3, 5
BADGES = {"hang": "HANG", "leak": "LEAK", "suspect": "SUSPECT", "info": "INFO"}

_CHARTS = (
    ("tasks", "live tasks", fmt.count),
    ("rss", "memory", fmt.bytes),
    ("threads", "threads", fmt.count),
    ("fds", "open descriptors", fmt.count),
    ("loop_latency", "loop latency, 99th percentile", fmt.latency),
)


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a report tells of: ``told`` holds the answers of the source by request."""

    hello: Hello
    sample: Sample
    findings: tuple[Finding, ...]
    told: Mapping[Request[Any], Any]
    history: History
    sites: tuple[SiteHistory, ...]
    shown: str
    """What it was made from, and how long that was watched."""
    judged: Judged
    """How far the judgement had come."""
    without: tuple[str, ...] = field(default=())
    """What had to be left out, as sentences."""
    members: tuple[Member, ...] = ()
    """The processes, if it is a group."""


def title(seen: Seen) -> str:
    """``orders: 1 leak, 2 suspects``, and that a loop is blocked."""
    words = {"hang": 0, "spin": 0, "leak": 0, "suspect": 0}
    for finding in seen.findings:
        if finding.level in words:
            words[finding.level] += 1
    told = ", ".join(fmt.plural(number, word) for word, number in words.items() if number)
    none = "too early to judge" if seen.judged.early else "no leak or hang found"
    held = blocking(seen.findings)
    now = f"; {fmt.blocked(held)}" if held is not None else ""
    return f"{seen.hello.process.name}: {told or none}{now}"


def blocks(seen: Seen) -> list[Block]:
    """The whole report."""
    lines = Lines(seen.told)
    whole = (
        Heading(1, title(seen)),
        Paragraph(f"{_when(seen)} {seen.shown}".strip()),
        *_verdicts(seen, lines),
        *_members(seen),
        *_charts(seen),
        *_sites(seen),
        *_details(seen, lines),
        *_stalls(seen, lines),
        *_process(seen),
    )
    return list(_without_empty(whole))


def _without_empty(page: Sequence[Block]) -> Iterator[Block]:
    """Leaves out lists without items, and headings (other than of findings) with nothing below."""
    full = [each for each in page if each != Items(())]
    for block, following in zip(full, [*full[1:], None], strict=True):
        level = _level(block)
        last = following is None or 0 < _level(following) <= level
        if not (isinstance(block, Heading) and last and not block.badge):
            yield block


def _level(block: Block) -> int:
    """That of a heading; 0 for anything else."""
    return block.level if isinstance(block, Heading) else 0


# -- what is wrong


def _verdicts(seen: Seen, lines: Lines) -> Iterator[Block]:
    told = [each for each in seen.findings if each.level != "info"]
    notes = [each for each in seen.findings if each.level == "info"]
    if not told:
        yield Paragraph(_nothing(seen))
    for finding in told[:MAX_FINDINGS]:
        yield from _verdict(finding, seen, lines)
    if len(told) > MAX_FINDINGS:
        yield Paragraph(f"{MAX_FINDINGS} of {len(told)} findings are shown, worst first.")
    notes = [each for each in notes if not told or each.why != "timed out"]  # what ends is not what stays
    if notes:
        yield Heading(2, "Also noted")
        yield Items(tuple(f"{fmt.place(each)}: {each.text}" for each in notes[:MAX_FINDINGS]))


def _nothing(seen: Seen) -> str:
    """What the absence of findings means."""
    if seen.judged.early:
        return f"{fmt.early(seen.judged)}.  Watch for longer.{_timers(seen)}"
    return f"Nothing was found to leak or hang in {fmt.age(seen.judged.seconds)} of watching."


def _timers(seen: Seen) -> str:
    """The biggest group of timers, where it was asked for: a single look does not judge it."""
    timers = seen.told.get(requests.Timers())
    biggest = max(timers.groups, key=lambda each: each.live, default=None) if timers is not None else None
    if biggest is None or biggest.live < MANY_TIMERS:
        return ""
    armed = f", armed at {fmt.frame(biggest.armed[0])}" if biggest.armed else ""
    return f"  Its biggest group of timers has {biggest.live:,}: {biggest.function}{armed}."


def _verdict(finding: Finding, seen: Seen, lines: Lines) -> Iterator[Block]:
    yield Heading(2, fmt.place(finding), BADGES[finding.level])
    since = fmt.since(finding, seen.sample)
    coroutine = f"{finding.coroutine}: " if finding.coroutine else ""
    yield Paragraph(f"{coroutine}{finding.text}; since {since}.", "What is wrong")
    for aside in fmt.asides(finding):
        yield Paragraph(fmt.sentence(aside))
    cause = finding.cause
    if cause is not None:
        yield Paragraph(fmt.sentence(cause.text), "Cause")
        if cause.explanation:
            yield Paragraph(cause.explanation, "What happens, and the usual fix")
    else:
        yield Paragraph("Not recognised; the evidence below shows where these tasks wait.", "Cause")
    yield from _lines_of(finding, seen, lines)
    evidence = [*(cause.evidence if cause is not None else ()), *fmt.moves(finding)]
    if finding.projection is not None:
        evidence.append(fmt.forecast(finding.projection))
    if evidence:
        yield Heading(3, "Evidence")
        yield Items(tuple(evidence))
    past = next((each for each in seen.sites if each.site == finding.id), None)
    if past is not None and len(past.times) > 1:
        yield _chart("live, started at this line", *_steps(past, seen.sample.monotonic), fmt.count, seen)


def _lines_of(finding: Finding, seen: Seen, lines: Lines) -> Iterator[Block]:
    """The line itself, who called it, the newest time that is known, and where what it started waits."""
    where = finding.user_site or finding.site
    if where.file:
        yield from lines.around(where, fmt.does_at(finding))
    detail = seen.told.get(requests.Site(finding.id))
    for newest in newest_and_first(detail.stacks if detail is not None else ())[:1]:
        if callers := _callers(newest.frames, where):
            yield Paragraph(" ← ".join(map(fmt.frame, callers[:MAX_CALLERS])), "Called from")
    waits_at = finding.cause.waits_at if finding.cause is not None else None
    if waits_at is not None and waits_at.file and waits_at != where:
        yield from lines.around(waits_at, "Waits at")


def _callers(stack: Sequence[Frame], where: Frame) -> list[Frame]:
    """Who called a line, innermost first, up to where the event loop takes over."""
    outer = dropwhile(lambda frame: frame != where, stack)
    return list(takewhile(lambda frame: frame.origin != "stdlib", outer))[1:]


# -- what shows it


def _members(seen: Seen) -> Iterator[Block]:
    """The processes of a group."""
    yield Heading(2, "The processes")
    head = ("pid", "role", "findings", "state", "tasks", "rss", "cpu", "loop p99")
    rows = tuple(
        (pid, role, found, state, *numbers) for pid, role, *numbers, found, state in rows_of(seen.members)
    )
    if rows:
        yield Table(head, rows, 4)


def _charts(seen: Seen) -> Iterator[Block]:
    yield Heading(2, "The process over time")
    times = seen.history.times
    for name, spoken, spell in _CHARTS:
        values = getattr(seen.history, name)
        if sum(value is not None for value in values[: bisect_right(times, seen.sample.monotonic)]) > 1:
            yield _chart(spoken, times, values, spell, seen)


def _chart(
    title: str, times: Sequence[float], values: Sequence[float | None], spell: Any, seen: Seen
) -> Chart:
    known_by = bisect_right(times, seen.sample.monotonic)  # of what came later nothing else here tells
    times, values = times[:known_by], values[:known_by]
    step = max(1, len(times) // 600)
    times, values = times[::-1][::step][::-1], values[::-1][::step][::-1]
    known = [value for value in values if value is not None]
    ends = (_clock(times[0], seen), _clock(times[-1], seen))
    return Chart(title, tuple(times), tuple(values), ends, spell(max(known)), spell(known[-1]))


def _steps(past: SiteHistory, now: float) -> tuple[list[float], list[float]]:
    """A site's live counts as a line: each holds until the next, the last until now."""
    times, values = [past.times[0]], [float(past.live[0])]
    for moment, value in zip(past.times[1:], past.live[1:], strict=True):
        times += [moment, moment]
        values += [values[-1], float(value)]
    return [*times, max(now, times[-1])], [*values, values[-1]]


def _sites(seen: Seen) -> Iterator[Block]:
    named = {site.id: site for site in seen.sample.new_sites}
    counted = [each for each in seen.sample.sites if each.site in named]
    counted.sort(key=lambda each: -each.counts.live)
    past = {each.site: each for each in seen.sites}
    rows = []
    for each in counted[:MAX_SITES]:
        site, counts = named[each.site], each.counts
        known = past.get(each.site)
        change = fmt.change(counts.live - known.live[0]) if known and known.live else fmt.UNKNOWN
        oldest = fmt.age(seen.sample.monotonic - each.oldest) if each.oldest is not None else fmt.UNKNOWN
        ways = (counts.born, counts.ended) if seen.hello.counts_births else (None, None)
        numbers = (fmt.count(counts.live), change, *map(fmt.count, ways), oldest)
        rows.append((_place(site), site.coroutine, *numbers))
    yield Heading(2, "Lines that start tasks and threads")
    of = f"{len(rows)} of {len(counted):,} lines, most live first" if len(counted) > len(rows) else ""
    yield Table(("line", "coroutine", "live", "change", "born", "ended", "oldest"), tuple(rows), 2, of)


def _place(site: Site) -> str:
    return f"thread {fmt.own_and_site(site)}" if site.kind == "thread" else fmt.own_and_site(site)


def _details(seen: Seen, lines: Lines) -> Iterator[Block]:
    """The sites with findings; without any, those with most live tasks."""
    named = {site.id: site for site in seen.sample.new_sites}
    guilty = {finding.id for finding in seen.findings if finding.id and finding.level != "info"}
    for question, answer in seen.told.items():
        if isinstance(question, requests.Site) and question.site in (guilty & set(named) or named):
            yield Heading(2, f"Started at {_place(named[question.site])}")
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
        rows = tuple(
            (
                group.text,
                fmt.frame(group.frame),
                *map(fmt.count, (group.live, group.orphans, group.cancelling)),
            )
            for group in parked[:8]
        )
        yield Table(("waits for", "line", "tasks", "whose creator ended", "cancelled"), rows, 2)
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
    age = fmt.age(seen.sample.monotonic - task.birth) if task.birth is not None else fmt.UNKNOWN
    wait = f", waits for {task.parked.text}" if task.parked is not None else ""
    yield Heading(3, f"{task.name} ({age} old{wait}{_more(others)})")
    if detail.created_by:
        chain = " ← ".join(f"{each.name}{'' if each.live else ' (ended)'}" for each in detail.created_by[:8])
        yield Paragraph(chain, "Created by")
    if detail.awaited_by:
        yield Paragraph(", ".join(each.name for each in detail.awaited_by[:8]), "Awaited by")
    else:
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


def _stalls(seen: Seen, lines: Lines) -> Iterator[Block]:
    stalls = seen.told.get(requests.Stalls()) or ()
    longest = sorted(stalls, key=lambda each: -each.duration)[:3]
    if not longest:
        return
    yield Heading(2, "When the event loop did not run")
    for stall in longest:
        at = _clock(stall.began, seen)
        order = "; innermost line first" if stall.stack else "; its stack was not seen"
        yield Paragraph(f"from {at} on{order}", fmt.latency(stall.duration))
        yield lines.steps(stall.stack)


def _process(seen: Seen) -> Iterator[Block]:
    process, sample = seen.hello.process, seen.sample
    yield Heading(2, "The process")
    watched = fmt.age(sample.monotonic - seen.hello.agent_since)
    has = [
        fmt.plural(sample.tasks.live, "task"),
        fmt.plural(sample.threads, "thread"),
        f"{fmt.count(sample.fds)} descriptors (limit {fmt.count(process.fd_limit)})",
        f"{fmt.bytes(sample.rss)} of memory",
        f"{fmt.percent(sample.cpu)} cpu",
    ]
    facts = [
        f"pid {process.pid}, {process.implementation} {process.python}",
        f"running for {fmt.age(sample.wall - process.started_wall)}, with the agent for {watched}",
        ", ".join(has),
    ]
    facts += [f"{process.user} on {process.host}, in {process.cwd}"] if process.host or process.user else []
    facts += [f"command: {' '.join(process.argv)}"] if process.argv else []
    yield Items((*facts, *fmt.unseen(process), *seen.without, f"TaskScope {seen.hello.taskscope}"))


def _when(seen: Seen) -> str:
    at = time.strftime("%d %b %Y %H:%M:%S %Z", time.localtime(seen.sample.wall))
    return f"As seen on {at}; single tasks were looked at in the seconds before and after."


def _clock(moment: float, seen: Seen) -> str:
    wall = seen.sample.wall - (seen.sample.monotonic - moment)
    return time.strftime("%H:%M:%S", time.localtime(wall))
