"""A snapshot as model values: interned stacks resolved, tasks built on demand.

300,000 tasks stay as the dictionaries JSON made; only positions and serials are indexed.
"""

from __future__ import annotations

from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

from taskscope import model
from taskscope.checked import unpack, unpack_all
from taskscope.model.snapshot import EndedParent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

T = TypeVar("T")
Record = dict[str, Any]
"""A task as stored in the snapshot."""

NOWHERE = model.Frame("", 0, "")


class Archive:
    """The contents of ``snapshot``, which has passed ``export.check``."""

    def __init__(self, snapshot: Mapping[str, Any]) -> None:
        self.raw = snapshot
        self.frames = tuple(model.Frame(*fields) for fields in snapshot["frames"])
        self.stacks: list[list[int]] = snapshot["stacks"]
        self.by_serial: dict[int, Record] = {
            record["serial"]: record for record in sorted(snapshot["tasks"], key=itemgetter("serial"))
        }
        self.records = list(self.by_serial.values())
        self.process = unpack(model.Process, snapshot["process"])
        self.sample = unpack(model.Sample, snapshot["sample"])
        self.sites = {site.id: site for site in self.many(model.Site, "sites")}

    def many(self, cls: type[T], section: str) -> tuple[T, ...]:
        return unpack_all(cls, self.raw[section])

    def stack(self, index: int | None) -> tuple[model.Frame, ...]:
        """Innermost first; empty if the snapshot has none."""
        return () if index is None else tuple(self.frames[each] for each in self.stacks[index])

    @cached_property
    def children(self) -> dict[int, list[int]]:
        """Serials of live tasks by the serial of their parent (0: created outside any task)."""
        return _listed((record["parent"], record["serial"]) for record in self.records)

    def is_older(self, record: Record) -> bool:
        """Whether the task is older than the agent: who created it is not known then."""
        return record["birth"] is None or bool(record["birth"] < self.raw["agent"]["since"])

    @cached_property
    def awaited_by(self) -> dict[int, list[int]]:
        """Serials of the tasks that wait for a task."""
        return _listed((each, serial) for serial, waited in self.waits.items() for each in waited)

    @cached_property
    def waits(self) -> dict[int, list[int]]:
        """The tasks each task waits for."""
        return _listed(
            (record["serial"], waited)
            for record in self.records
            for waited in (record.get("awaits") or [(record.get("parked") or {}).get("task")])
            if waited is not None
        )

    @cached_property
    def ended(self) -> dict[int, model.Ended]:
        return {each.serial: each for each in self.many(model.Ended, "ended")}

    @cached_property
    def ended_parents(self) -> dict[int, EndedParent]:
        return {each.serial: each for each in self.many(EndedParent, "ended_parents")}

    def select(self, sites: Sequence[int] | None) -> list[Record]:
        """Tasks of these sites (None: all), oldest first."""
        if sites is None:
            return self.records
        wanted = set(sites)
        return [record for record in self.records if record["site"] in wanted]

    def parked(self, record: Record) -> model.Parked | None:
        where = record.get("parked")
        if where is None:
            return None
        frame, user_frame = self._places(record.get("stack"))
        return model.Parked(
            frame,
            user_frame,
            where.get("wait", "unknown"),
            where.get("text", ""),
            where.get("task"),
            where.get("remaining"),
            where.get("detail", ""),
        )

    def _places(self, index: int | None) -> tuple[model.Frame, model.Frame | None]:
        """The innermost frame of a stack and its innermost user frame; many tasks share one stack."""
        known = self._known_places.get(index)
        if known is None:
            stack = self.stack(index)
            known = self._known_places[index] = (model.library_line(stack) or NOWHERE, model.user_line(stack))
        return known

    @cached_property
    def _known_places(self) -> dict[int | None, tuple[model.Frame, model.Frame | None]]:
        return {}

    def task(self, record: Record) -> model.Task:
        return model.Task(
            serial=record["serial"],
            name=record["name"],
            coroutine=record["coroutine"],
            state=record["state"],
            site=record["site"],
            parent=record["parent"],
            orphan=record.get("orphan", False),
            loop=record["loop"],
            birth=record["birth"],
            cancelling=record.get("cancelling", 0),
            parked=self.parked(record),
        )

    def tasks(self, serials: Iterable[int]) -> tuple[model.Task, ...]:
        return tuple(self.task(self.by_serial[serial]) for serial in serials if serial in self.by_serial)

    def ancestors(self, serial: int) -> tuple[model.Ancestor, ...]:
        """Parents, nearest first, as far as the snapshot has them."""
        found: list[model.Ancestor] = []
        seen = {0}
        while serial not in seen:
            seen.add(serial)
            record, past = self.by_serial.get(serial), self.ended.get(serial)
            known = self.ended_parents.get(serial)
            if record is not None:
                found.append(
                    model.Ancestor(serial, record["site"], record["name"], record["coroutine"], live=True)
                )
                serial = record["parent"]
            elif known is not None:
                found.append(model.Ancestor(serial, known.site, known.name, known.coroutine, live=False))
                serial = known.parent
            elif past is not None:
                found.append(model.Ancestor(serial, past.site, past.name, past.coroutine, live=False))
            else:
                found.append(model.Ancestor(serial, 0, "", "(ended before the snapshot)", live=False))
        return tuple(found)

    def coroutine(self, site: int) -> str:
        return self.sites[site].coroutine if site in self.sites else "(unknown)"


def parked_key(where: model.Parked | None) -> str:
    """Identifies a place by what is waited on and the user's line."""
    if where is None:
        return "-"
    frame = where.user_frame or where.frame
    return f"{where.wait}|{where.text}|{frame.file}:{frame.line}"


def earliest(births: Iterable[float | None]) -> float | None:
    return min((birth for birth in births if birth is not None), default=None)


def _listed(pairs: Iterable[tuple[int, int]]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found
