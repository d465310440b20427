"""``taskscope watch``: samples a process for a while, says what grew, and fails when a limit is passed."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, Any

from taskscope.commands.attach import TARGET_HELP
from taskscope.commands.common import duration, say

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable

    from taskscope.commands.observe import Observation
    from taskscope.model import Finding, Frame, Sample

_RATE = re.compile(r"(\d+(?:\.\d+)?)/(s|min|h)")
_PER_MINUTE = {"s": 60.0, "min": 1.0, "h": 1 / 60}
PROGRESS_LINES = 12


def rate(text: str) -> float:
    """Tasks per minute in ``2/min``, ``120/h`` or ``0.5/s``."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise ArgumentTypeError(f"{text!r} is not a rate like 2/min, 120/h or 0.5/s")
    return float(match[1]) * _PER_MINUTE[match[2]]


def percentage(text: str) -> float:
    """Percent in ``5`` or ``5%``."""
    if re.fullmatch(r"\d+(\.\d+)?%?", text) is None:
        raise ArgumentTypeError(f"{text!r} is not a percentage like 5")
    return float(text.removesuffix("%"))


def register(parser: ArgumentParser) -> None:
    """Sets the parser's description and adds the verb's arguments."""
    parser.description = (
        "Samples a process without the app and prints how many live tasks each creation site has and "
        "gained.  Exit status 1 if a leak was found or a limit was passed.  Ctrl-C ends it early, with what "
        "is known by then."
    )
    parser.add_argument("target", metavar="TARGET", help=TARGET_HELP)
    parser.add_argument(
        "--for", dest="seconds", type=duration, default=60.0, metavar="60s", help="how long to watch"
    )
    parser.add_argument("--interval", type=duration, default=1.0, metavar="1s", help="time between samples")
    parser.add_argument(
        "--max-growth", type=rate, metavar="2/min", help="limit for the growth of all live tasks, as a rate"
    )
    parser.add_argument(
        "--max-percent",
        type=percentage,
        metavar="5",
        help="limit for the growth of all live tasks from begin to end, in percent",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")


def main(options: Namespace) -> int:
    """Watches, prints, judges."""
    import asyncio

    samples: list[Any] = []
    observation = asyncio.run(_watch(options, samples))
    passed = limits_passed(observation, options.max_growth, options.max_percent)
    if options.json:
        _print_json(observation, samples)
    else:
        from taskscope.commands.report import report

        print(report(observation))
    for sentence in passed:
        say(f"taskscope watch: {sentence}")
    leaks = any(finding.level == "leak" for finding in observation.findings)
    return 1 if passed or leaks else 0


async def _watch(options: Namespace, samples: list[Any]) -> Observation:
    from taskscope import wire
    from taskscope.commands.observe import Observation, observe
    from taskscope.sources.resolve import resolve

    source = resolve(options.target)
    observation = Observation(source, await source.open())
    progress = _progress(options.seconds)

    def told(sample: Sample) -> None:
        progress(sample)
        if options.json:
            samples.append(wire.pack(sample))

    try:
        await observe(observation, options.seconds, options.interval, told)
    finally:
        await source.close()
    if observation.ended:
        say(f"taskscope watch: {observation.ended}; this is what was seen before")
    return observation


def _progress(seconds: float) -> Callable[[Sample], None]:
    """Says how it stands, about a dozen times however long it takes."""
    due: list[float] = []

    def say_now_and_then(sample: Sample) -> None:
        if not due:
            due.extend([sample.monotonic, sample.monotonic])
        if sample.monotonic >= due[1]:
            say(f"{sample.monotonic - due[0]:6.0f} s  {sample.tasks.live:,} tasks  {sample.threads} threads")
            due[1] += max(seconds / PROGRESS_LINES, sample.interval)

    return say_now_and_then


def limits_passed(
    observation: Observation, max_growth: float | None, max_percent: float | None
) -> tuple[str, ...]:
    """A sentence for each limit that the growth of all live tasks is beyond."""
    found = []
    growing, percent = observation.tasks.per_minute, observation.tasks.percent
    if max_growth is not None and growing > max_growth:
        found.append(f"tasks grow by {growing:,.1f} a minute, the limit is {max_growth:g}")
    if max_percent is not None and percent is not None and percent > max_percent:
        found.append(f"tasks grew by {percent:.1f} %, the limit is {max_percent:g} %")
    return tuple(found)


def _print_json(observation: Observation, samples: list[Any]) -> None:
    import json

    from taskscope import wire

    target = wire.pack(observation.hello.process)
    findings = [finding_of_contract(finding) for finding in observation.findings]
    print(json.dumps({"target": target, "samples": samples, "findings": findings}))


def finding_of_contract(finding: Finding) -> dict[str, Any]:
    """The fields that scripts may depend on, and no others."""
    cause = finding.cause
    return {
        "level": finding.level,
        "kind": finding.kind,
        "site": _place(finding.site),
        "user_site": _place(finding.user_site),
        "coroutine": finding.coroutine,
        "live": finding.live,
        "rate_per_min": finding.rate_per_min,
        "since": finding.since,
        "evidence": finding.evidence,
        "cause": None if cause is None else {"pattern": cause.pattern, "text": cause.text},
    }


def _place(frame: Frame | None) -> dict[str, Any] | None:
    return None if frame is None else {"file": frame.file, "line": frame.line, "function": frame.function}
