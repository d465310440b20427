"""A running agent: the client's end of the wire, in the caller's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar, cast

from taskscope import __version__, model, wire
from taskscope.checked import unpack
from taskscope.export.check import check
from taskscope.model import requests
from taskscope.model.snapshot import NAMES, SiteLine, add_part
from taskscope.model.state import mentioned, merge
from taskscope.sources.base import SourceError, TargetGone
from taskscope.sources.lines import texts
from taskscope.sources.reach import Socket
from taskscope.sources.rpc import RpcClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from taskscope.model.requests import Request
    from taskscope.sources.reach import Reach

T = TypeVar("T")

MAX_WAITING = 16
"""Samples buffered for a slow reader; beyond this the oldest two are merged (nothing is lost)."""

MAX_SNAPSHOT = 192 << 20
"""Bytes of a snapshot: one of 300,000 tasks takes half of that."""

MAX_SITES = 2 * requests.MAX_SITES
"""Sites an agent may name before it counts as broken."""

LATE = 2.5
"""Intervals without a sample after which the target counts as silent."""


class LiveSource:
    """The agent at this socket, or at the end of this way.  ``patience``: timeout per answer in seconds.

    ``progress`` gets sentences for the user while an answer is late; it may be replaced.
    """

    live = True

    def __init__(
        self,
        reach: str | Reach,
        *,
        patience: float = 30.0,
        progress: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.reach = Socket(reach) if isinstance(reach, str) else reach
        self._samples: deque[model.Sample] = deque()
        self._news = asyncio.Event()
        self.progress = progress
        self._client = RpcClient(self.reach, patience, self._receive, self._news.set, self._tell)
        self._take: Callable[[str, Any], None] | None = None
        self._one_snapshot = asyncio.Lock()
        self._sites: set[int] = set()
        self._sampled: float | None = None
        self._interval = 1.0
        self._injected = False
        self._parts_from = 0
        self._searching: asyncio.Task[None] | None = None
        self._unsearched: list[model.Site] = []

    async def open(self) -> model.Hello:
        """Connects and returns the hello.  Raises SourceError: nobody listens, refused, wrong protocol."""
        await self._client.open()
        try:
            hello = await self._hello()
        except BaseException:
            await self.close()
            raise
        self._interval = hello.interval
        self._injected = hello.arrived == "injected"
        return hello

    async def close(self) -> None:
        """Closes the connection; idempotent."""
        if self._searching is not None:
            self._searching.cancel()
        await self._client.close()

    @property
    def injected(self) -> tuple[int, ...]:
        """The process, if TaskScope has brought the agent into it, and it can be seen from here."""
        outside = self._client.outside
        return (outside.pid,) if self._injected and outside is not None else ()

    def another(self) -> LiveSource:
        """A source for the same agent, not yet opened."""
        return LiveSource(self.reach)

    def silence(self) -> model.Silence | None:
        if self._sampled is None or self._client.over is not None:
            return None
        seconds = time.monotonic() - self._sampled
        condition = self._client.condition() if seconds > LATE * self._interval else None
        return None if condition is None else model.Silence(seconds, condition.state, condition.text)

    async def samples(self) -> AsyncIterator[model.Sample]:
        """Yields a full sample, then what changed, as the agent sends them.  A slow agent is not an error."""
        self._samples.clear()
        imputed: asyncio.Queue[model.Site] = asyncio.Queue()
        self._sampled = time.monotonic()
        await self._client.ask(requests.Subscribe())
        begun, before = False, 0
        known: set[int] = set()
        while True:
            while self._samples:
                sample = self._samples.popleft()
                begun = begun or sample.full
                if not begun:
                    before += 1  # from an earlier subscription
                    if before > MAX_WAITING:
                        raise self._client.misbehaves("its first sample is not a full one")
                    continue
                self._impute(sample.new_sites, imputed)
                known = mentioned(sample) if sample.full else known | mentioned(sample)
                guessed = (imputed.get_nowait() for _ in range(imputed.qsize()))
                found = tuple(site for site in guessed if site.id in known)  # else counted elsewhere now
                yield dataclasses.replace(sample, new_sites=sample.new_sites + found) if found else sample
            if self._client.over is not None:
                raise type(self._client.over)(str(self._client.over))
            self._news.clear()
            await self._news.wait()

    def _tell(self, text: str) -> None:
        self.progress(text)

    async def ask(self, request: Request[T]) -> T:
        if isinstance(request, requests.Snapshot):
            return cast("T", await self._snapshot(request))
        answer = await self._client.ask(request)
        if isinstance(request, requests.SetInterval):
            self._interval = request.seconds
        elif isinstance(request, requests.Tasks) and isinstance(answer, model.TaskPage):
            self._check_page(request.limit, len(answer.tasks))
        return answer

    def _check_page(self, limit: int, length: int) -> None:
        if length > limit:
            raise self._client.misbehaves(f"it sent {length:,} tasks for a page of at most {limit:,}")

    async def _snapshot(self, request: requests.Snapshot) -> dict[str, Any]:
        """The whole state, which the agent sends in parts; each part extends the timeout."""
        parts: dict[str, Any] = {}
        await self.parts(request, lambda section, value: add_part(parts, section, value))
        snapshot = self._client.fits(lambda: check(parts), request)
        await self._impute_snapshot(snapshot)
        await self._add_lines(snapshot)
        from taskscope.sources.pump import add_findings

        await add_findings(self, snapshot)
        return snapshot

    async def parts(self, request: requests.Snapshot, take: Callable[[str, Any], None]) -> None:
        """Passes on the parts of a snapshot as they come, unchecked.

        ``take`` may raise WireError, or OSError, which then is raised here; either ends the connection.
        """
        failed: list[OSError] = []

        def taken(section: str, value: Any) -> None:
            try:
                take(section, value)
            except OSError as error:  # not the connection's
                failed.append(error)
                raise SourceError("the parts cannot be passed on") from None

        async with self._one_snapshot:  # parts do not name their snapshot
            self._take, self._parts_from = taken, self._client.received
            try:
                await self._client.send(request)
            except SourceError:
                if failed:
                    raise failed[0] from None
                raise
            finally:
                self._take = None

    async def detach(self) -> None:
        """Removes the agent from the target, which ends the connection."""
        with contextlib.suppress(TargetGone):  # it may be gone before its answer is sent
            await self._client.ask(requests.Detach())

    def _impute(self, sites: Sequence[model.Site], found: asyncio.Queue[model.Site]) -> None:
        """Starts a background search for the lines of unobserved sites; results go into ``found``."""
        self._unsearched += [site for site in sites if site.known == "unknown" and site.kind == "task"]
        if self._unsearched and (self._searching is None or self._searching.done()):

            async def search() -> None:
                with contextlib.suppress(SourceError):
                    while self._unsearched:
                        batch, self._unsearched = self._unsearched, []
                        for site in await self._imputed(batch):
                            found.put_nowait(site)

            self._searching = asyncio.create_task(search(), name="taskscope-imputing")

    async def _imputed(self, unknown: Sequence[model.Site]) -> Sequence[model.Site]:
        """These sites with their likely lines, if the source shows any."""
        files = await self._client.ask(requests.Modules())
        return await self.reach.imputed(files, unknown)

    async def _impute_snapshot(self, snapshot: dict[str, Any]) -> None:
        packed: list[Any] = snapshot["sites"]
        sites = [unpack(model.Site, each) for each in packed]
        unknown = [site for site in sites if site.known == "unknown" and site.kind == "task"]
        if unknown:
            found = {site.id: wire.pack(site) for site in await self._imputed(unknown)}
            packed[:] = [found.get(each["id"], each) for each in packed]

    async def _add_lines(self, snapshot: dict[str, Any]) -> None:
        sites = [unpack(model.Site, each) for each in snapshot["sites"]]
        with contextlib.suppress(SourceError):  # the snapshot is whole without
            found = await texts(self, sites, unpack(model.Sample, snapshot["sample"]))
            snapshot["site_lines"] = [wire.pack(SiteLine(site, text)) for site, text in found.items()]

    async def _hello(self) -> model.Hello:
        request = requests.Hello(wire.PROTOCOL, f"taskscope {__version__}")
        answer = await self._client.send(request)
        theirs = answer.get("protocol") if isinstance(answer, dict) else None
        if theirs != wire.PROTOCOL:
            said = f"protocol {theirs}" if type(theirs) is int and 0 <= theirs < 10**6 else "another protocol"
            raise SourceError(
                f"the agent speaks {said}, this TaskScope {__version__} speaks {wire.PROTOCOL}: "
                "use the same version of TaskScope on both sides"
            )
        return self._client.fits(lambda: unpack(model.Hello, answer), request)

    def _receive(self, message: wire.Request) -> None:
        if message.method == "sample":
            self._take_sample(message.params)
        elif message.method == "leaving":
            self._client.farewell = wire.clean_text(str(message.params.get("reason")))
        elif message.method == "exiting":
            self._client.exits = True
        elif message.method == "part":
            self._take_part(message.params.get("section"), message.params.get("value"))

    def _take_sample(self, params: Mapping[str, Any]) -> None:
        try:
            sample = unpack(model.Sample, params)
        except wire.WireError as error:
            raise self._client.misbehaves(f"its sample does not fit: {error}") from None
        self._sites.update(site.id for site in sample.new_sites)
        self._sites.update(each.site for each in sample.sites)
        if len(self._sites) > MAX_SITES:
            raise self._client.misbehaves(f"it names more than {MAX_SITES:,} sites")
        self._sampled, self._interval = time.monotonic(), sample.interval
        self._samples.append(sample)
        if len(self._samples) > MAX_WAITING:
            oldest = self._samples.popleft()
            self._samples[0] = merge(oldest, self._samples[0])
        self._news.set()

    def _take_part(self, section: Any, value: Any) -> None:
        if self._take is None:
            return  # the caller of this snapshot gave up
        if self._client.received - self._parts_from > MAX_SNAPSHOT:
            raise self._client.misbehaves(f"its snapshot is larger than {MAX_SNAPSHOT >> 20} MB")
        if section not in NAMES:
            return  # from a newer agent
        self._client.progressed()
        try:
            self._take(section, value)
        except wire.WireError as error:
            raise self._client.misbehaves(f"its snapshot does not fit: {error}") from None
