"""A saved snapshot as a source: answers whatever the file can answer."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Any, Self

from taskscope import model, wire
from taskscope.checked import unpack
from taskscope.export import snapshot as files
from taskscope.export.whole import read_regular
from taskscope.model import requests
from taskscope.model.snapshot import Agent, SiteLine
from taskscope.sources.archive import Archive, earliest, parked_key
from taskscope.sources.base import Answering, NotAvailable, SourceError
from taskscope.sources.forest import await_tree, parent_tree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from taskscope.model.requests import Request
    from taskscope.sources.archive import Record

MAX_SOURCE = 16 << 20
"""Largest source file shown, in bytes."""


MOST_RELATED = 100
"""Tasks listed as awaiting another, or awaited by it."""

_NO: dict[type[Request[Any]], str] = {
    requests.SetInterval: "a snapshot has no sampling interval",
    requests.Cancel: "the tasks in a snapshot cannot be cancelled",
    requests.Cpu: "a snapshot does not hold which code used the CPU",
    requests.Turns: "a snapshot does not hold what loops run",
    requests.Console: "A saved state has no console: it needs a running process.",
}


class SavedSource(Answering):
    """The snapshot in the file at ``path``."""

    live = False

    def __init__(self, path: str) -> None:
        self.path = path
        self.progress: Callable[[str], None] = lambda text: None
        """Gets no sentence: answers are never late."""
        self._opened: Archive | None = None

    @classmethod
    def of(cls, snapshot: dict[str, Any]) -> Self:
        """A snapshot that was just taken."""
        source = cls("")
        source._opened = Archive(snapshot)
        return source

    @property
    def _archive(self) -> Archive:
        if self._opened is None:
            raise SourceError(f"{self.path} has not been opened")
        return self._opened

    async def open(self) -> model.Hello:
        """Reads the file.  Raises SourceError if it is not a snapshot."""
        try:
            snapshot = files.load(self.path)
        except files.SnapshotError as error:
            raise SourceError(str(error)) from None
        archive = self._opened = Archive(snapshot)
        agent, sample = unpack(Agent, snapshot["agent"]), archive.sample
        return model.Hello(
            protocol=wire.PROTOCOL,
            taskscope=snapshot["taskscope"],
            process=archive.process,
            interval=agent.interval,
            control=False,
            agent_since=agent.since,
            monotonic=sample.monotonic,
            wall=sample.wall,
            arrived=agent.arrived,
            notes=agent.notes,
        )

    @property
    def findings(self) -> tuple[model.Finding, ...]:
        """The findings saved in the snapshot, worst first."""
        return self._archive.many(model.Finding, "findings")

    @property
    def judged(self) -> model.Judged:
        """How far the judgement had come when the snapshot was taken."""
        return unpack(model.Judged, self._archive.raw["judged"])

    def silence(self) -> model.Silence | None:
        """Why the process ran no Python code then; None: it did, as far as is known."""
        saved = self._opened.many(model.Silence, "silences") if self._opened is not None else ()
        return saved[-1] if saved else None

    def texts(self, sites: Iterable[model.Site]) -> dict[int, str]:
        """The text of the lines of sites as it was then, where it is known."""
        return {each.site: each.text for each in self._archive.many(SiteLine, "site_lines")}

    async def close(self) -> None:
        """Drops the snapshot."""
        self._opened = None

    async def samples(self) -> AsyncIterator[model.Sample]:
        """Yields the snapshot's only sample, with every site."""
        import dataclasses

        archive = self._archive
        yield dataclasses.replace(archive.sample, full=True, new_sites=tuple(archive.sites.values()))

    def refusal(self, request: Request[Any]) -> str:
        return _NO.get(type(request), "a snapshot cannot answer this; it only holds its saved findings")

    async def history(self, query: requests.History) -> model.History:
        archive = self._archive
        whole = unpack(model.History, archive.raw["history"])
        first = bisect.bisect_left(whole.times, archive.sample.monotonic - query.seconds)
        return model.History(*(getattr(whole, name)[first:] for name in model.History.__slots__))

    async def site_history(self, query: requests.SiteHistory) -> tuple[model.SiteHistory, ...]:
        archive, wanted = self._archive, set(query.sites)
        begin = archive.sample.monotonic - query.seconds
        found = (each for each in archive.many(model.SiteHistory, "site_history") if each.site in wanted)
        return tuple(_since(each, begin) for each in found)

    async def site(self, query: requests.Site) -> model.SiteDetail:
        archive = self._archive
        if query.site not in archive.sites:
            raise NotAvailable(f"site {query.site} is not in this snapshot")
        counts = next((each for each in archive.sample.sites if each.site == query.site), None)
        stacks = tuple(
            model.CreationStack(each["serial"], archive.stack(each["stack"]))
            for each in archive.raw["site_stacks"]
            if each["site"] == query.site
        )
        failures = tuple(each for each in archive.many(model.Failure, "failures") if each.site == query.site)
        counts = counts or model.SiteCounts(query.site, model.Counts())
        return model.SiteDetail(archive.sites[query.site], counts, stacks, failures)

    async def tasks(self, query: requests.Tasks) -> model.TaskPage:
        archive = self._archive
        records = archive.select(query.sites)
        if query.parent is not None:
            records = [record for record in records if record["parent"] == query.parent]
        if query.parked is not None:
            records = [record for record in records if parked_key(archive.parked(record)) == query.parked]
        page = _page(records, query.order, query.after, query.limit)
        more = (
            page[-1]["serial"]
            if page and page[-1] is not records[-1 if query.order == "oldest" else 0]
            else None
        )
        return model.TaskPage(tuple(map(archive.task, page)), len(records), more)

    async def task(self, query: requests.Task) -> model.TaskDetail:
        archive = self._archive
        record = archive.by_serial.get(query.serial)
        if record is None:
            raise NotAvailable(f"task {query.serial} is not in this snapshot")
        creations = (
            (await self.site(requests.Site(record["site"]))).stacks if record["site"] in archive.sites else ()
        )
        own = next((each.frames for each in creations if each.serial == query.serial), None)
        return model.TaskDetail(
            task=archive.task(record),
            stack=archive.stack(record.get("stack")),
            waits_for=archive.tasks(archive.waits.get(query.serial, [])[:MOST_RELATED]),
            awaited_by=archive.tasks(archive.awaited_by.get(query.serial, [])[:MOST_RELATED]),
            created_by=archive.ancestors(record["parent"]),
            creation=own or (creations[0].frames if creations else ()),
            creation_exact=own is not None,
            siblings=len(archive.children[record["parent"]]) - 1 if record["parent"] else 0,
        )

    async def ages(self, query: requests.Ages) -> model.Ages:
        archive = self._archive
        births = (record["birth"] for record in archive.select(query.sites))
        return model.Ages.of(births, archive.sample.monotonic)

    async def parked(self, query: requests.Parked) -> tuple[model.ParkedGroup, ...]:
        archive = self._archive
        found: dict[str, list[tuple[model.Parked, Record]]] = {}
        for record in archive.select(query.sites):
            where = archive.parked(record)
            if where is not None:
                found.setdefault(parked_key(where), []).append((where, record))
        groups = (_parked_group(key, members) for key, members in found.items())
        return tuple(sorted(groups, key=lambda group: -group.live))

    async def groups(self, query: requests.Groups) -> tuple[model.Group, ...]:
        archive = self._archive
        found: dict[str, list[Record]] = {}
        labels: dict[str, tuple[str, model.Frame | None]] = {}
        for record in archive.records:
            key, label, frame = self._parent_key(record) if query.by == "parent" else self._place_key(record)
            found.setdefault(key, []).append(record)
            labels[key] = (label, frame)
        groups = (
            model.Group(
                key,
                *labels[key],
                live=len(members),
                oldest=earliest(record["birth"] for record in members),
                sites=tuple(sorted({record["site"] for record in members})),
            )
            for key, members in found.items()
        )
        return tuple(sorted(groups, key=lambda group: -group.live))

    def _parent_key(self, record: Record) -> tuple[str, str, model.Frame | None]:
        archive = self._archive
        if record["parent"] == 0:
            if archive.is_older(record):
                return "?", "(before the agent)", None
            return "0", "(created outside any task)", None
        site = archive.sites.get(archive.ancestors(record["parent"])[0].site)
        if site is None:
            return "-", "(a task that ended before the snapshot)", None
        return str(site.id), site.coroutine, site.frame

    def _place_key(self, record: Record) -> tuple[str, str, model.Frame | None]:
        where = self._archive.parked(record)
        if where is None:
            return "-", "(no frame)", None
        return parked_key(where), where.text, where.user_frame or where.frame

    async def tree(self, query: requests.Tree) -> tuple[model.TreeGroup, ...]:
        return (await_tree if query.by == "await" else parent_tree)(self._archive, query.of)

    async def threads(self, query: requests.Threads) -> tuple[model.Thread, ...]:
        return tuple(self._thread(value) for value in self._archive.raw["threads"])

    async def thread(self, query: requests.Thread) -> model.ThreadDetail:
        archive = self._archive
        for value in archive.raw["threads"]:
            if value["ident"] == query.ident:
                return model.ThreadDetail(
                    self._thread(value),
                    archive.stack(value.get("stack")),
                    archive.stack(value.get("creation")),
                )
        raise NotAvailable(f"thread {query.ident} is not in this snapshot")

    def _thread(self, value: dict[str, Any]) -> model.Thread:
        stack = self._archive.stack(value.get("stack"))
        frame = model.user_line(stack) or model.library_line(stack)
        return unpack(model.Thread, {**value, "frame": wire.pack(frame)})

    async def ended(self, query: requests.Ended) -> tuple[model.Ended, ...]:
        return self._archive.many(model.Ended, "ended")[: query.limit]

    async def stalls(self, query: requests.Stalls) -> tuple[model.Stall, ...]:
        archive = self._archive
        return tuple(
            unpack(model.Stall, {**value, "stack": wire.pack(archive.stack(value.get("stack")))})
            for value in archive.raw["stalls"]
        )

    async def timers(self, query: requests.Timers) -> model.Timers:
        timers = unpack(model.Timers, self._archive.raw["timers"])
        if not timers.monotonic:
            raise NotAvailable("this snapshot does not tell of timers")
        return timers

    async def resources(self, query: requests.Resources) -> model.Resources:
        found = unpack(model.Resources, self._archive.raw["resources"])
        if not found.monotonic:
            raise NotAvailable("this snapshot does not tell of other resources")
        return found

    async def loops(self, query: requests.Loops) -> tuple[model.Loop, ...]:
        return self._archive.many(model.Loop, "loops")

    async def source(self, query: requests.Source) -> model.SourceLines:
        """The file as it is on this machine now: a snapshot contains no source."""
        return source_here(query, "a snapshot contains no source")

    async def snapshot(self, query: requests.Snapshot) -> dict[str, Any]:
        """The snapshot as read, whatever ``stacks`` says."""
        return dict(self._archive.raw)


