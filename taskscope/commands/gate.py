"""What makes ``taskscope watch`` fail: hangs, spins, leaks, and limits on tasks, memory and single sites."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from taskscope import text as fmt
from taskscope.analysis.diff import compare
from taskscope.model.changes import Side
from taskscope.model.vocabulary import rank
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from taskscope.commands.observe import Observation, Seen
    from taskscope.model import Finding, Frame, Sample
    from taskscope.model.changes import Diff
    from taskscope.model.vocabulary import Level

MIN_CHANGE = 2
"""A site's limit applies only if it gained more tasks than this: one task in a minute is not a rate."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on growth.  Rates are per minute; ``sites`` holds patterns with the highest rate for each."""

    fail_on: Level = "leak"
    ignore: tuple[str, ...] = ()
    growth: float | None = None
    percent: float | None = None
    memory_percent: float | None = None
    sites: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One check.  ``failure`` is empty if it passed; ``place`` is the line of code at fault."""

    name: str
    failure: str = ""
    place: Frame | None = None


TOO_EARLY = Check("too early to judge leaks and hangs")
"""It passes: a short watch may be there for its limits alone."""


def checks(observation: Observation, limits: Limits, baseline: Sample | None = None) -> tuple[Check, ...]:
    """All checks, passed or failed: whether samples came, each limit, each hang, spin and leak.

    ``baseline``: the state to measure growth from, instead of the first sample.
    """
    return (
        _seen(observation),
        *_totals(observation, limits, baseline),
        *_sites(observation, limits),
        *_findings(observation, limits),
    )


def kept(findings: Iterable[Finding], ignore: tuple[str, ...]) -> tuple[Finding, ...]:
    """The findings, except at sites that match one of the patterns."""
    return tuple(each for each in findings if not matches(ignore, each.coroutine, each.site, each.user_site))


def matches(patterns: Iterable[str], coroutine: str, *frames: Frame | None) -> bool:
    """Whether a shell pattern matches the coroutine, the function, or ``file.py:line``."""
    texts = [coroutine]
    for frame in frames:
        if frame is not None:
            name = frame.file.rpartition("/")[2]
            texts += [frame.function, frame.file, name, f"{frame.file}:{frame.line}", f"{name}:{frame.line}"]
    return any(fnmatchcase(text, pattern) for pattern in patterns for text in texts)


def since(observation: Observation, baseline: Side) -> Diff | None:
    """The changes since the baseline; None if no sample came."""
    last = observation.state.whole()
    return None if last is None else compare(baseline, Side(last, observation.findings))


def _seen(observation: Observation) -> Check:
    """Fails if samples stopped coming: a watch that sees nothing proves nothing."""
    failures = [each.said for each in observation.silences]
    if observation.lost:
        failures.append(observation.ended)
    elif observation.last is None and not failures:
        failures.append(observation.ended or "no sample received")
    elif not (observation.judged or observation.ended or failures):
        failures.append("samples came, but no verdict: the target answers too slowly; watch longer")
    return Check("samples came throughout", "; ".join(failures))


def _totals(observation: Observation, limits: Limits, baseline: Sample | None) -> Iterator[Check]:
    if limits.growth is not None:
        growing = observation.tasks.per_minute
        passed = growing > limits.growth
        text = f"tasks grow by {growing:,.1f}/min; the limit is {limits.growth:g}/min"
        yield Check(f"growth of all tasks, at most {limits.growth:g}/min", text if passed else "")
    whence = " since the baseline" if baseline is not None else ""
    if limits.percent is not None:
        first = float(baseline.tasks.live) if baseline is not None else None
        percent = observation.tasks.percent_from(first)
        text = f"tasks grew by {percent or 0:.1f} %{whence}; the limit is {limits.percent:g} %"
        passed = percent is not None and percent > limits.percent
        yield Check(f"growth of all tasks, at most {limits.percent:g} %", text if passed else "")
    if limits.memory_percent is not None:
        first = float(baseline.rss) if baseline is not None and baseline.rss else None
        percent = observation.rss.percent_from(first)
        text = f"memory grew by {percent or 0:.1f} %{whence}; the limit is {limits.memory_percent:g} %"
        passed = percent is not None and percent > limits.memory_percent
        yield Check(f"growth of memory, at most {limits.memory_percent:g} %", text if passed else "")


def _sites(observation: Observation, limits: Limits) -> Iterator[Check]:
    for pattern, most in limits.sites:
        found = [seen for seen in observation.sites.values() if _fits(seen, pattern)]
        worst = max(found, key=lambda seen: seen.live.per_minute, default=None)
        name = f"growth at {pattern}, at most {most:g}/min"
        if worst is None:
            yield Check(name)
            continue
        growing = worst.live.per_minute
        site = worst.state.site
        text = f"{site.coroutine} grows by {growing:,.1f}/min; the limit is {most:g}/min"
        passed = growing > most and worst.state.gained > MIN_CHANGE
        yield Check(name, text if passed else "", site.user_frame or site.frame)


def _fits(seen: Seen, pattern: str) -> bool:
    return matches((pattern,), seen.state.site.coroutine, seen.state.site.frame, seen.state.site.user_frame)


def _findings(observation: Observation, limits: Limits) -> Iterator[Check]:
    found = [
        each for each in kept(observation.findings, limits.ignore) if rank(each.level) <= rank(limits.fail_on)
    ]
    if not found:
        nothing = Check("nothing leaks or hangs" if observation.hello.finds_hangs else "nothing grows")
        yield TOO_EARLY if observation.pump.progress.early else nothing
    for each in found:
        cause = f": {each.cause.text}" if each.cause is not None else ""
        where = f" ({fmt.among(each)})" if fmt.among(each) else ""
        text = f"{each.text}{where}{cause}"
        yield Check(f"{each.level} in {each.coroutine}", text, each.user_site or each.site)
