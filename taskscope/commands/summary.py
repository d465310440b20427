"""The text report of `watch` and `demo`: totals, sites by growth, findings."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from rich.cells import cell_len

from taskscope import text as fmt
from taskscope.analysis import growth
from taskscope.sources.group import GroupSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.commands.observe import Observation, Seen
    from taskscope.model import Finding, Sample
    from taskscope.model.members import Member

MAX_SITES = 30
WIDTH = 80
_UNBROKEN = "\N{NO-BREAK SPACE}"
_HEADS = ("LIVE", "CHANGE", "PER MIN", "BORN/S", "ENDED/S", "OLDEST")


def report(observation: Observation) -> str:
    """The report, in lines of at most 80 cells."""
    silences = _silences(observation)
    if observation.first is None or observation.last is None:
        return "\n".join(silences or ["No sample received; watch for longer than the agent's interval."])
    process, last = observation.process, observation.last
    watched = f"watched for {max(observation.watched, observation.seconds):.0f} s"
    members = observation.members
    who = _count(observation) if members else f"pid {process.pid}"
    lines = [
        f"{process.name}  {who}  Python {process.python}  {watched}",
        *_totals(observation, last),
        *silences,
        "",
        *([*_members(members), ""] if members else ()),
        *_table(observation),
        "",
        *_findings(observation),
    ]
    return "\n".join(lines)


def _count(observation: Observation) -> str:
    from taskscope.export.members import count

    assert isinstance(observation.source, GroupSource)
    return count(observation.members, observation.source.left)


def _members(members: Sequence[Member]) -> list[str]:
    """The processes as a table; why one refused is wrapped, not cut."""
    from taskscope.export.members import HEADS, rows

    table = [HEADS, *rows(members)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)][:-1]
    lines = []
    for *numbers, said in table:
        begin = "  ".join(cell.rjust(width) for cell, width in zip(numbers, widths, strict=True)) + "  "
        lines += textwrap.wrap(begin + said, WIDTH, subsequent_indent=" " * 8, drop_whitespace=False) or [
            begin
        ]
    return [line.rstrip() for line in lines]


def _silences(observation: Observation) -> list[str]:
    """The times without samples, which weaken any verdict."""
    said = [each.said.replace(each.what, each.what.upper(), 1) for each in observation.silences]
    return [line for text in said for line in textwrap.wrap(text, WIDTH, subsequent_indent=" " * 8)]


def _totals(observation: Observation, last: Sample) -> list[str]:
    parts = [
        _tasks(observation, last),
        f"threads {last.threads}",
        f"fds {fmt.count(last.fds)}",
        f"rss {fmt.bytes(last.rss)}",
        f"cpu {fmt.percent(last.cpu)}",
        f"loop p99 {fmt.latency(last.loop_latency)}",
    ]
    line = "   ".join(part.replace(" ", _UNBROKEN) for part in parts)
    return [each.replace(_UNBROKEN, " ") for each in textwrap.wrap(line, WIDTH)]


def _tasks(observation: Observation, last: Sample) -> str:
    if not observation.hello.counts_tasks:
        return f"tasks {fmt.UNKNOWN}"
    return f"tasks {fmt.count(last.tasks.live)} ({fmt.rate_per_min(observation.tasks.per_minute)}/min)"


def _table(observation: Observation) -> list[str]:
    shown = [seen for seen in observation.sites.values() if seen.state.counts.counts.live or _born(seen)]
    shown.sort(key=lambda seen: (-seen.state.gained, -_activity(observation, seen), seen.state.site.id))
    if not shown:
        unseen = [f"{each}." for each in fmt.unseen(observation.hello)]
        return unseen or ["No task was alive during the watch."]
    rows = [_HEADS, *(_numbers(observation, seen) for seen in shown[:MAX_SITES])]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([cell.rjust(width) for cell, width in zip(row, widths, strict=True)]) for row in rows]
    room = WIDTH - len(lines[0]) - 2
    places = [
        "SITE" if observation.hello.counts_births else "WAITS AT",
        *(_place(seen, room) for seen in shown[:MAX_SITES]),
    ]
    lines = [f"{line}  {place}" for line, place in zip(lines, places, strict=True)]
    if len(shown) > MAX_SITES:
        lines.append(f"({MAX_SITES} of {len(shown):,} creation sites, fastest-growing first)")
    return lines


def _activity(observation: Observation, seen: Seen) -> float:
    """Live tasks, or births per second if these are more."""
    return max(seen.state.counts.counts.live, _born(seen) / (observation.seconds or 1.0))


def _numbers(observation: Observation, seen: Seen) -> tuple[str, ...]:
    seconds = observation.seconds or 1.0
    births = observation.hello.counts_births
    state, counts, oldest = seen.state, seen.state.counts.counts, seen.state.counts.oldest
    guess = oldest is not None and state.site.kind == "task" and observation.state.before_agent(oldest)
    return (
        fmt.count(counts.live),
        fmt.change(state.gained),
        fmt.rate_per_min(seen.live.per_minute),
        fmt.rate_per_second(_born(seen) / seconds if births else None),
        fmt.rate_per_second((counts.ended - state.first.ended) / seconds if births else None),
        fmt.IMPUTED * guess + fmt.age(None if oldest is None else observation.state.now - oldest),
    )


def _born(seen: Seen) -> int:
    return seen.state.counts.counts.born - seen.state.first.born


def _place(seen: Seen, room: int) -> str:
    """The site in at most ``room`` cells, with its coroutine where both fit."""
    site = seen.state.site
    guessed = fmt.sign(site.known)
    own, coroutine = site.user_frame, site.coroutine
    place = f"{guessed}{fmt.frame(own or site.frame)}"
    library = f"{fmt.LEADS_TO}{fmt.frame(site.frame)}" if own and own != site.frame else ""
    for each in (f"{place}{library}  {coroutine}", f"{place}{library}", f"{place}  {coroutine}"):
        if cell_len(each) <= room:
            return each
    return fmt.shortened(place, room)


def _findings(observation: Observation) -> list[str]:
    found = observation.findings
    told = [line for finding in found for line in _finding(finding, observation.last)]
    return told or textwrap.wrap(_none(observation), WIDTH)


def _none(observation: Observation) -> str:
    """What is said where there is no finding: not that all is well while memory keeps rising."""
    rates = [
        each.slope.rate
        for each in observation.pump.judge.climbs()
        if each.resource == "rss" and each.sustained and growth.is_rising(each.slope.rate, each.used)
    ]
    rising = "".join(f"; memory rises by {fmt.bytes(rate)}/min" for rate in rates)
    judged = observation.pump.progress
    if judged.early:
        return f"{fmt.early(judged)}{rising}; watch longer."
    found = "No finding on tasks or threads" if rates else "No findings"
    if not observation.hello.finds_hangs:
        found = fmt.found_nothing(observation.hello).capitalize()
    samples = " while samples came" if observation.silences else ""
    return f"{found}{samples}{rising}.  {fmt.left_out(observation.hello)}".rstrip()


def _finding(finding: Finding, last: Sample | None) -> list[str]:
    since = f"since {fmt.since(finding, last)}"
    head = f"{finding.level.upper():<8}{fmt.place(finding)}  {finding.text}; {since}"
    said = fmt.asides(finding)
    if finding.cause is not None:
        said += [finding.cause.text, *fmt.proofs(finding.cause), *finding.cause.evidence]
    said += fmt.moves(finding)
    if finding.projection is not None:
        said.append(fmt.forecast(finding.projection))
    if finding.cause is not None:
        said.append(finding.cause.explanation)
    lines = textwrap.wrap(head, WIDTH, subsequent_indent=" " * 8)
    for text in filter(None, said):
        lines += textwrap.wrap(text, WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 10)
    return lines
