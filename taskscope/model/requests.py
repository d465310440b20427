"""The requests of the protocol: parameters, bounds and result types, defined only here.

A request is a value: ``Tasks(sites=(3,), limit=50)`` is a ``Request[model.TaskPage]``, which a source answers
with a TaskPage.  On the wire, the method is the class name (``SiteHistory``: ``site_history``) and the
parameters are the fields.  ``read`` checks them when they reach the agent; code behind it relies on the
declared types.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Generic, TypeVar, dataclass_transform

from taskscope import model
from taskscope.model import vocabulary as words
from taskscope.model.allowed import Allowed, flag, many, optional, real, text, whole, word
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

T_co = TypeVar("T_co", covariant=True)
Kind = TypeVar("Kind", bound="Request[Any]")

MAX_NUMBER = 1 << 53
"""Largest serial, site or count: not every JSON parser keeps larger integers exact."""

MAX_IDENT = 1 << 64
"""Largest thread identifier, an address; threads unknown to Python have negative ones."""

MAX_SECONDS = 1e10
"""Three centuries; also bounds points in time."""

MAX_SITES = 10_000
"""Sites an agent distinguishes, and the most a request may list."""

MAX_LOOKS = 16
"""Sites whose earlier facts an agent keeps."""

MAX_CUTS = 32
MAX_PATH = 4_096
MAX_KEY = 8_192
"""Characters of the key of a parked group."""


class BadParamsError(ValueError):
    """A parameter is missing, unknown or out of bounds; the message says which and what is allowed."""


def _field(allowed: Allowed, *, default: Any = dataclasses.MISSING) -> Any:
    return dataclasses.field(default=default, metadata={"allowed": allowed})


@dataclass(frozen=True, slots=True)
class Request(Generic[T_co]):
    """A request whose answer is a ``T_co``; ``None`` if it only has an effect."""

    method = ""
    """Its name on the wire, set by ``_request``; not a parameter."""


METHODS: dict[str, type[Request[Any]]] = {}
"""Every request by its name on the wire."""


@dataclass_transform(frozen_default=True, field_specifiers=(_field,))
def _request(cls: type[Kind]) -> type[Kind]:
    made = dataclass(frozen=True, slots=True)(cls)
    made.method = "".join(f"_{each.lower()}" if each.isupper() else each for each in cls.__name__)[1:]
    METHODS[made.method] = made
    return made


def params(request: Request[Any]) -> dict[str, Any]:
    """Its parameters by name."""
    return {each.name: getattr(request, each.name) for each in dataclasses.fields(request)}


def read(kind: type[Kind], given: Mapping[str, Any]) -> Kind:
    """The request with these parameters from the wire.  Raises BadParamsError."""
    fields = {each.name: each for each in dataclasses.fields(kind)}
    for name in given:
        if name not in fields:
            takes = ", ".join(fields) or "nothing"
            raise BadParamsError(f"{kind.method} does not take {name[:40]!r}; it takes {takes}")
    found = {}
    for name, each in fields.items():
        allowed: Allowed = each.metadata["allowed"]
        if name not in given:
            if each.default is dataclasses.MISSING:
                raise BadParamsError(f"{kind.method} needs {name}: {allowed.text}")
            continue
        try:
            found[name] = allowed.take(given[name])
        except ValueError:
            value = repr(given[name])
            value = value if len(value) <= 40 else f"{value[:40]}…"
            raise BadParamsError(f"{kind.method}: {name} is {value}, must be {allowed.text}") from None
    return kind(**found)


_NUMBER = whole(0, MAX_NUMBER)
_SECONDS = real(0, MAX_SECONDS)
_SITES = many(_NUMBER, MAX_SITES)


# -- the session -------------------------------------------------------------------------------


@_request
class Hello(Request[model.Hello]):
    """The first request; ``client`` identifies the caller."""

    protocol: int = _field(_NUMBER)
    client: str = _field(text(200), default="")


@_request
class Abandon(Request[None]):
    """A notification: the answer to request ``id`` is no longer awaited."""

    id: int = _field(_NUMBER)


@_request
class Subscribe(Request[None]):
    """Starts the stream of samples, with a full one first."""


@_request
class SetInterval(Request[None]):
    """Sets the seconds between samples, for all subscribers."""

    seconds: float = _field(_SECONDS)


@_request
class Detach(Request[None]):
    """Removes the agent from the process."""


@_request
class Snapshot(Request[dict[str, Any]]):
    """The whole state in the snapshot format (``export/snapshot.schema.json``); sent in parts."""

    stacks: bool = _field(flag(), default=True)


# -- tasks and sites ---------------------------------------------------------------------------


@_request
class Tasks(Request[model.TaskPage]):
    """A page of the live tasks of ``sites`` (None: all), children of ``parent``, parked at ``parked``.

    ``parked`` is the key of a ParkedGroup, ``after`` the cursor of the previous page.
    """

    sites: tuple[int, ...] | None = _field(optional(_SITES), default=None)
    parent: int | None = _field(optional(_NUMBER), default=None)
    parked: str | None = _field(optional(text(MAX_KEY)), default=None)
    order: words.Order = _field(word(*words.ORDERS), default="oldest")
    after: int | None = _field(optional(_NUMBER), default=None)
    limit: int = _field(_NUMBER, default=200)


@_request
class Task(Request[model.TaskDetail]):
    serial: int = _field(_NUMBER)


@_request
class Cancel(Request[None]):
    """Cancels a task; refused if the agent only observes (``Hello.control``)."""

    serial: int = _field(_NUMBER)


@_request
class Ended(Request[tuple[model.Ended, ...]]):
    """Tasks that ended recently, newest first."""

    limit: int = _field(_NUMBER, default=200)


@_request
class Site(Request[model.SiteDetail]):
    site: int = _field(_NUMBER)


@_request
class Ages(Request[model.Ages]):
    """The live tasks of these sites (None: all) by age."""

    sites: tuple[int, ...] | None = _field(optional(_SITES), default=None)


@_request
class Parked(Request[tuple[model.ParkedGroup, ...]]):
    """Where the tasks of these sites (None: all) are parked, largest group first."""

    sites: tuple[int, ...] | None = _field(optional(_SITES), default=None)


@_request
class Groups(Request[tuple[model.Group, ...]]):
    """Live tasks grouped by their parent's site or by where they are parked, largest first."""

    by: words.GroupBy = _field(word(*words.GROUPS))


