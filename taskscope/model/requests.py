"""The methods of the protocol, each said once: its name, what it takes within which bounds, what it gives.

``METHODS`` is the table.  A request's parameters are checked against it at the agent's door and nowhere else:
what is behind works with values of the declared types.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taskscope import model
from taskscope.model import vocabulary as words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_NUMBER = 1 << 53
"""Of serials, sites and counts: beyond it JSON does not keep whole numbers apart everywhere."""

MAX_IDENT = 1 << 64
"""Of threads' identifiers, which are addresses; those that Python does not know are negative."""

MAX_SECONDS = 1e10
"""Three centuries.  Moments are seconds too."""

MAX_SITES = 10_000
"""In a list: as many as an agent tells apart."""

MAX_CUTS = 32
MAX_PATH = 4_096
MAX_KEY = 8_192
"""Characters that say where a group of tasks is parked."""


class BadParamsError(ValueError):
    """A parameter is missing, unknown or out of bounds; one sentence says which and what is allowed."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a parameter may be.  ``take`` gives the value to use, or raises ValueError."""

    text: str
    take: Callable[[Any], Any]


def whole(least: int, most: int) -> Allowed:
    def take(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError
        return value

    return Allowed(f"a whole number from {least} to {most}", take)


def real(least: float, most: float) -> Allowed:
    def take(value: Any) -> float:
        if type(value) not in (int, float) or not least <= value <= most:  # not a number is in no range
            raise ValueError
        return float(value)

    return Allowed(f"a number from {least:g} to {most:g}", take)


def text(most: int) -> Allowed:
    def take(value: Any) -> str:
        if type(value) is not str or len(value) > most:
            raise ValueError
        return value

    return Allowed(f"text of at most {most} characters", take)


def word(*words: str) -> Allowed:
    def take(value: Any) -> str:
        if type(value) is not str or value not in words:
            raise ValueError
        return value

    return Allowed(" or ".join(map(repr, words)), take)


def flag() -> Allowed:
    def take(value: Any) -> bool:
        if type(value) is not bool:
            raise ValueError
        return value

    return Allowed("true or false", take)


def many(each: Allowed, most: int) -> Allowed:
    """A list; what is in it twice is taken once."""

    def take(value: Any) -> tuple[Any, ...]:
        if type(value) is not list or len(value) > most:
            raise ValueError
        return tuple(dict.fromkeys(each.take(item) for item in value))

    return Allowed(f"a list of at most {most}, each {each.text}", take)


def optional(some: Allowed) -> Allowed:
    return Allowed(f"null or {some.text}", lambda value: None if value is None else some.take(value))


def _field(allowed: Allowed, default: Any = dataclasses.MISSING) -> Any:
    return dataclasses.field(default=default, metadata={"allowed": allowed})


_NUMBER = whole(0, MAX_NUMBER)
_SECONDS = real(0, MAX_SECONDS)
_SITES = many(_NUMBER, MAX_SITES)


@dataclass(frozen=True, slots=True)
class Nothing:
    """A request without parameters."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The first request; ``client`` says who asks."""

    protocol: int = _field(_NUMBER)
    client: str = _field(text(200), "")


@dataclass(frozen=True, slots=True)
class Abandon:
    """A notification: nobody waits for the answer to request ``id`` any more."""

    id: int = _field(_NUMBER)


@dataclass(frozen=True, slots=True)
class Snapshot:
    stacks: bool = _field(flag(), True)


@dataclass(frozen=True, slots=True)
class Tasks:
    """A page of the live tasks of ``sites`` (None: all), children of ``parent``, parked at ``parked``.

    It begins behind task ``after`` in the order asked for.
    """

    sites: tuple[int, ...] | None = _field(optional(_SITES), None)
    parent: int | None = _field(optional(_NUMBER), None)
    parked: str | None = _field(optional(text(MAX_KEY)), None)
    order: words.Order = _field(word(*words.ORDERS), "oldest")  # noqa: RUF009  (a Field)
    after: int | None = _field(optional(_NUMBER), None)
    limit: int = _field(_NUMBER, 200)


@dataclass(frozen=True, slots=True)
class Task:
    serial: int = _field(_NUMBER)


@dataclass(frozen=True, slots=True)
class Site:
    site: int = _field(_NUMBER)


@dataclass(frozen=True, slots=True)
class Sites:
    sites: tuple[int, ...] | None = _field(optional(_SITES), None)


@dataclass(frozen=True, slots=True)
class TheseSites:
    sites: tuple[int, ...] = _field(_SITES)


@dataclass(frozen=True, slots=True)
class Groups:
    by: words.GroupBy = _field(word(*words.GROUPS))  # noqa: RUF009  (a Field)


@dataclass(frozen=True, slots=True)
class Tree:
    """The level below task ``of`` (None: the roots)."""

    by: words.TreeBy = _field(word(*words.TREES))  # noqa: RUF009  (a Field)
    of: int | None = _field(optional(_NUMBER), None)


@dataclass(frozen=True, slots=True)
class Facts:
    """``cuts``: moments at which to count those born by then.  ``before``: only these are looked into."""

    site: int = _field(_NUMBER)
    cuts: tuple[float, ...] = _field(many(_SECONDS, MAX_CUTS), ())
    before: float | None = _field(optional(_SECONDS), None)


@dataclass(frozen=True, slots=True)
class Ended:
    limit: int = _field(_NUMBER, 200)


@dataclass(frozen=True, slots=True)
class History:
    seconds: float = _field(_SECONDS)


@dataclass(frozen=True, slots=True)
class SiteHistory:
    sites: tuple[int, ...] = _field(_SITES)
    seconds: float = _field(_SECONDS)


@dataclass(frozen=True, slots=True)
class Thread:
    ident: int = _field(whole(-MAX_IDENT, MAX_IDENT))


@dataclass(frozen=True, slots=True)
class Source:
    file: str = _field(text(MAX_PATH))
    line: int = _field(_NUMBER)
    context: int = _field(_NUMBER, 10)


@dataclass(frozen=True, slots=True)
class Interval:
    seconds: float = _field(_SECONDS)


@dataclass(frozen=True, slots=True)
class Console:
    """``start``: whether one may be started where there is none."""

    start: bool = _field(flag(), default=False)


@dataclass(frozen=True, slots=True)
class Method:
    """``gives`` is the type of the result as in ``model``; None: a JSON object or nothing."""

    name: str
    takes: type
    gives: Any = None

    def checked(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Every parameter by name, defaults included.  Raises BadParamsError."""
        fields = {each.name: each for each in dataclasses.fields(self.takes)}
        for name in params:
            if name not in fields:
                takes = ", ".join(fields) or "nothing"
                raise BadParamsError(f"{self.name} does not take {name[:40]!r}; it takes {takes}")
        found = {}
        for name, each in fields.items():
            allowed: Allowed = each.metadata["allowed"]
            if name not in params:
                if each.default is dataclasses.MISSING:
                    raise BadParamsError(f"{self.name} needs {name}: {allowed.text}")
                found[name] = each.default
                continue
            try:
                found[name] = allowed.take(params[name])
            except ValueError:
                given = repr(params[name])
                given = given if len(given) <= 40 else f"{given[:40]}…"
                raise BadParamsError(f"{self.name}: {name} is {given}, allowed is {allowed.text}") from None
        return found


METHODS = {
    each.name: each
    for each in (
        Method("hello", Hello, model.Hello),
        Method("abandon", Abandon),
        Method("subscribe", Nothing),
        Method("detach", Nothing),
        Method("snapshot", Snapshot),
        Method("tasks", Tasks, model.TaskPage),
        Method("task", Task, model.TaskDetail),
        Method("site", Site, model.SiteDetail),
        Method("ages", Sites, model.Ages),
        Method("parked", Sites, tuple[model.ParkedGroup, ...]),
        Method("groups", Groups, tuple[model.Group, ...]),
        Method("tree", Tree, tuple[model.TreeGroup, ...]),
        Method("facts", Facts, model.SiteFacts),
        Method("ended", Ended, tuple[model.Ended, ...]),
        Method("history", History, model.History),
        Method("site_history", SiteHistory, tuple[model.SiteHistory, ...]),
        Method("threads", Nothing, tuple[model.Thread, ...]),
        Method("thread", Thread, model.ThreadDetail),
        Method("loops", Nothing, tuple[model.Loop, ...]),
        Method("stalls", Nothing, tuple[model.Stall, ...]),
        Method("looks", TheseSites, tuple[model.SiteFacts, ...]),
        Method("source", Source, model.Source),
        Method("modules", Nothing, tuple[str, ...]),
        Method("set_interval", Interval),
        Method("cancel", Task),
        Method("console", Console),
        Method("leave_console", Nothing),
    )
}
