"""``taskscope.attach``: another process seen from a program, as the objects of `taskscope.model`.

It sees what the app and ``watch`` see: samples go to a judge from the moment it is entered, so that findings
get surer the longer it stays open.  `AsyncAttached` does the work in the caller's event loop; `Attached` is
the same for programs without one, by a loop in a thread of its own.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, TypeVar

from taskscope.model import requests
from taskscope.model.state import TargetState
from taskscope.sources.base import NotAvailable, SourceError
from taskscope.sources.pump import Pump
from taskscope.sources.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
    from types import TracebackType
    from typing import Any, Self

    from taskscope import model
    from taskscope.model.requests import Request
    from taskscope.model.vocabulary import Order
    from taskscope.sources.base import Source

T = TypeVar("T")

PAGE = 500
"""Tasks that one request lists."""


class AsyncAttached:
    """``async with`` connects and disconnects; every method raises SourceError once the target is gone."""

    def __init__(self, target: str, *, inject: bool, via: str) -> None:
        self._target, self._inject, self._via = target, inject, via
        self._source: Source
        self._hello: model.Hello
        self._state = TargetState()
        self._findings: tuple[model.Finding, ...] = ()
        self._over: SourceError | None = None
        self._progress: model.Judged
        self._sampled, self._verdict = asyncio.Event(), asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._source = await asyncio.to_thread(resolve, self._target, inject=self._inject, via=self._via)
        try:
            self._hello = await self._source.open()
        except BaseException:
            await self._source.close()
            raise
        self._state = TargetState(self._hello)
        self._watching = asyncio.create_task(self._watch(), name="taskscope-attached")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await self._source.close()

    @property
    def process(self) -> model.Process:
        """The target: its pid, name, version, limits."""
        return self._hello.process

    async def state(self) -> model.Sample:
        """The newest sample, with the counts (``sites``) and definitions (``new_sites``) of all sites."""
        await self._ready(self._sampled)
        whole = self._state.whole()
        assert whole is not None
        return whole

    async def findings(self) -> tuple[model.Finding, ...]:
        """What leaks, hangs or spins, worst first, judged on all samples so far.

        That there are none means nothing while ``judged()`` is ``early``.
        """
        await self._ready(self._verdict)
        return self._findings

    async def judged(self) -> model.Judged:
        """How far the judgement has come: its ``seconds``, and whether it is too ``early`` for a verdict."""
        await self._ready(self._verdict)
        return self._progress

    async def tasks(
        self, sites: Sequence[int] | None = None, order: Order = "oldest"
    ) -> AsyncIterator[model.Task]:
        """All live tasks, or those of some sites, fetched page by page while you iterate."""
        after = None
        while True:
            wanted = None if sites is None else tuple(sites)
            page = await self.ask(requests.Tasks(wanted, order=order, limit=PAGE, after=after))
            for task in page.tasks:
                yield task
            after = page.after
            if after is None:
                return

    async def task(self, serial: int) -> model.TaskDetail:
        """One task: its stack, what it waits for, who awaits it, what created it.

        Raises NotAvailable if it has ended.
        """
        return await self.ask(requests.Task(serial))

    async def stack(self, serial: int) -> tuple[model.Frame, ...]:
        """The await stack of a task, innermost frame first; empty if it has ended, or was not recorded."""
        try:
            return (await self.task(serial)).stack
        except NotAvailable:
            return ()

    async def threads(self) -> tuple[model.Thread, ...]:
        """All threads; for the stack of one, ask ``requests.Thread(ident)``."""
        return await self.ask(requests.Threads())

    async def ask(self, request: Request[T]) -> T:
        """The answer to any of `taskscope.model.requests`.  Raises NotAvailable if it has none."""
        if self._over is not None:
            raise self._over
        return await self._source.ask(request)

    async def _ready(self, event: asyncio.Event) -> None:
        await event.wait()
        if self._over is not None:
            raise self._over

    async def _watch(self) -> None:
        pump = Pump(self._source, self._hello, self)
        try:
            async for _ in pump.samples():
                self._sampled.set()
                self._findings, self._progress = await pump.judged(), pump.progress
                self._verdict.set()
        except SourceError as over:
            self._over = over
            self._sampled.set()
            self._verdict.set()

    def apply(self, sample: model.Sample) -> None:
        """The next sample, from the pump."""
        self._state.apply(sample)

    def recall(self, past: object) -> None:
        """The past is for the judge alone."""


class Attached:
    """The same for programs without an event loop: ``with`` connects and disconnects; methods block."""

    def __init__(self, target: str, *, inject: bool, via: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="taskscope-attached", daemon=True)
        self._inner = AsyncAttached(target, inject=inject, via=via)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._run(self._inner.__aenter__())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._run(self._inner.__aexit__(kind, error, trace))
        finally:
            self._end()

    def _end(self) -> None:
        self._run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    @property
    def process(self) -> model.Process:
        """The target: its pid, name, version, limits."""
        return self._inner.process

    def state(self) -> model.Sample:
        """The newest sample, with the counts (``sites``) and definitions (``new_sites``) of all sites."""
        return self._run(self._inner.state())

    def findings(self) -> tuple[model.Finding, ...]:
        """What leaks, hangs or spins, worst first, judged on all samples so far.

        That there are none means nothing while ``judged()`` is ``early``.
        """
        return self._run(self._inner.findings())

    def judged(self) -> model.Judged:
        """How far the judgement has come: its ``seconds``, and whether it is too ``early`` for a verdict."""
        return self._run(self._inner.judged())

    def tasks(self, sites: Sequence[int] | None = None, order: Order = "oldest") -> Iterator[model.Task]:
        """All live tasks, or those of some sites, fetched page by page while you iterate."""
        every = self._inner.tasks(sites, order)
        while (task := self._run(_next(every))) is not None:
            yield task

    def task(self, serial: int) -> model.TaskDetail:
        """One task: its stack, what it waits for, who awaits it, what created it.

        Raises NotAvailable if it has ended.
        """
        return self._run(self._inner.task(serial))

    def stack(self, serial: int) -> tuple[model.Frame, ...]:
        """The await stack of a task, innermost frame first; empty if it has ended, or was not recorded."""
        return self._run(self._inner.stack(serial))

    def threads(self) -> tuple[model.Thread, ...]:
        """All threads; for the stack of one, ask ``requests.Thread(ident)``."""
        return self._run(self._inner.threads())

    def ask(self, request: Request[T]) -> T:
        """The answer to any of `taskscope.model.requests`.  Raises NotAvailable if it has none."""
        return self._run(self._inner.ask(request))


async def _next(every: AsyncIterator[T]) -> T | None:
    return await anext(every, None)


class Attaching:
    """What ``taskscope.attach`` returns: enter it with ``with``, or with ``async with``."""

    def __init__(self, target: str, *, inject: bool, via: str) -> None:
        self._target, self._inject, self._via = target, inject, via
        self._entered: Attached | AsyncAttached | None = None

    def __enter__(self) -> Attached:
        self._entered = Attached(self._target, inject=self._inject, via=self._via)
        return self._entered.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert isinstance(self._entered, Attached)
        self._entered.__exit__(kind, error, trace)

    async def __aenter__(self) -> AsyncAttached:
        self._entered = AsyncAttached(self._target, inject=self._inject, via=self._via)
        return await self._entered.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert isinstance(self._entered, AsyncAttached)
        await self._entered.__aexit__(kind, error, trace)