@_request
class Tree(Request[tuple[model.TreeGroup, ...]]):
    """The level below task ``of`` (None: the roots) in the parent tree or the await graph."""

    by: words.TreeBy = _field(word(*words.TREES))
    of: int | None = _field(optional(_NUMBER), default=None)


@_request
class Facts(Request[model.SiteFacts]):
    """Why the tasks of a site do not end.

    ``cuts``: times at which to count cohorts.  ``before``: sample only tasks born until then.
    """

    site: int = _field(_NUMBER)
    cuts: tuple[float, ...] = _field(many(_SECONDS, MAX_CUTS), default=())
    before: float | None = _field(optional(_SECONDS), default=None)


@_request
class Looks(Request[tuple[model.SiteFacts, ...]]):
    """Earlier facts of these sites, whichever client asked for them; oldest first per site."""

    sites: tuple[int, ...] = _field(_SITES)


# -- the past ----------------------------------------------------------------------------------


@_request
class History(Request[model.History]):
    """The process over the last ``seconds``."""

    seconds: float = _field(_SECONDS)


@_request
class SiteHistory(Request[tuple[model.SiteHistory, ...]]):
    sites: tuple[int, ...] = _field(_SITES)
    seconds: float = _field(_SECONDS)


# -- threads, loops, code ----------------------------------------------------------------------


@_request
class Threads(Request[tuple[model.Thread, ...]]):
    pass


@_request
class Thread(Request[model.ThreadDetail]):
    ident: int = _field(whole(-MAX_IDENT, MAX_IDENT))


@_request
class Waits(Request[model.WaitGraph]):
    """Who waits for whom, of tasks and threads that have not moved since an earlier such request."""


@_request
class Mishaps(Request[model.Mishaps]):
    """Errors and time-outs that end tasks, tasks created by the wrong thread, tasks that were destroyed."""


@_request
class Timers(Request[model.Timers]):
    """Calls scheduled for later, by what they call and where they were armed.

    ``keeps``: inspect what they keep alive, for groups of at least so many (0: for none).
    """

    keeps: int = _field(_NUMBER, default=0)


@_request
class Resources(Request[model.Resources]):
    """Contexts, loops, executors, transports, generators, children, descriptors, locks: a walk over all.

    ``kinds``: only these.  ``keeps``: inspect what keeps them, for groups of at least so many (0: for none,
    and search for no loops that are older than the agent).
    """

    kinds: tuple[words.ResourceKind, ...] = _field(
        many(word(*words.RESOURCE_KINDS), len(words.RESOURCE_KINDS)), default=words.RESOURCE_KINDS
    )
    keeps: int = _field(_NUMBER, default=1)


@_request
class Loops(Request[tuple[model.Loop, ...]]):
    pass


@_request
class Latencies(Request[model.LatencyCounts]):
    pass


@_request
class Renewal(Request[model.Renewal]):
    """The timers that start tasks of a site, and whether these arm the next."""

    site: int = _field(_NUMBER)


@_request
class Cpu(Request[model.CpuSlice]):
    """Which code uses the CPU, over the next ``seconds``.  Ask again for as long as you want to know."""

    seconds: float = _field(real(0.1, 5), default=1.0)


@_request
class Turns(Request[tuple[model.LoopTurns, ...]]):
    """What running loops do while they are awake; takes half a second."""


@_request
class Stalls(Request[tuple[model.Stall, ...]]):
    pass


@_request
class Source(Request[model.SourceLines]):
    """Source around a line, as the target's interpreter reads it."""

    file: str = _field(text(MAX_PATH))
    line: int = _field(_NUMBER)
    context: int = _field(_NUMBER, default=10)


@_request
class Modules(Request[tuple[str, ...]]):
    """Source files of the loaded modules, except the standard library's."""


# -- aiomonitor's console ----------------------------------------------------------------------


@_request
class Console(Request[model.ConsoleAddress]):
    """Where it listens.  ``start``: open one if none runs, until `LeaveConsole`."""

    start: bool = _field(flag(), default=False)


@_request
class LeaveConsole(Request[None]):
    """Closes the console opened on request, if any."""
