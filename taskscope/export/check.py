"""The one gate for a whole snapshot, from a file or from an agent: what passes keeps to the format.

Sections that are missing are filled with nothing, unknown ones left out; everything else that does not fit
raises WireError, which names the section and the field.  300,000 tasks are seen to in half a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from taskscope import model, wire
from taskscope.checked import MAX_FLOAT, MAX_INT, unpack, unpack_all
from taskscope.model import vocabulary as words
from taskscope.wire import WireError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

FORMAT, SCHEMA = "taskscope-snapshot", 1

MAX_TASKS = 2_000_000
"""Tasks of a snapshot: several times what is supported."""


@dataclass(frozen=True, slots=True)
class Agent:
    """How the agent that took the snapshot came and worked."""

    since: float
    interval: float
    control: bool = False
    arrived: words.Arrived = "started"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Times:
    """Both clocks at one moment."""

    wall: float
    monotonic: float


@dataclass(frozen=True, slots=True)
class SiteStack:
    """The stack that created one task of a site."""

    site: int
    serial: int
    stack: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a task is parked; its frames are those of its stack."""

    wait: words.Wait = "unknown"
    text: str = ""
    task: int | None = None
    remaining: float | None = None
    detail: str = ""


_ONES: dict[str, type] = {
    "process": model.Process,
    "agent": Agent,
    "time": Times,
    "history": model.History,
}
_ROWS: dict[str, type] = {
    "sites": model.Site,
    "site_stacks": SiteStack,
    "loops": model.Loop,
    "ended": model.Ended,
    "failures": model.Failure,
    "site_history": model.SiteHistory,
    "findings": model.Finding,
}
SECTIONS = (
    *("format", "schema", "taskscope", "process", "agent", "time", "sample", "sites", "site_stacks"),
    *("loops", "frames", "stacks", "tasks", "threads", "ended", "failures", "stalls", "history"),
    "site_history",
    "findings",
)
"""In the order in which they are written: what a file is stands first."""


def check(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """The snapshot with every section that a snapshot has.  Raises WireError."""
    if (snapshot.get("format"), snapshot.get("schema")) != (FORMAT, SCHEMA):
        raise WireError(f"it is no {FORMAT}")
    for section in ("process", "sample", "sites", "frames", "stacks", "tasks"):
        if section not in snapshot:
            raise WireError(f"the section {section!r} is missing")
    absent = _absent(_in("sample", unpack, model.Sample, snapshot["sample"]))
    whole = {name: snapshot[name] if name in snapshot else absent[name] for name in SECTIONS}
    for section, cls in _ONES.items():
        _in(section, unpack, cls, whole[section])
    for section, cls in _ROWS.items():
        _in(section, unpack_all, cls, whole[section])
    _in("frames", _frames, whole["frames"])
    _in("stacks", _stacks, whole["stacks"], len(whole["frames"]))
    numbers = range(len(whole["stacks"]))
    _in("tasks", _tasks, whole["tasks"], numbers)
    _in(
        "threads",
        _with_stacks,
        model.Thread,
        whole["threads"],
        ("stack", "creation"),
        {"frame": None},
        numbers,
    )
    _in("stalls", _with_stacks, model.Stall, whole["stalls"], ("stack",), {"stack": []}, numbers)
    _stack_numbers((each["stack"] for each in whole["site_stacks"]), numbers, "site_stacks")
    if type(whole["taskscope"]) is not str:
        raise WireError("taskscope is no version")
    return whole


def _absent(sample: model.Sample) -> dict[str, Any]:
    """What stands for sections that are left out."""
    empty: dict[str, Any] = {section: [] for section in (*_ROWS, "threads", "stalls")}
    history: dict[str, Any] = {name: [] for name in model.History.__slots__}
    return {
        **empty,
        "taskscope": "",
        "agent": {"since": sample.monotonic, "interval": sample.interval, "control": False},
        "time": {"wall": sample.wall, "monotonic": sample.monotonic},
        "history": history,
    }


def _in(section: str, look: Callable[..., Any], *values: Any) -> Any:
    """What ``look`` says of a section; its error names the section."""
    try:
        return look(*values)
    except WireError as error:
        raise WireError(f"{section}: {error}") from None


def _frames(rows: Any) -> None:
    if type(rows) is not list:
        raise WireError("is not a list")
    for row in rows:
        if type(row) is not list or len(row) not in (3, 4) or [*map(type, row)] != _FRAME[: len(row)]:
            raise WireError("a frame is not a file, a line, a function and an origin")
        if not 0 <= row[1] < MAX_INT or not _ORIGINS.issuperset(row[3:]):
            raise WireError("a frame has no such line or origin")


_FRAME = [str, int, str, str]
_ORIGINS = frozenset(words.ORIGINS)


def _stacks(rows: Any, frames: int) -> None:
    if type(rows) is not list:
        raise WireError("is not a list")
    for row in rows:
        if type(row) is not list or not _INT.issuperset(map(type, row)):
            raise WireError("a stack is not a list of numbers")
        if row and not (min(row) >= 0 and max(row) < frames):
            raise WireError("a stack names a frame that is not there")


_INT = frozenset((int,))
_NEEDED = itemgetter("serial", "site", "parent", "loop", "name", "coroutine", "state")
_KINDS = (int, int, int, int, str, str, str)


def _tasks(rows: Any, stacks: range) -> None:
    """Tasks stay the dictionaries that JSON made; this sees to it that they can be read as tasks."""
    if type(rows) is not list or len(rows) > MAX_TASKS:
        raise WireError("is not a list of tasks")
    for row in rows:
        if type(row) is not dict:
            raise WireError("a task is not an object")
        try:
            values = _NEEDED(row)
            birth = row["birth"]
        except KeyError as error:
            raise WireError(f"a task has no {error}") from None
        if tuple(map(type, values)) != _KINDS or not all(-MAX_INT < each < MAX_INT for each in values[:4]):
            raise WireError(
                f"a task has a field of the wrong type or size ({wire.clean_text(str(values))[:80]})"
            )
        if birth is not None and not (type(birth) in (int, float) and -MAX_FLOAT < birth < MAX_FLOAT):
            raise WireError("a task's birth is not a finite number")
        if type(row.get("orphan", False)) is not bool or type(row.get("cancelling", 0)) is not int:
            raise WireError("a task has a field of the wrong type (orphan, cancelling)")
        stack = row.get("stack")
        if stack is not None and not (type(stack) is int and stack in stacks):
            raise WireError("a task names a stack that is not there")
        parked = row.get("parked")
        if parked is not None:
            unpack(Place, parked)


def _with_stacks(
    cls: type, rows: Any, numbered: Iterable[str], instead: Mapping[str, Any], stacks: range
) -> None:
    """Rows of ``cls`` that name stacks by number where it has frames."""
    if type(rows) is not list:
        raise WireError("is not a list")
    for row in rows:
        if type(row) is not dict:
            raise WireError("an entry is not an object")
        unpack(cls, {**row, **instead})
        _stack_numbers((row.get(name) for name in numbered), stacks, cls.__name__)


def _stack_numbers(numbers: Iterable[Any], stacks: range, where: str) -> None:
    for number in numbers:
        if number is not None and not (type(number) is int and number in stacks):
            raise WireError(f"{where} names a stack that is not there")
