"""``taskscope report``: one page that says what is wrong, where and why, to send to somebody."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from taskscope.commands.common import (
    CommandError,
    UsageError,
    add_read_only,
    add_targets,
    check_writable,
    duration,
    say,
    source_of,
    written,
)

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from taskscope.export.report import Seen
    from taskscope.model import Finding, Hello, History, Judged, Sample, Silence, SiteHistory
    from taskscope.sources.base import Source, Verdicts

    Found = tuple[Sample, tuple[Finding, ...], Judged, str, tuple[Silence, ...]]

WATCH = 20.0
"""Seconds that a process is watched."""

SITES = 40
"""Sites whose past is read, most live first."""


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    parser.description = (
        "Writes one page: what leaks or hangs, its line, cause and usual fix; then charts, stacks and "
        "source.  The page needs no network and no script.  A process is watched for a while first; of a "
        "recording, its end is shown."
    )
    add_targets(parser)
    add_read_only(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        required=True,
        help="FILE.html or FILE.md to write; - writes Markdown to stdout",
    )
    parser.add_argument(
        "--for",
        dest="seconds",
        type=duration,
        default=WATCH,
        metavar="20s",
        help="how long a process is watched (default: 20s)",
    )
    parser.add_argument(
        "--redact",
        action="store_true",
        help="leave out arguments, environment, messages of errors, names of hosts and users",
    )


def main(options: Namespace) -> int:
    """Writes the page; exits with status 0 whatever it says."""
    import asyncio

    from taskscope.export.report import title
    from taskscope.export.whole import write_whole

    suffix = Path(options.output).suffix.lower()
    if options.output != "-" and suffix not in (".html", ".htm", ".md"):
        raise UsageError(f"report writes .html or .md, not {options.output}")
    if options.output != "-":
        check_writable(options.output)
    seen = asyncio.run(_seen(options))
    if options.redact:
        from taskscope.export.redact import redacted

        seen = redacted(seen)
    text = page(seen, suffix)
    if options.output == "-":
        print(text)
        return 0
    with written(options.output):
        write_whole(Path(options.output), text.encode("utf-8", "replace"))
    say(f"{options.output}: {title(seen)}")
    return 0


def page(seen: Seen, suffix: str) -> str:
    """The report as HTML if ``suffix`` says so, else as Markdown."""
    from taskscope.export.report import blocks, title

    if suffix in (".html", ".htm"):
        from taskscope.export.html import html

        return html(title(seen), blocks(seen))
    from taskscope.export.markdown import markdown

    return markdown(blocks(seen))


async def _seen(options: Namespace) -> Seen:
    """Watches the target, if it is a process, and asks for what the report needs."""
    source = source_of(options)
    try:
        hello = await source.open()
        found = await (_watched if source.live else _saved)(source, hello, options)
        return await shown_by(source, hello, *found)
    finally:
        await source.close()


async def shown_by(
    source: Source,
    hello: Hello,
    sample: Sample,
    findings: tuple[Finding, ...],
    judged: Judged,
    shown: str,
    silences: tuple[Silence, ...] = (),
) -> Seen:
    """Asks for the details and the past that a report on ``findings`` needs."""
    from contextlib import suppress

    from taskscope.export.report import Seen
    from taskscope.model import requests
    from taskscope.sources.base import SourceError
    from taskscope.sources.details import Details
    from taskscope.sources.group import GroupSource

    details = Details(source)
    try:
        await details.look(findings, sample.sites)
    except SourceError as problem:
        details.failed[str(problem)] = None
    if not judged.seconds:
        with suppress(SourceError):
            details.told[requests.Timers()] = await source.ask(requests.Timers())
    without = tuple(f"Some details are missing: {each}." for each in details.failed)
    history, sites = await _past(source, sample, findings)
    members = source.members() if isinstance(source, GroupSource) else ()
    return Seen(
        hello, sample, findings, details.told, history, sites, shown, judged, without, silences, members
    )


async def _watched(source: Source, hello: Hello, options: Namespace) -> Found:
    from taskscope.commands.observe import Observation, observe

    say(f"watching {hello.process.name} for {options.seconds:g} s (Ctrl-C: less)")
    observation = Observation(source, hello)
    await observe(observation, options.seconds, 1.0, lambda _: None, say)
    sample = observation.state.whole()
    if sample is None:
        raise CommandError("no sample came; watch for longer than the agent's interval")
    shown = f"Watched for {max(observation.watched, observation.seconds):.0f} s."
    silences = tuple(observation.silences)
    return sample, observation.findings, observation.pump.progress, shown, silences


async def _saved(source: Source, hello: Hello, options: Namespace) -> Found:
    from taskscope.sources.base import Observed

    sample = await anext(source.samples())
    saved = cast("Verdicts", source)
    silence = source.silence() if isinstance(source, Observed) else None
    silences = (silence,) if silence is not None else ()
    return sample, saved.findings, saved.judged, "Made from a file.", silences


async def _past(
    source: Source, sample: Sample, findings: tuple[Finding, ...]
) -> tuple[History, tuple[SiteHistory, ...]]:
    """The history of the process, and of the sites with findings or most live tasks."""
    from taskscope.model import History, requests
    from taskscope.model.series import LONGEST
    from taskscope.sources.base import SourceError
    from taskscope.sources.pump import PAGE

    biggest = sorted(sample.sites, key=lambda each: -each.counts.live)
    ids = list(dict.fromkeys([*(each.id for each in findings if each.id), *(each.site for each in biggest)]))
    history = History(*((),) * len(History.__slots__))
    found: list[SiteHistory] = []
    try:
        history = await source.ask(requests.History(LONGEST))
        for page in range(0, min(SITES, len(ids)), PAGE):
            found += await source.ask(requests.SiteHistory(tuple(ids[page : page + PAGE]), LONGEST))
    except SourceError:
        pass  # the report has fewer charts then
    return history, tuple(found)
