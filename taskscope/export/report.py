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
from taskscope.export.report_details import MAX_FINDINGS, details, place
from taskscope.export.stacks import Lines, newest_and_first
from taskscope.model import blocking, requests
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from taskscope.export.page import Block
    from taskscope.model import Finding, Frame, Hello, History, Judged, Sample, Silence, SiteHistory
    from taskscope.model.members import Member
    from taskscope.model.requests import Request

MANY_TIMERS = 100
"""From so many on, a group of timers that was not judged is named."""

MAX_SITES, MAX_CALLERS = 30, 5
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
    silences: tuple[Silence, ...] = ()
    """The times in which nothing could be seen to happen, and why."""
    members: tuple[Member, ...] = ()
    """The processes, if it is a group."""


def title(seen: Seen) -> str:
    """``orders: 1 leak, 2 suspects``, and that a loop is blocked."""
    words = {"hang": 0, "spin": 0, "leak": 0, "suspect": 0}
    for finding in seen.findings:
        if finding.level in words:
            words[finding.level] += 1
    told = ", ".join(fmt.plural(number, word) for word, number in words.items() if number)
    held, silent = blocking(seen.findings), sum(each.odd == "silent" for each in seen.members)
    now = [fmt.blocked(held)] if held is not None else []
    now += [each.lasted for each in seen.silences[-1:]]
    now += [f"{silent} of {fmt.plural(len(seen.members), 'process')} said nothing"] if silent else []
    none = "too early to judge" if seen.judged.early else fmt.found_nothing(seen.hello)
    nothing_ran = seen.silences or silent
    first = told or ("" if nothing_ran else none)
    return f"{seen.hello.process.name}: {'; '.join(filter(None, [first, *now]))}"


def blocks(seen: Seen) -> list[Block]:
    """The whole report."""
    lines = Lines(seen.told)
    whole = (
        Heading(1, title(seen)),
        Paragraph(f"{_when(seen)} {seen.shown}".strip()),
        *(Paragraph(each) for each in seen.hello.notes if not seen.hello.counts_births),
        *(Paragraph(f"{each}.") for each in fmt.unseen(seen.hello)),
        *_silences(seen),
        *_verdicts(seen, lines),
        *_members(seen),
        *_charts(seen),
        *_sites(seen),
        *details(seen, lines),
        *_stalls(seen, lines),
        *_process(seen),
    )
    return list(_without_empty(whole))


def _silences(seen: Seen) -> Iterator[Block]:
    for each in seen.silences:
        yield Heading(2, fmt.sentence(each.lasted).removesuffix("."))
        yield Paragraph(fmt.sentence(each.text))


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
    if seen.silences and seen.silences[-1].seconds >= seen.judged.seconds:
        return "While nothing runs, nothing grows either: this says nothing about leaks."
    what = "leak or hang" if seen.hello.finds_hangs else "grow"
    meant = " while something ran" if seen.silences else ""
    said = f"Nothing was found to {what} in {fmt.age(seen.judged.seconds)} of watching{meant}."
    return f"{said}  {fmt.left_out(seen.hello)}".rstrip()


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
        waits = (
            "" if seen.hello.arrived == "counting" else "; the evidence below shows where these tasks wait"
        )
        yield Paragraph(f"Not recognised{waits}.", "Cause")
    yield from _lines_of(finding, seen, lines)
    evidence = [*(cause.evidence if cause is not None else ()), *fmt.moves(finding)]
    if finding.projection is not None:
        evidence.append(fmt.forecast(finding.projection))
    if evidence:
        yield Heading(3, "Evidence")
        yield Items(tuple(evidence))
    past = next((each for each in seen.sites if each.site == finding.id), None)
    if past is not None and len(past.times) > 1:
        yield _chart(
            f"live, {'waiting' if finding.known == 'parked' else 'started'} at this line",
            *_steps(past, seen.sample.monotonic),
            fmt.count,
            seen,
        )


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
        seldom = sum(value is not None for value in values[: bisect_right(times, seen.sample.monotonic)]) < 2
        if not seldom and (name != "tasks" or seen.hello.counts_tasks):
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
    rows, births = [], seen.hello.counts_births
    head = ("line", "coroutine", "live", "change", "born", "ended", "oldest")
    known_columns = len(head) if births else 4
    for each in counted[:MAX_SITES]:
        site, counts = named[each.site], each.counts
        known = past.get(each.site)
        change = fmt.change(counts.live - known.live[0]) if known and known.live else fmt.UNKNOWN
        oldest = fmt.age(seen.sample.monotonic - each.oldest) if each.oldest is not None else fmt.UNKNOWN
        numbers = (fmt.count(counts.live), change, fmt.count(counts.born), fmt.count(counts.ended), oldest)
        rows.append((place(site), site.coroutine, *numbers)[:known_columns])
    yield Heading(
        2, f"Lines {'that start tasks and threads' if births else 'at which tasks and threads wait'}"
    )
    of = f"{len(rows)} of {len(counted):,} lines, most live first" if len(counted) > len(rows) else ""
    if rows:
        yield Table(head[:known_columns], tuple(rows), 2, of)


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
    how = "with the agent" if seen.hello.counts_births else "read from outside"
    has = [fmt.plural(sample.tasks.live, "task")] if seen.hello.counts_tasks else []
    has += [
        fmt.plural(sample.threads, "thread"),
        f"{fmt.count(sample.fds)} descriptors (limit {fmt.count(process.fd_limit)})",
        f"{fmt.bytes(sample.rss)} of memory",
        f"{fmt.percent(sample.cpu)} cpu",
    ]
    facts = [
        f"pid {process.pid}, {process.implementation} {process.python}",
        f"running for {fmt.age(sample.wall - process.started_wall)}, {how} for {watched}",
        ", ".join(has),
    ]
    facts += [f"{process.user} on {process.host}, in {process.cwd}"] if process.host or process.user else []
    facts += [f"command: {' '.join(process.argv)}"] if process.argv else []
    yield Items((*facts, *seen.without, f"TaskScope {seen.hello.taskscope}"))


def _when(seen: Seen) -> str:
    at = time.strftime("%d %b %Y %H:%M:%S %Z", time.localtime(seen.sample.wall))
    return f"As seen on {at}; single tasks were looked at in the seconds before and after."


def _clock(moment: float, seen: Seen) -> str:
    wall = seen.sample.wall - (seen.sample.monotonic - moment)
    return time.strftime("%H:%M:%S", time.localtime(wall))
