"""Which creation sites of two observations are the same, across restarts, machines and small edits.

Sites have numbers that mean something to one agent only.  So they are matched by what they are, the surest
way first; whoever shows a match says which way it was found.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import PurePath
from typing import TYPE_CHECKING

from taskscope.model import Counts
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from taskscope.model import Site
    from taskscope.model.changes import Side
    from taskscope.model.vocabulary import Level, Matched

    Key = tuple[str, str, str, str, int]
    Way = Callable[["Place"], Hashable | None]


@dataclass(frozen=True, slots=True)
class Place:
    """One line that starts tasks of one coroutine: counts of all its sites, and the worst finding there.

    One line may have two sites, an imputed and an exact one, say.  ``text``: of the line; empty: unknown.
    """

    site: Site
    counts: Counts
    ids: tuple[int, ...]
    text: str = ""
    level: Level | None = None

    @property
    def key(self) -> Key:
        site = self.site
        return (site.kind, site.frame.file, site.frame.function, site.coroutine, site.frame.line)


def places(side: Side) -> dict[Key, Place]:
    """The lines of an observation that names every site."""
    sites = {site.id: site for site in side.sample.new_sites}
    levels: dict[int, Level] = {each.id: each.level for each in reversed(side.findings) if each.id}
    found: dict[Key, Place] = {}
    for entry in side.sample.sites:
        site = sites.get(entry.site)
        if site is None:
            continue
        text = side.texts.get(site.id, "").strip()
        here = Place(site, entry.counts, (site.id,), text, levels.get(site.id))
        known = found.get(here.key)
        found[here.key] = here if known is None else _together(known, here)
    return found


def _together(one: Place, other: Place) -> Place:
    counts = Counts(*(getattr(one.counts, name) + getattr(other.counts, name) for name in Counts.__slots__))
    return Place(other.site, counts, one.ids + other.ids, one.text or other.text, one.level or other.level)


def matches(old: Mapping[Key, Place], new: Mapping[Key, Place]) -> dict[Key, tuple[Key, Matched]]:
    """Keys in ``new`` to keys in ``old``, and how they were found to be the same."""
    found: dict[Key, tuple[Key, Matched]] = {key: (key, "line") for key in new if key in old}
    for matched, way, alone in _WAYS:
        taken = {key for key, _ in found.values()}
        came = _grouped((place for key, place in new.items() if key not in found), way)
        gone = _grouped((place for key, place in old.items() if key not in taken), way)
        for group, ours in came.items():
            theirs = gone.get(group, [])
            if len(ours) != len(theirs) or (alone and len(ours) > 1):
                continue  # a guess which is which would be wrong as often as right
            for one, other in zip(ours, theirs, strict=True):
                changed = bool(one.text and other.text and one.text != other.text)
                found[one.key] = (other.key, "edited" if matched == "moved" and changed else matched)
    return found


def _grouped(every: Iterable[Place], way: Way) -> dict[Hashable, list[Place]]:
    found: dict[Hashable, list[Place]] = defaultdict(list)
    for place in sorted(every, key=lambda place: place.key):
        group = way(place)
        if group is not None:
            found[group].append(place)
    return found


def _same_text(place: Place) -> Hashable | None:
    return (*place.key[:4], place.text) if place.text else None


def _function(place: Place) -> Hashable:
    return place.key[:4]


def _elsewhere(place: Place) -> Hashable:
    kind, file, *names, _ = place.key
    return (kind, PurePath(file).name, *names)


_WAYS: tuple[tuple[Matched, Way, bool], ...] = (
    ("moved", _same_text, False),
    ("moved", _function, True),
    ("path", _elsewhere, True),
)
"""How a site is found again where its line is another, surest first; True: only if each side has one."""
