"""``taskscope watch``: samples a process, reports what grew, fails on a leak, a hang or a passed limit."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from contextlib import ExitStack
from typing import TYPE_CHECKING

from taskscope.commands.common import (
    RULES_HELP,
    UsageError,
    add_read_only,
    add_targets,
    check_writable,
    duration,
    say,
    say_what_is_missing,
    source_of,
    waiting,
)
from taskscope.text import early, plural, unseen

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Sequence

    from taskscope.commands.gate import Check
    from taskscope.commands.observe import Observation
    from taskscope.commands.watch_lines import Lines
    from taskscope.model import Hello, Sample
    from taskscope.model.changes import Side
    from taskscope.sources.base import Source

_RATE = re.compile(r"(\d+(?:\.\d+)?)/(s|min|h)")
_PER_MINUTE = {"s": 60.0, "min": 1.0, "h": 1 / 60}
PROGRESS_LINES = 12

SECONDS = 60.0
"""Duration of a watch, unless given."""

MAX_SAMPLES = 1200
"""Most samples in the JSON output."""

MAX_COUNTS = 60_000
"""Most site counts over all kept samples: about 20 MB."""


def rate(text: str) -> float:
    """Tasks per minute, from ``2/min``, ``120/h`` or ``0.5/s``."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise ArgumentTypeError(f"{text!r} is not a rate like 2/min, 120/h or 0.5/s")
    return float(match[1]) * _PER_MINUTE[match[2]]


def percentage(text: str) -> float:
    """Percent, from ``5`` or ``5%``."""
    if re.fullmatch(r"\d+(\.\d+)?%?", text) is None:
        raise ArgumentTypeError(f"{text!r} is not a percentage like 5")
    return float(text.removesuffix("%"))


def site_limit(text: str) -> tuple[str, float]:
    """A pattern and the highest rate for sites that match it, from ``handle=2/min``."""
    pattern, equals, most = text.rpartition("=")
    if not equals or not pattern:
        raise ArgumentTypeError(f"{text!r} is not a pattern with a rate like 'handle_*=2/min'")
    return pattern, rate(most)


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    parser.description = (
        "Samples a process without the app, then prints what grew, leaks, hangs and their causes.  Exits "
        "with status 1 on a leak, a hang, a passed limit, or when samples stop coming.  Ctrl-C or "
        "SIGTERM ends the watch early and still prints the report.  PATTERN is a shell pattern, matched "
        "against the coroutine, the function and file.py:line.  With --on it watches until it "
        "is told to end, through restarts of a named process, and acts by itself."
    )
    add_targets(parser)
    add_read_only(parser)
    parser.add_argument(
        "--for",
        dest="seconds",
        type=duration,
        metavar="60s",
        help="duration of the watch (default: 60s; with --on: without end)",
    )
    parser.add_argument("--interval", type=duration, default=1.0, metavar="1s", help="time between samples")
    parser.add_argument("--on", nargs=2, action="append", metavar=("RULES", "DO"), help=RULES_HELP)
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--max-growth", type=rate, metavar="2/min", help="fail if all live tasks together grow faster"
    )
    limits.add_argument(
        "--max-percent",
        type=percentage,
        metavar="5",
        help="fail if live tasks grow by more percent over the run",
    )
    limits.add_argument(
        "--max-memory-percent",
        type=percentage,
        metavar="10",
        help="fail if memory grows by more percent over the run",
    )
    limits.add_argument(
        "--limit",
        dest="limits",
        type=site_limit,
        action="append",
        default=[],
        metavar="PATTERN=2/min",
        help="fail if a matching site grows faster; repeatable",
    )
    limits.add_argument(
        "--baseline",
        metavar="FILE",
        help="snapshot to measure percentages from; also prints the changes since",
    )
    limits.add_argument(
        "--fail-on", choices=("leak", "suspect"), default="leak", help="lowest level of finding that fails"
    )
    limits.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="PATTERN",
        help="ignore findings at matching sites; repeatable",
    )
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print a JSON object instead of text")
    output.add_argument(
        "--follow",
        action="store_true",
        help="with --json: print samples and findings as they come, a line each, and a summary as the last",
    )
    output.add_argument("--junit", metavar="FILE", help="write the checks as a JUnit file")
    output.add_argument("--github", action="store_true", help="annotate the guilty lines in GitHub Actions")


def main(options: Namespace) -> int:
    """Watches, prints the report, and returns 1 if a check failed."""
    if options.on:
        if options.read_only:
            raise UsageError("--on needs an agent in the process: it does not go with --read-only")
        from taskscope.commands import patrol

        return patrol.main(options)
    import asyncio

    import taskscope.commands.observe  # noqa: F401  (imports the most, before the time of attaching counts)
    from taskscope.commands.diff import read_baseline
    from taskscope.commands.gate import Limits, checks, kept

    if options.follow and not options.json:
        raise UsageError("--follow needs --json")
    options.seconds = options.seconds or SECONDS
    limits = Limits(
        options.fail_on,
        tuple(options.ignore),
        options.max_growth,
        options.max_percent,
        options.max_memory_percent,
        tuple(options.limits),
    )
    if options.junit:
        check_writable(options.junit)
    baseline = read_baseline(options.baseline) if options.baseline else None
    samples = Samples()
    lines = _lines() if options.follow else None
    with ExitStack() as attaching:
        attaching.enter_context(waiting(f"attaching to {' '.join(options.targets)}…"))
        source = source_of(options)  # outside of a loop, where Ctrl-C ends it at once
        observation = asyncio.run(_watch(source, attaching, options, samples, lines))
    found = checks(observation, limits, baseline.sample if baseline else None)
    observation.findings = kept(observation.findings, limits.ignore)
    if lines is not None:
        lines.end(observation, found)
    elif options.json:
        _print_json(observation, samples)
    else:
        _print_text(observation, baseline)
    _tell(options, observation, found)
    return 1 if any(check.failure for check in found) else 0


