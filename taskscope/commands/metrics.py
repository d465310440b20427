"""``taskscope metrics``: shows processes to Prometheus and whatever else reads OpenMetrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.commands.common import (
    CHILDREN_HELP,
    GROUP_HELP,
    PROCESS_HELP,
    CommandError,
    UsageError,
    add_via,
    say,
    until_told,
)

if TYPE_CHECKING:
    import asyncio
    from argparse import ArgumentParser, Namespace

    from taskscope.sources.base import Source
    from taskscope.sources.exposition import Exposition

MAX_PROCESSES = 100
"""Processes of one name that are shown."""

FIRST = 5.0
"""Seconds to wait for the first sample of a target that is printed once."""


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    parser.description = (
        "Prints metrics of processes as OpenMetrics text, or serves them: counts by creation site, threads, "
        "descriptors, memory, loop latency, stalls, findings, seconds to each limit.  A name means every "
        "process that has it; these may end and come back.  taskscope_up is 0 for one that was killed or "
        "does not answer; one that exits is left out while others of its name run.  --rules and --dashboard "
        "print what to give to Prometheus and Grafana."
    )
    parser.add_argument("targets", metavar="TARGET", nargs="*", help=f"{PROCESS_HELP}; {GROUP_HELP}")
    parser.add_argument("--children", action="store_true", help=CHILDREN_HELP)
    add_via(parser)
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
        return asyncio.run(_once(options))
    return asyncio.run(until_told(_serve(options)))


def _packaged(*, dashboard: bool) -> str:
    if dashboard:
        from taskscope.export.dashboard import dashboard as text

        return text()
    from importlib.resources import files

    return (files("taskscope.export") / "alerts.yaml").read_text()


async def _once(options: Namespace) -> int:
    """Prints the metrics of targets that all have to be there.  Raises SourceError."""
    import asyncio

    from taskscope.commands.serving import exposed
    from taskscope.export.openmetrics import OPENMETRICS
    from taskscope.sources.choice import Choice, is_pattern
    from taskscope.sources.resolve import resolve

    found: list[Exposition] = []
    via, children = options.via, options.children
    meant: list[str] = []
    for target in options.targets:
        every = await asyncio.to_thread(_meant, target, via, children=children)
        if not every and is_pattern(target):
            raise CommandError(Choice((target,), via=via).nobody)
        meant += every or [target]
    for target in dict.fromkeys(meant):
        source = await asyncio.to_thread(resolve, target, via=via, progress=say)
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


async def _serve(options: Namespace) -> None:
    import asyncio

    from taskscope.commands.serving import PATH, serve
    from taskscope.companion import AddressError, TakenError, listening

    try:
        listener = listening(options.listen)
    except TakenError as error:
        raise CommandError(str(error)) from None
    except AddressError as error:
        raise UsageError(str(error)) from None
    targets = dict.fromkeys(options.targets)
    shown = [_Shown(target, options.via, children=options.children) for target in targets]
    host, port, *_ = listener.getsockname()
    server = await serve(listener, lambda: [each for target in shown for each in target.expositions])
    _tell(f"http://{f'[{host}]' if ':' in host else host}:{port}{PATH}")
    async with server, asyncio.TaskGroup() as group:
        for target in shown:
            group.create_task(target.follow(group))
        await server.serve_forever()


def _tell(text: str) -> None:
    say(f"taskscope metrics: {text}")


def _meant(target: str, via: str, *, children: bool) -> list[str]:
    """The processes that a name, a pattern or a tree means now, by pid; none if it names one by itself.

    Raises SourceError.
    """
    from taskscope.sources.choice import Choice, is_pattern
    from taskscope.sources.resolve import agents_named

    if children or is_pattern(target):
        found = Choice((target,), children, via).find()
        return [each.target for each in found if not (each.helper or each.young)][:MAX_PROCESSES]
    named = {point.pid for point in agents_named(target, via)}
    return [str(pid) for pid in sorted(named)[:MAX_PROCESSES]]


class _Shown:
    """A TARGET that is served.  A name may mean several processes: workers of one service, say."""

    def __init__(self, target: str, via: str, *, children: bool) -> None:
        from taskscope.sources.choice import is_pattern
        from taskscope.sources.exposition import Exposition
        from taskscope.sources.resolve import is_name

        self.expositions = [Exposition(target)]
        """One for each process that runs, or was killed and has no successor yet; one at least."""
        self._target, self._via, self._children = target, via, children
        self._several = children or is_pattern(target) or is_name(target, via)
        self._followed: dict[str, Exposition] = {}
        self._told = ""

    async def follow(self, group: asyncio.TaskGroup) -> None:
        """Shows every process that the target comes to mean; what goes wrong is told, and shows as up 0."""
        import asyncio

        from taskscope.sources.choice import Choice
        from taskscope.sources.following import AGAIN

        if not self._several:
            await self._watch(self._target, self.expositions[0])
            return
        nobody = Choice((self._target,), self._children, self._via).nobody
        while True:
            found = await asyncio.to_thread(_meant, self._target, self._via, children=self._children)
            if not found and not self._followed:
                self._tell(f"{nobody}; waiting for one")
            for pid in set(found) - self._followed.keys():
                self._followed[pid] = self._free()
                group.create_task(self._watch(pid, self._followed[pid]))
            await asyncio.sleep(AGAIN)

    def _free(self) -> Exposition:
        """That of a process that has ended, else a new one."""
        from taskscope.sources.exposition import Exposition

        used = {id(each) for each in self._followed.values()}
        free = next((each for each in self.expositions if id(each) not in used), None)
        if free is None:
            free = Exposition(self._target)
            self.expositions.append(free)
        return free

    async def _watch(self, target: str, exposition: Exposition) -> None:
        import contextlib

        from taskscope.sources.base import SourceError, TargetExited
        from taskscope.sources.following import connections, watch

        exited = False
        try:
            async with contextlib.aclosing(connections(target, _tell, via=self._via)) as following:
                async for source, hello in following:
                    try:
                        await watch(source, hello, 0.0, [exposition])
                    except SourceError as gone:
                        exited = isinstance(gone, TargetExited)
                        _tell(str(gone))
        except SourceError as error:  # a pid that is not there
            self._tell(str(error))
        finally:
            self._followed.pop(target, None)
            if exited and self._followed:  # as with a discovered target: it is one fewer, not one down
                self.expositions.remove(exposition)

    def _tell(self, text: str) -> None:
        """Says it once as long as nothing else is to be said."""
        if text != self._told:
            self._told = text
            _tell(text)
