"""Each change the agent makes has one owner: whatever fails, it is undone and the caller notices nothing."""

from __future__ import annotations

import gc
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from taskscope.agent.hooks.imports import ImportWatch
from taskscope.agent.hooks.parts import Part


class Told(list[str]):
    def __call__(self, name: str, error: BaseException) -> None:
        self.append(f"{name}: {error}")


def fails(*_: Any, **__: Any) -> None:
    raise RuntimeError("on purpose")


class Owner:
    def method(self, value: int) -> int:
        return value


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def part(told: Told) -> Part:
    return Part("x", told)


def test_a_failure_while_arming_undoes_what_was_done_before(part: Part, told: Told) -> None:
    before = dict(vars(Owner))

    def arm() -> None:
        part.wrap(Owner, "method", before=print)
        part.replace(Owner, "new", 1)
        fails()

    assert not part.arm(arm)
    assert dict(vars(Owner)) == before
    assert told == ["x: on purpose"]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_failure_in_a_hook_undoes_the_part_and_not_the_call(part: Part, told: Told, moment: str) -> None:
    original = Owner.__dict__["method"]
    part.arm(lambda: part.wrap(Owner, "method", **{moment: fails}))
    assert Owner().method(7) == 7
    assert Owner.__dict__["method"] is original
    assert told == ["x: on purpose"]


def test_each_undo_step_has_its_own_guard_and_a_failed_one_is_tried_again(part: Part, told: Told) -> None:
    done: list[str] = []

    def once() -> None:
        done.append("once")
        if done.count("once") == 1:
            fails()

    for step in (lambda: done.append("first"), once, lambda: done.append("last")):
        part.on_undo(step)
    part.undo()
    assert done == ["last", "once", "first"]
    assert told == ["undoing x: on purpose"]
    part.undo()
    assert done == ["last", "once", "first", "once"]


def test_a_wrapper_added_after_ours_keeps_working_and_refers_to_nothing_of_ours(part: Part) -> None:
    owner: Any = SimpleNamespace(call=lambda value: value)
    part.arm(lambda: part.wrap(owner, "call", before=lambda *_: None))
    ours = owner.call
    owner.call = lambda value: ours(value) + 1
    assert part in reach(ours)
    part.undo()
    assert not any(type(each) is Part for each in reach(ours))
    assert owner.call(1) == 2


def reach(function: Any) -> list[Any]:
    """What the cells of a function refer to, three steps deep."""
    found: list[Any] = [cell.cell_contents for cell in function.__closure__]
    for _ in range(2):
        found += gc.get_referents(*[each for each in found if not isinstance(each, type)])
    return found


class Unequal:
    """A finder that cannot be compared."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compared")

    __hash__ = None  # type: ignore[assignment]

    def find_spec(self, *_: Any) -> None:
        return None


def test_finders_are_removed_by_identity(part: Part, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    path: list[Any] = [Unequal(), *sys.meta_path]
    monkeypatch.setattr(sys, "meta_path", path)
    before = list(map(id, path))
    part.arm(ImportWatch(part).when, "no_such_module", print)
    assert len(path) == len(before) + 1
    part.undo()
    assert list(map(id, path)) == before
    assert not told


def test_asking_for_a_spec_is_not_an_import(part: Part, told: Told, tmp_path: Any) -> None:
    import importlib.util

    (tmp_path / "module_to_come.py").write_text("value = 1\n")
    sys.path.insert(0, str(tmp_path))
    seen: list[Any] = []
    try:
        part.arm(ImportWatch(part).when, "module_to_come", seen.append)
        for _ in range(2):
            assert importlib.util.find_spec("module_to_come") is not None
        assert not seen
        module = importlib.import_module("module_to_come")
        assert seen == [module]
        assert "exec_module" not in vars(module.__loader__)
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("module_to_come", None)
        part.undo()
    assert not told


def test_a_finder_that_fails_is_asked_by_the_import_itself(part: Part, told: Told) -> None:
    class Failing:
        def find_spec(self, *_: Any) -> None:
            raise ImportError("not here")

    finder: Any = Failing()
    part.arm(ImportWatch(part).when, "no_such_module", print)
    sys.meta_path.insert(1, finder)
    try:
        with pytest.raises(ImportError, match="not here"):
            __import__("no_such_module")
    finally:
        sys.meta_path.remove(finder)
        part.undo()
    assert not told


def test_thread_start_is_the_same_object_afterwards(part: Part) -> None:
    original = threading.Thread.start
    part.arm(lambda: part.wrap(threading.Thread, "start", before=fails))
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    assert threading.Thread.start is original