def _print_text(observation: Observation, baseline: Side | None) -> None:
    from taskscope.commands.gate import since
    from taskscope.commands.summary import report

    print(report(observation))
    changes = since(observation, baseline) if baseline is not None else None
    if changes is not None:
        from taskscope.export.changes import text

        print("\nSince the baseline")
        print("\n".join(text(changes)))


def _tell(options: Namespace, observation: Observation, found: Sequence[Check]) -> None:
    """Reports failed checks and missing verdicts on stderr, and the checks in the formats asked for."""
    from taskscope.commands import ci
    from taskscope.commands.gate import TOO_EARLY

    for sentence in unseen(observation.hello):
        say(f"taskscope watch: {sentence}")
    for check in found:
        if check.failure:
            say(ci.annotation(check) if options.github else f"taskscope watch: {check.failure}")
    if TOO_EARLY in found:
        say(f"taskscope watch: {early(observation.pump.progress)}; that it passed is no all-clear")
    if options.junit:
        ci.write_junit(options.junit, " ".join(options.targets), observation.watched, found)


class Samples:
    """The samples for the JSON output, in bounded memory: neighbours are merged when there are too many."""

    def __init__(self) -> None:
        self.kept: list[Sample] = []
        self._every = 1  # samples merged into one
        self._in_last = 0
        self._counts = 0

    def add(self, sample: Sample) -> None:
        """Adds a sample.  Merging keeps all counts and loses only time resolution."""
        from taskscope.model.state import merge

        if self._in_last % self._every:
            last = self.kept.pop()
            self._counts -= len(last.sites)
            sample = merge(last, sample)
        else:
            self._in_last = 0
        self.kept.append(sample)
        self._in_last += 1
        self._counts += len(sample.sites)
        while len(self.kept) > 1 and (len(self.kept) >= MAX_SAMPLES or self._counts > MAX_COUNTS):
            self._halve()

    def _halve(self) -> None:
        from taskscope.model.state import merge

        if len(self.kept) % 2 == 0:
            self._in_last += self._every
        pairs = [self.kept[index : index + 2] for index in range(0, len(self.kept), 2)]
        self.kept = [merge(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
        self._every *= 2
        self._counts = sum(len(each.sites) for each in self.kept)


def _lines() -> Lines:
    from functools import partial

    from taskscope.commands.watch_lines import Lines

    return Lines(partial(print, flush=True))


async def _watch(
    source: Source, attaching: ExitStack, options: Namespace, samples: Samples, lines: Lines | None
) -> Observation:
    from taskscope.commands.gate import kept
    from taskscope.commands.observe import Observation, observe

    hello = await source.open()
    observation = Observation(source, hello)
    attaching.close()
    say_what_is_missing(hello)
    progress = _progress(hello, options.seconds)

    if lines is not None:
        lines.start(observation, options.seconds)

    def told(sample: Sample) -> None:
        progress(sample)
        if lines is not None:
            lines.sample(sample, kept(observation.findings, options.ignore))
        elif options.json:
            samples.add(sample)

    try:
        await observe(observation, options.seconds, options.interval, told, say)
    finally:
        await source.close()
    if observation.ended:
        say(f"taskscope watch: {observation.ended}; the report covers the time before")
    return observation


def _progress(hello: Hello, seconds: float) -> Callable[[Sample], None]:
    """Prints the totals about a dozen times, however long the watch."""
    due: list[float] = []

    def say_now_and_then(sample: Sample) -> None:
        if not due:
            due.extend([sample.monotonic, sample.monotonic])
        if sample.monotonic >= due[1]:
            tasks = f"{plural(sample.tasks.live, 'task')}  " if hello.counts_tasks else ""
            held = f"{tasks}{plural(sample.threads, 'thread')}"
            say(f"{sample.monotonic - due[0]:6.0f} s  {held}")
            due[1] += max(seconds / PROGRESS_LINES, sample.interval)

    return say_now_and_then


def _print_json(observation: Observation, samples: Samples) -> None:
    import json

    from taskscope import wire
    from taskscope.commands.contract import finding_of_contract, judged_of_contract

    said = {
        "target": wire.pack(observation.process),
        "samples": wire.pack(samples.kept),
        "findings": [finding_of_contract(finding) for finding in observation.findings],
        **judged_of_contract(observation.pump.progress),
        "silences": wire.pack(observation.silences),
        "processes": wire.pack(observation.members),
        "ended": observation.ended or None,
    }
    print(json.dumps(said))
