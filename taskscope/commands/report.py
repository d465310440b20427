"""An observation as text: the overview, the sites by growth, the findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskscope.commands.observe import Observation, Seen
    from taskscope.model import Frame, Sample

MAX_SITES = 30
_HEADS = ("LIVE", "CHANGE", "PER MIN", "BORN/S", "ENDED/S", "OLDEST", "SITE")


def report(observation: Observation) -> str:
    """The whole report."""
    if observation.first is None or observation.last is None:
        return "No sample was received; watch for longer than the agent's interval."
    process, last = observation.hello.process, observation.last
    watched = f"watched for {observation.seconds:.0f} s"
    lines = [
        f"{process.name}  pid {process.pid}  Python {process.python}  {watched}",
        _totals(observation, last),
        "",
        *_table(observation),
        "",
        *_findings(observation),
    ]
    return "\n".join(lines)


def _totals(observation: Observation, last: Sample) -> str:
    parts = [
        f"tasks {last.tasks.live:,} ({observation.tasks.per_minute:+,.0f}/min)",
        f"threads {last.threads}",
        f"fds {'–' if last.fds is None else f'{last.fds:,}'}",
        f"rss {'–' if last.rss is None else f'{last.rss / 1e6:,.0f} MB'}",
        f"cpu {'–' if last.cpu is None else f'{last.cpu:.0%}'}",
        f"loop p99 {'–' if last.loop_latency is None else f'{last.loop_latency * 1000:.1f} ms'}",
    ]
    return "   ".join(parts)


def _table(observation: Observation) -> list[str]:
    shown = [
        seen for seen in observation.sites.values() if seen.last.live or seen.last.born > seen.first.born
    ]
    shown.sort(key=lambda seen: (-(seen.last.live - seen.first.live), -seen.last.live, seen.site.id))
    if not shown:
        return ["No task has lived while it was watched."]
    rows = [_HEADS, *(_row(observation, seen) for seen in shown[:MAX_SITES])]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([*(cell.rjust(width) for cell, width in zip(row[:-1], widths, strict=False)), row[-1]])
        for row in rows
    ]
    if len(shown) > MAX_SITES:
        lines.append(f"({MAX_SITES} of {len(shown):,} creation sites, those that gained most)")
    return lines


def _row(observation: Observation, seen: Seen) -> tuple[str, ...]:
    seconds = observation.seconds or 1.0
    assert observation.last is not None
    return (
        f"{seen.last.live:,}",
        f"{seen.last.live - seen.first.live:+,}",
        f"{seen.live.per_minute:+,.1f}",
        f"{(seen.last.born - seen.first.born) / seconds:,.1f}",
        f"{(seen.last.ended - seen.first.ended) / seconds:,.1f}",
        "–" if seen.oldest is None else age(observation.last.monotonic - seen.oldest),
        f"{place(seen.site.user_frame or seen.site.frame)}  {seen.site.coroutine}"
        + ("" if seen.site.known == "exact" else f"  ({seen.site.known})"),
    )


def _findings(observation: Observation) -> list[str]:
    found = observation.findings()
    if not found:
        return ["No findings."]
    lines = []
    for finding in found:
        lines.append(f"{finding.level.upper()}  {place(finding.user_site or finding.site)}  {finding.text}")
        if finding.cause is not None:
            lines.append(f"      {finding.cause.text}")
    return lines


def place(frame: Frame) -> str:
    """``file.py:12 function``, without folders."""
    return f"{frame.file.rpartition('/')[2]}:{frame.line} {frame.function}"


def age(seconds: float) -> str:
    """``4m58s``: the two largest units."""
    seconds = max(0.0, seconds)
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, second = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{second:02}s"
    hours, minute = divmod(minutes, 60)
    return f"{hours}h{minute:02}m" if hours < 24 else f"{hours // 24}d{hours % 24:02}h"
