"""The one gate for snapshots, from a file or an agent: a snapshot that passes conforms to the format.

Missing sections become empty and unknown ones are dropped; any other deviation raises WireError, which names
the section and the field.  Checking 300,000 tasks takes 0.5 s.
"""

from __future__ import annotations

from dataclasses import is_dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from taskscope import model, wire
from taskscope.checked import MAX_FLOAT, MAX_INT, unpack, unpack_all
from taskscope.model.snapshot import (
    FORMAT,
    LISTS,
    NAMES,
    SCHEMA,
    SECTIONS,
    Agent,
    Place,
    Section,
    TaskRow,
    Times,
)
from taskscope.model.vocabulary import ORIGINS, TASK_STATES
from taskscope.wire import WireError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

MAX_TASKS = 2_000_000
"""Tasks in a snapshot: several times the supported number."""


def check(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """The snapshot with every section present.  Raises WireError."""
    if (snapshot.get("format"), snapshot.get("schema")) != (FORMAT, SCHEMA):
        raise WireError(f"it is not a {FORMAT}")
    for section in SECTIONS:
        if section.needed and section.name not in snapshot:
            raise WireError(f"the section {section.name!r} is missing")
    absent = _absent(_in("sample", unpack, model.Sample, snapshot["sample"]))
    whole = {name: snapshot[name] if name in snapshot else absent[name] for name in NAMES}
    _in("frames", check_frames, whole["frames"])
    _in("stacks", check_stacks, whole["stacks"], len(whole["frames"]))
    stacks = range(len(whole["stacks"]))
    for section in SECTIONS:
        value = whole[section.name]
        if section.of is TaskRow:
            _in("tasks", check_tasks, value, stacks)
        elif section.stacks:
            _in(section.name, check_with_stacks, section, value, stacks)
        elif is_dataclass(section.of):
            _in(section.name, unpack_all if section.rows else unpack, section.of, value)
    if type(whole["taskscope"]) is not str:
        raise WireError("taskscope is not a version")
    return whole


def _absent(sample: model.Sample) -> dict[str, Any]:
    """Defaults for missing sections."""
    return {
        **{name: [] for name in LISTS},
        "taskscope": "",
        "agent": wire.pack(Agent(sample.monotonic, sample.interval)),
        "time": wire.pack(Times(sample.wall, sample.monotonic)),
        "timers": wire.pack(model.Timers(0.0)),
        "resources": wire.pack(model.Resources(0.0)),
        "history": {name: [] for name in model.History.__slots__},
        "judged": wire.pack(model.Judged(0.0)),
    }


def _in(section: str, look: Callable[..., Any], *values: Any) -> Any:
    """The result of ``look`` on a section; its error names the section."""
    try:
        return look(*values)
    except WireError as error:
        raise WireError(f"{section}: {error}") from None


def check_frames(rows: Any) -> None:
    """Ensures that these are frames.  Raises WireError."""
    if type(rows) is not list:
        raise WireError("is not a list")
    for row in rows:
        if type(row) is not list or len(row) not in (3, 4) or [*map(type, row)] != _FRAME[: len(row)]:
            raise WireError("a frame is not a file, a line, a function and an origin")
        if not 0 <= row[1] < MAX_INT or not _ORIGINS.issuperset(row[3:]):
            raise WireError("a frame has an invalid line or origin")


_FRAME = [str, int, str, str]
_ORIGINS = frozenset(ORIGINS)


def check_stacks(rows: Any, frames: int) -> None:
    """Ensures that these are stacks of so many frames.  Raises WireError."""
    if type(rows) is not list:
        raise WireError("is not a list")
    for row in rows:
        if type(row) is not list or not _INT.issuperset(map(type, row)):
            raise WireError("a stack is not a list of numbers")
        if row and not (min(row) >= 0 and max(row) < frames):
            raise WireError("a stack refers to a missing frame")


_INT = frozenset((int,))
_NEEDED = itemgetter("serial", "site", "parent", "loop", "name", "coroutine", "state")
_KINDS = (int, int, int, int, str, str, str)


def check_tasks(rows: Any, stacks: range) -> None:
    """Tasks stay as the dictionaries JSON made; this ensures they can be read as tasks."""
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
        if values[6] not in TASK_STATES:
            raise WireError(f"a task's state is none of {', '.join(TASK_STATES)}")
        if birth is not None and not (type(birth) in (int, float) and -MAX_FLOAT < birth < MAX_FLOAT):
            raise WireError("a task's birth is not a finite number")
        if type(row.get("orphan", False)) is not bool or type(row.get("cancelling", 0)) is not int:
            raise WireError("a task has a field of the wrong type (orphan, cancelling)")
        _stack_numbers((row.get("stack"),), stacks, "a task")
        if row.get("parked") is not None:
            unpack(Place, row["parked"])


_FRAMELESS: dict[type, dict[str, Any]] = {model.Thread: {"frame": None}, model.Stall: {"stack": []}}
"""Placeholders for the frames of a row, which it holds as a stack number."""


def check_with_stacks(section: Section, rows: Any, stacks: range) -> None:
    """Ensures that these are rows of the section that refer to stacks by number.  Raises WireError."""
    if type(rows) is not list:
        raise WireError("is not a list")
    for row in rows:
        if type(row) is not dict:
            raise WireError("an entry is not an object")
        unpack(section.of, {**row, **_FRAMELESS.get(section.of, {})})
        _stack_numbers((row.get(name) for name in section.stacks), stacks, section.of.__name__)


def _stack_numbers(numbers: Iterable[Any], stacks: range, where: str) -> None:
    for number in numbers:
        if number is not None and not (type(number) is int and number in stacks):
            raise WireError(f"{where} refers to a missing stack")