def source_here(query: requests.Source, why: str) -> model.SourceLines:
    """The file as it is on this machine now.  Raises NotAvailable, with ``why`` it is looked for here."""
    lines = read_regular(query.file, MAX_SOURCE).decode("utf-8", "replace").splitlines()
    if not lines:
        raise NotAvailable(f"{query.file} is not on this machine, and {why}")
    first = max(1, query.line - query.context)
    shown = lines[first - 1 : query.line + query.context]
    return model.SourceLines(query.file, first, tuple(wire.clean_text(text.expandtabs()) for text in shown))


def _page(records: list[Record], order: str, after: int | None, limit: int) -> list[Record]:
    """``limit`` records after the serial ``after``; ``records`` are sorted by serial."""
    if order == "newest":
        end = len(records) if after is None else bisect.bisect_left(records, after, key=_serial)
        return records[max(0, end - limit) : end][::-1]
    begin = 0 if after is None else bisect.bisect_right(records, after, key=_serial)
    return records[begin : begin + limit]


def _serial(record: Record) -> int:
    serial: int = record["serial"]
    return serial


def _since(whole: model.SiteHistory, begin: float) -> model.SiteHistory:
    """``whole`` from the value in force at ``begin`` on."""
    first = max(0, bisect.bisect_right(whole.times, begin) - 1)
    return model.SiteHistory(
        whole.site, whole.times[first:], whole.live[first:], whole.born[first:], whole.ended[first:]
    )


def _parked_group(key: str, members: list[tuple[model.Parked, Record]]) -> model.ParkedGroup:
    where = members[0][0]
    remaining = [each.remaining for each, _ in members if each.remaining is not None]
    return model.ParkedGroup(
        key,
        where.user_frame or where.frame,
        where.wait,
        where.text,
        len(members),
        earliest(record["birth"] for _, record in members),
        min(remaining, default=None),
        max(remaining, default=None),
        sum(record.get("cancelling", 0) > 0 for _, record in members),
        sum(record.get("orphan", False) for _, record in members),
    )
