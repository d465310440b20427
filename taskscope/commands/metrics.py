"""``taskscope metrics``: shows processes to Prometheus and whatever else reads OpenMetrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.commands.common import TARGET_HELP, CommandError, UsageError, say

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Sequence

    from taskscope.sources.base import Source
    from taskscope.sources.exposition import Exposition

FIRST = 5.0
"""Seconds to wait for the first sample of a target that is printed once."""


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    parser.description = (
        "Prints metrics of processes as OpenMetrics text, or serves them: counts by creation site, threads, "
        "descriptors, memory, loop latency, stalls, findings, seconds to each limit.  A named target may end "
        "and come back: taskscope_up tells.  --rules and --dashboard print what to give to Prometheus and "
        "Grafana."
    )
    parser.add_argument("targets", metavar="TARGET", nargs="*", help=TARGET_HELP)
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        help="serve at http://HOST:PORT/metrics (without HOST: to this machine only)",
    )
    parser.add_argument("--rules", action="store_true", help="print alert rules for Prometheus (YAML)")
    parser.add_argument("--dashboard", action="store_true", help="print a dashboard for Grafana (JSON)")


def main(options: Namespace) -> int:
    """Prints once, or serves until told to end."""
    import asyncio

    if options.rules or options.dashboard:
        if options.targets or options.listen or (options.rules and options.dashboard):
            raise UsageError("--rules and --dashboard each stand alone")
        print(_packaged(dashboard=options.dashboard), end="")
        return 0
    if not options.targets:
        raise UsageError("no TARGET given")
    if options.listen is None:
        return asyncio.run(_once(options.targets))
    from taskscope.commands.patrol import until_told

    return asyncio.run(until_told(_serve(options.targets, options.listen)))


def _packaged(*, dashboard: bool) -> str:
    if dashboard:
        from taskscope.export.dashboard import dashboard as text

        return text()
    from importlib.resources import files

    return (files("taskscope.export") / "alerts.yaml").read_text()


async def _once(targets: Sequence[str]) -> int:
    """Prints the metrics of targets that all have to be there.  Raises SourceError."""
    import asyncio

    from taskscope.commands.serving import exposed
    from taskscope.export.openmetrics import OPENMETRICS
    from taskscope.sources.resolve import resolve

    found: list[Exposition] = []
    for target in dict.fromkeys(targets):
        source = await asyncio.to_thread(resolve, target, progress=say)
        try:
            found.append(await _glance(source, target))
        finally:
            await source.close()
    print(exposed(found, OPENMETRICS)[1], end="")
    return 0


async def _glance(source: Source, target: str) -> Exposition:
    """The metrics after a first sample."""
    import asyncio

    from taskscope.sources.exposition import Exposition
    from taskscope.sources.pump import Pump

    if not source.live:
        raise UsageError(f"metrics needs running processes; {target} is a file")
    hello = await source.open()
    exposition = Exposition(target)
    exposition.begin(hello)
    pump = Pump(source, hello, exposition)
    try:
        async with asyncio.timeout(FIRST + hello.interval):
            async for _ in pump.samples():
                await exposition.look(source, await pump.judged(), pump.judge)
                break
    except TimeoutError:
        raise CommandError(f"no sample came from {target} within {FIRST + hello.interval:g} s") from None
    return exposition


async def _serve(targets: Sequence[str], address: str) -> None:
    import asyncio

    from taskscope.commands.serving import PATH, serve
    from taskscope.companion import AddressError, listening
    from taskscope.sources.exposition import Exposition

    expositions = {target: Exposition(target) for target in targets}
    try:
        listener = listening(address)
    except AddressError as error:
        raise UsageError(str(error)) from None
    host, port, *_ = listener.getsockname()
    server = await serve(listener, expositions.values)
    say(f"taskscope metrics: http://{f'[{host}]' if ':' in host else host}:{port}{PATH}")
    async with server, asyncio.TaskGroup() as group:
        for target, exposition in expositions.items():
            group.create_task(_follow(target, exposition, lambda text: say(f"taskscope metrics: {text}")))
        await server.serve_forever()


async def _follow(target: str, exposition: Exposition, tell: Callable[[str], None]) -> None:
    """Shows every process that ``target`` comes to name; what goes wrong is told, and shows as up 0."""
    import contextlib

    from taskscope.sources.base import SourceError
    from taskscope.sources.following import connections, watch

    try:
        async with contextlib.aclosing(connections(target, tell)) as following:
            async for source, hello in following:
                try:
                    await watch(source, hello, 0.0, [exposition])
                except SourceError as gone:
                    tell(str(gone))
    except SourceError as error:  # a pid that is not there
        tell(str(error))
