"""A running agent over its Unix socket: the client's end of the wire, in the caller's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from taskscope import __version__, endpoint, model, wire
from taskscope.sources.base import NotAvailable, SourceError, TargetGone
from taskscope.sources.impute import impute

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

T = TypeVar("T")

MAX_WAITING = 16
"""Samples kept for a reader who is slow; beyond this the oldest two become one (nothing is lost)."""

_CHUNK = 1 << 18
_ROOT = re.compile(r"/proc/\d+/root")
"""The target's view of the file system, where it differs from ours (a container)."""
_REFUSALS = {wire.NOT_FOUND, wire.FORBIDDEN, wire.NO_METHOD}


class LiveSource:
    """The agent that listens at ``path``.  ``patience``: seconds an answer may take (see ``_ask``)."""

    live = True

    def __init__(self, path: str, *, patience: float = 30.0) -> None:
        self.path = path
        self._patience = patience
        self._serial = 0
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._samples: deque[model.Sample] = deque()
        self._news = asyncio.Event()
        self._parts: dict[str, Any] = {}
        self._one_snapshot = asyncio.Lock()
        self._progress: asyncio.Timeout | None = None
        self._gone: str | None = "not connected yet"
        self._farewell = "the target has ended"
        self._reading: asyncio.Task[None] | None = None
        self._searching: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> model.Hello:
        """Connects and says hello.  Raises SourceError: nobody there, not allowed, another protocol."""
        try:
            async with asyncio.timeout(self._patience):
                reader, self._writer = await asyncio.open_unix_connection(self.path)
        except (FileNotFoundError, ConnectionRefusedError):
            raise TargetGone(f"nobody listens at {self.path}: the process or its agent has ended") from None
        except PermissionError:
            raise SourceError(f"{self.path} belongs to another user: run as that user or root") from None
        except TimeoutError:
            raise SourceError(f"no connection to {self.path} within {self._patience:g} s") from None
        except OSError as error:
            raise SourceError(f"cannot connect to {self.path}: {error.strerror or error}") from None
        deceit = endpoint.impostor(self._writer.get_extra_info("socket"), self.path)
        if deceit:
            self._writer.close()
            raise SourceError(deceit)
        self._gone = None
        self._reading = asyncio.create_task(self._read(reader), name="taskscope-reader")
        try:
            return await self._hello()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Lets go of the connection; harmless if called twice."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.wait([reading])
        if self._searching is not None:
            self._searching.cancel()
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()
        self._end("the connection is closed")

    async def samples(self) -> AsyncIterator[model.Sample]:
        """Yields a full sample, then what changed, as the agent sends it.  A slow agent is no error."""
        self._samples.clear()
        imputed: asyncio.Queue[model.Site] = asyncio.Queue()
        await self._ask("subscribe")
        begun = False
        while True:
            while self._samples:
                sample = self._samples.popleft()
                begun = begun or sample.full
                if not begun:
                    continue  # of a subscription before this one
                self._impute(sample.new_sites, imputed)
                found = tuple(imputed.get_nowait() for _ in range(imputed.qsize()))
                yield dataclasses.replace(sample, new_sites=sample.new_sites + found) if found else sample
            if self._gone is not None:
                raise TargetGone(self._gone)
            self._news.clear()
            await self._news.wait()

    async def set_interval(self, seconds: float) -> None:
        await self._ask("set_interval", seconds=seconds)

    async def history(self, seconds: float) -> model.History:
        return await self._one(model.History, "history", seconds=seconds)

    async def site_history(self, sites: Sequence[int], seconds: float) -> tuple[model.SiteHistory, ...]:
        return await self._many(model.SiteHistory, "site_history", sites=list(sites), seconds=seconds)

    async def site(self, site: int) -> model.SiteDetail:
        return await self._one(model.SiteDetail, "site", site=site)

    async def tasks(
        self,
        *,
        sites: Sequence[int] | None = None,
        parent: int | None = None,
        parked: str | None = None,
        order: str = "oldest",
        after: int | None = None,
        limit: int = 200,
    ) -> model.TaskPage:
        return await self._one(
            model.TaskPage,
            "tasks",
            sites=_list(sites),
            parent=parent,
            parked=parked,
            order=order,
            after=after,
            limit=limit,
        )

    async def task(self, serial: int) -> model.TaskDetail:
        return await self._one(model.TaskDetail, "task", serial=serial)

    async def ages(self, sites: Sequence[int] | None) -> model.Ages:
        return await self._one(model.Ages, "ages", sites=_list(sites))

    async def parked(self, sites: Sequence[int] | None) -> tuple[model.ParkedGroup, ...]:
        return await self._many(model.ParkedGroup, "parked", sites=_list(sites))

    async def facts(self, site: int, cuts: Sequence[float], before: float | None = None) -> model.SiteFacts:
        return await self._one(model.SiteFacts, "facts", site=site, cuts=list(cuts), before=before)

    async def groups(self, by: str) -> tuple[model.Group, ...]:
        return await self._many(model.Group, "groups", by=by)

    async def tree(self, by: str, of: int | None) -> tuple[model.TreeGroup, ...]:
        return await self._many(model.TreeGroup, "tree", by=by, of=of)

    async def threads(self) -> tuple[model.Thread, ...]:
        return await self._many(model.Thread, "threads")

    async def thread(self, ident: int) -> model.ThreadDetail:
        return await self._one(model.ThreadDetail, "thread", ident=ident)

    async def ended(self, limit: int) -> tuple[model.Ended, ...]:
        return await self._many(model.Ended, "ended", limit=limit)

    async def stalls(self) -> tuple[model.Stall, ...]:
        return await self._many(model.Stall, "stalls")

    async def loops(self) -> tuple[model.Loop, ...]:
        return await self._many(model.Loop, "loops")

    async def source(self, file: str, line: int, context: int) -> model.Source:
        return await self._one(model.Source, "source", file=file, line=line, context=context)

    async def snapshot(self, *, stacks: bool = True) -> dict[str, Any]:
        """The whole state; the agent sends it in parts, for as long as it needs."""
        async with self._one_snapshot:  # parts do not say which snapshot they belong to
            self._parts = {}
            try:
                await self._ask("snapshot", stacks=stacks)
                await self._impute_snapshot(self._parts)
                snapshot = self._parts
            finally:
                self._parts, self._progress = {}, None
        from taskscope.sources.judging import add_findings

        await add_findings(self, snapshot)
        return snapshot

    async def cancel(self, serial: int) -> None:
        """Cancels a task; NotAvailable where the agent was started without control."""
        await self._ask("cancel", serial=serial)

    async def console(self) -> tuple[str, int]:
        """Where aiomonitor's console listens in the target; opens one if there is none and we may."""
        answer = await self._ask("console")
        try:
            return str(answer["host"]), int(answer["port"])
        except (KeyError, TypeError, ValueError):
            raise SourceError("the agent's answer to 'console' does not say where") from None

    async def detach(self) -> None:
        """Removes the agent from the target, which ends the connection."""
        with contextlib.suppress(TargetGone):  # it may be gone before its answer is out
            await self._ask("detach")

    def _impute(self, sites: Sequence[model.Site], found: asyncio.Queue[model.Site]) -> None:
        """Starts a search for the lines of sites that nobody saw; it feeds ``found`` in the background."""
        unknown = [site for site in sites if site.known == "unknown" and site.kind == "task"]
        if unknown and self._searching is None:

            async def search() -> None:
                with contextlib.suppress(SourceError):
                    for site in await self._imputed(unknown):
                        found.put_nowait(site)
                self._searching = None

            self._searching = asyncio.create_task(search(), name="taskscope-imputing")

    async def _imputed(self, unknown: Sequence[model.Site]) -> list[model.Site]:
        """These sites with their likely lines, as far as the sources tell."""
        files = await self._ask("modules")
        root = _ROOT.match(self.path)
        sources = await asyncio.to_thread(_read_sources, root[0] if root else "", files, unknown)
        found = await asyncio.to_thread(lambda: [impute(site, sources) for site in unknown])
        return [site for site in found if site is not None]

    async def _impute_snapshot(self, parts: dict[str, Any]) -> None:
        packed: list[Any] = parts.get("sites", [])
        sites = [_unpack(model.Site, each) for each in packed]
        unknown = [site for site in sites if site.known == "unknown" and site.kind == "task"]
        if unknown:
            found = {site.id: wire.pack(site) for site in await self._imputed(unknown)}
            packed[:] = [found.get(each["id"], each) for each in packed]

    async def _hello(self) -> model.Hello:
        answer = await self._ask("hello", protocol=wire.PROTOCOL, client=f"taskscope {__version__}")
        theirs = answer.get("protocol") if isinstance(answer, dict) else None
        if theirs != wire.PROTOCOL:
            raise SourceError(
                f"the agent speaks protocol {theirs}, this TaskScope {__version__} speaks {wire.PROTOCOL}: "
                "use the same version of TaskScope on both sides"
            )
        return _unpack(model.Hello, answer)

    async def _one(self, cls: type[T], method: str, **params: Any) -> T:
        return _unpack(cls, await self._ask(method, **params))

    async def _many(self, cls: type[T], method: str, **params: Any) -> tuple[T, ...]:
        values = await self._ask(method, **params)
        if not isinstance(values, list):
            raise SourceError(f"the agent's answer to {method!r} is not a list")
        return tuple(_unpack(cls, value) for value in values)

    async def _ask(self, method: str, **params: Any) -> Any:
        """The answer to a request.  Waits ``patience`` seconds, from the last part in case of a snapshot."""
        if self._gone is not None:
            raise TargetGone(self._gone)
        assert self._writer is not None
        self._serial += 1
        serial = self._serial
        answer = self._answers[serial] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(wire.request(serial, method, params))
            async with asyncio.timeout(self._patience) as limit:
                if method == "snapshot":
                    self._progress = limit
                return await answer
        except TimeoutError:
            raise SourceError(f"the agent has not answered {method!r} within {self._patience:g} s") from None
        except wire.RemoteError as error:
            _refused(error)
        finally:
            self._answers.pop(serial, None)
            if self._gone is None and (answer.cancelled() or not answer.done()):
                self._writer.write(wire.request(None, "abandon", {"id": serial}))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Hands every message to whoever waits for it, until the connection ends."""
        decoder = wire.Decoder(wire.MAX_MESSAGE)
        broken = ""
        try:
            while data := await reader.read(_CHUNK):
                for message in decoder.feed(data):
                    self._receive(message)
        except (wire.WireError, SourceError) as error:
            broken = f"the agent does not keep to the protocol: {error}"
        except OSError as error:
            broken = f"the connection broke: {error.strerror or error}"
        finally:
            self._end(broken or self._farewell)

    def _receive(self, message: wire.Message) -> None:
        if isinstance(message, wire.Response):
            answer = self._answers.get(message.id or 0)
            if answer is None or answer.done():
                return  # its caller has gone
            if message.error is not None:
                answer.set_exception(message.error)
            else:
                answer.set_result(message.result)
        elif message.method == "sample":
            self._samples.append(_unpack(model.Sample, message.params))
            if len(self._samples) > MAX_WAITING:
                oldest = self._samples.popleft()
                self._samples[0] = merged(oldest, self._samples[0])
            self._news.set()
        elif message.method == "leaving":
            self._farewell = str(message.params.get("reason"))
        elif message.method == "part":
            self._take_part(message.params.get("section"), message.params.get("value"))

    def _take_part(self, section: Any, value: Any) -> None:
        if self._progress is None:
            return  # of a snapshot whose caller has gone
        self._progress.reschedule(asyncio.get_running_loop().time() + self._patience)
        if isinstance(value, list):
            self._parts.setdefault(section, []).extend(value)
        else:
            self._parts[section] = value

    def _end(self, reason: str) -> None:
        if self._gone is None:
            self._gone = reason
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(TargetGone(self._gone))
        if self._writer is not None:
            self._writer.close()
        self._news.set()


def merged(older: model.Sample, newer: model.Sample) -> model.Sample:
    """One sample that says what both said in turn."""
    sites = {each.site: each for each in older.sites} | {each.site: each for each in newer.sites}
    return dataclasses.replace(
        newer,
        full=older.full or newer.full,
        new_sites=older.new_sites + newer.new_sites,
        sites=tuple(sites.values()),
        process=newer.process or older.process,
    )


def _list(sites: Sequence[int] | None) -> list[int] | None:
    return None if sites is None else list(sites)


def _unpack(cls: type[T], value: Any) -> T:
    try:
        return wire.unpack(cls, value)
    except wire.WireError as error:
        raise SourceError(f"the agent's answer does not fit this version of TaskScope: {error}") from None


def _refused(error: wire.RemoteError) -> NoReturn:
    raise (NotAvailable if error.code in _REFUSALS else SourceError)(error.message) from None


def _read_sources(root: str, files: Sequence[str], sites: Sequence[model.Site]) -> dict[str, str]:
    """Texts of the files that name a coroutine of ``sites``: the user's, and those of its own package."""
    wanted = {site.frame.file for site in sites}
    packages = {str(Path(file).parent) for file in wanted}
    names = [site.coroutine.rpartition(".")[2] for site in sites]
    found: dict[str, str] = {}
    for file in {*files, *wanted}:
        if "/site-packages/" in file and not any(file.startswith(package) for package in packages):
            continue
        try:
            text = Path(root + file).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if any(name in text for name in names):
            found[file] = text
    return found
