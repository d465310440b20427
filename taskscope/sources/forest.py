"""The task trees of a saved snapshot, one level at a time, with siblings of one site folded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope import model
from taskscope.sources.archive import earliest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from taskscope.sources.archive import Archive

FIRST_SERIALS = 50


def parent_tree(archive: Archive, of: int | None) -> tuple[model.TreeGroup, ...]:
    """Live children of task ``of``.  Roots: tasks without a parent, and ended parents of live tasks."""
    children = archive.children
    members = _by_site(archive, children.get(of or 0, ()))
    groups = [_group(archive, site, serials, children) for site, serials in members.items()]
    if not of:
        ghosts: dict[int, list[int]] = {}
        for parent in children:
            if parent and parent not in archive.by_serial:
                ghosts.setdefault(archive.ancestors(parent)[0].site, []).append(parent)
        groups += [_group(archive, site, serials, children, ended=True) for site, serials in ghosts.items()]
    return _sorted(groups)


def await_tree(archive: Archive, of: int | None) -> tuple[model.TreeGroup, ...]:
    """What task ``of`` waits for.  Roots: tasks that nothing awaits, and one of each cycle."""
    waits = archive.waits
    if of is not None:
        members = _by_site(archive, waits.get(of, ()))
        return _sorted([_group(archive, site, serials, waits) for site, serials in members.items()])
    roots = [serial for serial in archive.by_serial if serial not in archive.awaited_by]
    groups = [_group(archive, site, serials, waits) for site, serials in _by_site(archive, roots).items()]
    groups += [
        _group(archive, archive.by_serial[serial]["site"], [serial], waits, cycle=True)
        for serial in _cycles(waits, roots)
    ]
    return _sorted(groups)


def _cycles(waits: Mapping[int, list[int]], roots: Iterable[int]) -> list[int]:
    """One serial of each cycle that no root reaches."""
    reached: set[int] = set()

    def reach(pending: list[int]) -> None:
        while pending:
            serial = pending.pop()
            if serial not in reached:
                reached.add(serial)
                pending += waits.get(serial, ())

    reach(list(roots))
    found = []
    for serial in waits:
        if serial not in reached:
            found.append(serial)
            reach([serial])
    return found


def _by_site(archive: Archive, serials: Iterable[int]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for serial in serials:
        if serial in archive.by_serial:
            found.setdefault(archive.by_serial[serial]["site"], []).append(serial)
    return found


def _group(
    archive: Archive,
    site: int,
    serials: list[int],
    children: Mapping[int, list[int]],
    *,
    ended: bool = False,
    cycle: bool = False,
) -> model.TreeGroup:
    return model.TreeGroup(
        site=site,
        label=archive.coroutine(site),
        live=0 if ended else len(serials),
        serials=tuple(sorted(serials)[:FIRST_SERIALS]),
        children=sum(len(children.get(serial, ())) for serial in serials),
        oldest=earliest(
            archive.by_serial[serial]["birth"] for serial in serials if serial in archive.by_serial
        ),
        ended=ended,
        cycle=cycle,
    )


def _sorted(groups: list[model.TreeGroup]) -> tuple[model.TreeGroup, ...]:
    return tuple(sorted(groups, key=lambda group: (-group.children, -group.live, group.site)))
