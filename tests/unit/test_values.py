"""Classes made by ``taskscope.values.dataclass`` are used as those of ``dataclasses`` are."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from taskscope.values import dataclass


@dataclass(frozen=True, slots=True)
class Empty:
    pass


@dataclass(frozen=True, slots=True)
class One:
    """A place."""

    line: int


@dataclass(frozen=True, slots=True)
class Several(One):
    name: str = "?"
    rows: list[int] = dataclasses.field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class ByName:
    a: int
    b: int = 2


@dataclass(slots=True)
class Changing:
    count: int = 0


@pytest.mark.parametrize("make", [Empty, lambda: One(1), lambda: Several(1, "x", [3]), lambda: ByName(a=1)])
def test_equal_fields_make_equal_values(make: Any) -> None:
    value = make()
    assert value == make()
    assert repr(value) == repr(make())
    assert copy.copy(value) == value
    assert pickle.loads(pickle.dumps(value)) == value
    assert dataclasses.replace(value) == value


def test_values_differ_by_any_field_and_by_class() -> None:
    assert Several(1, "x") != Several(1, "y")
    assert One(1) != Several(1)
    assert One(1) != eval("1")


def test_the_hash_follows_the_fields() -> None:
    assert len({One(1), One(1), One(2), Empty(), Empty()}) == 3
    with pytest.raises(TypeError):
        hash(Several(1, rows=[]))


def test_defaults_and_factories_fill_what_is_not_given() -> None:
    first, second = Several(1), Several(line=2, rows=[5])
    assert (first.line, first.name, first.rows) == (1, "?", [])
    assert second.rows == [5]
    assert first.rows is not Several(1).rows
    assert ByName(a=1).b == 2


def test_missing_unknown_and_positional_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match=r"One\.__init__\(\) missing 1 required positional argument: 'line'"):
        One()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'column'"):
        One(1, column=2)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="positional"):
        ByName(1)  # type: ignore[call-arg]


def test_nothing_changes_and_nothing_is_added() -> None:
    value = One(1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="'line' of a One"):
        value.line = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del value.line
    with pytest.raises(AttributeError):
        value.other = 2  # type: ignore[attr-defined]
    assert not hasattr(value, "__dict__")


def test_they_are_shown_with_their_fields() -> None:
    assert repr(Several(1, "x")) == "Several(line=1, name='x', rows=[])"
    assert repr(Empty()) == "Empty()"


def test_they_can_be_matched_and_taken_apart() -> None:
    match Several(1, "x"):
        case Several(line, name):
            assert (line, name) == (1, "x")
    assert dataclasses.asdict(Several(1)) == {"line": 1, "name": "?", "rows": []}


def test_the_rest_is_left_to_dataclasses() -> None:
    counted = Changing()
    counted.count += 1
    assert counted == Changing(1)
