"""A saved snapshot as a source: answers everything that can be answered from the file."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Any

from taskscope import model, wire
from taskscope.checked import unpack
from taskscope.export import snapshot as files
from taskscope.export.whole import read_regular
from taskscope.model.snapshot import Agent
from taskscope.sources.archive import Archive, earliest, parked_key
from taskscope.sources.base import NotAvailable, SourceError
from taskscope.sources.forest import await_tree, parent_tree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from taskscope.sources.archive import Record

MAX_SOURCE = 16 << 20
"""Bytes of a source file that is shown."""


class SavedSource:
    """The snapshot in the file at ``path``."""

    live = False

    def __init__(self, path: str) -> None:
        self.path = path
        self._opened: Archive | None = None

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
        """Those that the snapshot was saved with, worst first."""
        return self._archive.many(model.Finding, "findings")

    async def close(self) -> None:
        """Forgets the snapshot."""
        self._opened = None

    async def samples(self) -> AsyncIterator[model.Sample]:
        """Yields the one sample of the snapshot, with all its sites."""
        import dataclasses

        archive = self._archive
        yield dataclasses.replace(archive.sample, full=True, new_sites=tuple(archive.sites.values()))

    async def set_interval(self, seconds: float) -> None:
        raise NotAvailable("a snapshot does not change: there is no interval")

    async def history(self, seconds: float) -> model.History:
        archive = self._archive
        whole = unpack(model.History, archive.raw["history"])
        first = bisect.bisect_left(whole.times, archive.sample.monotonic - seconds)
        return model.History(*(getattr(whole, name)[first:] for name in model.History.__slots__))

    async def site_history(self, sites: Sequence[int], seconds: float) -> tuple[model.SiteHistory, ...]:
        archive, wanted = self._archive, set(sites)
        begin = archive.sample.monotonic - seconds
        found = (each for each in archive.many(model.SiteHistory, "site_history") if each.site in wanted)
        return tuple(_since(each, begin) for each in found)

    async def site(self, site: int) -> model.SiteDetail:
        archive = self._archive
        if site not in archive.sites:
            raise NotAvailable(f"site {site} is not in this snapshot")
        counts = next((each for each in archive.sample.sites if each.site == site), None)
        stacks = tuple(
            model.CreationStack(each["serial"], archive.stack(each["stack"]))
            for each in archive.raw["site_stacks"]
            if each["site"] == site
        )
        failures = tuple(each for each in archive.many(model.Failure, "failures") if each.site == site)
        counts = counts or model.SiteCounts(site, model.Counts())
        return model.SiteDetail(archive.sites[site], counts, stacks, failures)

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
        archive = self._archive
        records = archive.select(sites)
        if parent is not None:
            records = [record for record in records if record["parent"] == parent]
        if parked is not None:
            records = [record for record in records if parked_key(archive.parked(record)) == parked]
        page = _page(records, order, after, limit)
        more = (
            page[-1]["serial"] if page and page[-1] is not records[-1 if order == "oldest" else 0] else None
        )
        return model.TaskPage(tuple(map(archive.task, page)), len(records), more)

    async def task(self, serial: int) -> model.TaskDetail:
        archive = self._archive
        record = archive.by_serial.get(serial)
        if record is None:
            raise NotAvailable(f"task {serial} is not in this snapshot")
        creations = (await self.site(record["site"])).stacks if record["site"] in archive.sites else ()
        own = next((each.frames for each in creations if each.serial == serial), None)
        waited = archive.waits.get(serial)
        return model.TaskDetail(
            task=archive.task(record),
            stack=archive.stack(record.get("stack")),
            waits_for=archive.tasks([waited] if waited is not None else []),
            awaited_by=archive.tasks(archive.awaited_by.get(serial, ())),
            created_by=archive.ancestors(record["parent"]),
            creation=own or (creations[0].frames if creations else ()),
            creation_exact=own is not None,
            siblings=len(archive.children[record["parent"]]) - 1 if record["parent"] else 0,
        )

    async def facts(self, site: int, cuts: Sequence[float], before: float | None = None) -> model.SiteFacts:
        raise NotAvailable("a snapshot holds its findings; nothing more can be found out from it")

    async def looks(self, sites: Sequence[int]) -> tuple[model.SiteFacts, ...]:
        raise NotAvailable("a snapshot holds its findings; nothing more can be found out from it")

    async def ages(self, sites: Sequence[int] | None) -> model.Ages:
        archive = self._archive
        births = (record["birth"] for record in archive.select(sites))
        return model.Ages.of(births, archive.sample.monotonic)

    async def parked(self, sites: Sequence[int] | None) -> tuple[model.ParkedGroup, ...]:
        archive = self._archive
        found: dict[str, list[tuple[model.Parked, Record]]] = {}
        for record in archive.select(sites):
            where = archive.parked(record)
            if where is not None:
                found.setdefault(parked_key(where), []).append((where, record))
        groups = (_parked_group(key, members) for key, members in found.items())
        return tuple(sorted(groups, key=lambda group: -group.live))

    async def groups(self, by: str) -> tuple[model.Group, ...]:
        archive = self._archive
        found: dict[str, list[Record]] = {}
        labels: dict[str, tuple[str, model.Frame | None]] = {}
        for record in archive.records:
            key, label, frame = self._parent_key(record) if by == "parent" else self._place_key(record)
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
        if record["parent"] == 0:
            return "0", "(created outside any task)", None
        archive = self._archive
        site = archive.sites.get(archive.ancestors(record["parent"])[0].site)
        if site is None:
            return "-", "(a task that ended before the snapshot)", None
        return str(site.id), site.coroutine, site.frame

    def _place_key(self, record: Record) -> tuple[str, str, model.Frame | None]:
        where = self._archive.parked(record)
        if where is None:
            return "-", "(no frame)", None
        return parked_key(where), where.text, where.user_frame or where.frame

    async def tree(self, by: str, of: int | None) -> tuple[model.TreeGroup, ...]:
        return (await_tree if by == "await" else parent_tree)(self._archive, of)

    async def threads(self) -> tuple[model.Thread, ...]:
        return tuple(self._thread(value) for value in self._archive.raw["threads"])

    async def thread(self, ident: int) -> model.ThreadDetail:
        archive = self._archive
        for value in archive.raw["threads"]:
            if value["ident"] == ident:
                return model.ThreadDetail(
                    self._thread(value),
                    archive.stack(value.get("stack")),
                    archive.stack(value.get("creation")),
                )
        raise NotAvailable(f"thread {ident} is not in this snapshot")

    def _thread(self, value: dict[str, Any]) -> model.Thread:
        stack = self._archive.stack(value.get("stack"))
        frame = next((each for each in stack if each.origin == "user"), stack[0] if stack else None)
        return unpack(model.Thread, {**value, "frame": wire.pack(frame)})

    async def ended(self, limit: int) -> tuple[model.Ended, ...]:
        return self._archive.many(model.Ended, "ended")[:limit]

    async def stalls(self) -> tuple[model.Stall, ...]:
        archive = self._archive
        return tuple(
            unpack(model.Stall, {**value, "stack": wire.pack(archive.stack(value.get("stack")))})
            for value in archive.raw["stalls"]
        )

    async def loops(self) -> tuple[model.Loop, ...]:
        return self._archive.many(model.Loop, "loops")

    async def source(self, file: str, line: int, context: int) -> model.Source:
        """The file as it is on this machine now: a snapshot holds no source."""
        lines = read_regular(file, MAX_SOURCE).decode("utf-8", "replace").splitlines()
        if not lines:
            raise NotAvailable(f"{file} is not on this machine, and a snapshot holds no source")
        first = max(1, line - context)
        shown = lines[first - 1 : line + context]
        return model.Source(file, first, tuple(wire.clean_text(text.expandtabs()) for text in shown))

    async def snapshot(self, *, stacks: bool = True) -> dict[str, Any]:
        """The snapshot as it was read (``stacks`` have been taken or not)."""
        return dict(self._archive.raw)


def _page(records: list[Record], order: str, after: int | None, limit: int) -> list[Record]:
    """``limit`` records after the serial ``after``; ``records`` are in order of serials."""
    if order == "newest":
        end = len(records) if after is None else bisect.bisect_left(records, after, key=_serial)
        return records[max(0, end - limit) : end][::-1]
    begin = 0 if after is None else bisect.bisect_right(records, after, key=_serial)
    return records[begin : begin + limit]


def _serial(record: Record) -> int:
    serial: int = record["serial"]
    return serial


def _since(whole: model.SiteHistory, begin: float) -> model.SiteHistory:
    """``whole`` from ``begin`` on, and the value that held then."""
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
    )
