"""Does the program look into a container that it fills?  Judged by its source."""

from __future__ import annotations

import os
import sys
import time
import types
from typing import TYPE_CHECKING, Literal

import pytest

from taskscope.agent.answers import uses
from taskscope.agent.answers.uses import Uses
from taskscope.agent.inspect.keepers import Place
from taskscope.agent.inspect.walk import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from taskscope.agent.inspect.keepers import Place as AnyPlace

NAME = "-hoard-".strip("-")  # this file is one of the program's: as a text of its own it would be a look

GLOBAL = "hoard = []\ndef start():\n    "
METHOD = "class Hub:\n    def __init__(self):\n        self.hoard = {}\n    def start(self, key):\n        "
LOCAL = "async def main(more):\n    kept = []\n    while more:\n        "

ONLY_FILLED = {
    "append": GLOBAL + "hoard.append(go())",
    "an entry": METHOD + "self.hoard[key] = go()",
    "an entry by a longer key": METHOD + "self.hoard[self.keys[key], 1] = go()",
    "an entry and a variable": METHOD + "done = self.hoard[key] = go()",
    "update": METHOD + "self.hoard.update({key: go()})",
    "added to in place": LOCAL + "kept += [go() for _ in range(3)]",
    "its length is shown": GLOBAL + "hoard.append(go())\n    print(len(hoard))",
    "its length in a text": GLOBAL + 'hoard.append(go())\n    print(f"{len(hoard)} run")',
    "comments and texts speak of it": '"""hoard."""\n'
    + GLOBAL
    + 'hoard.append(go())  # hoard\n    "the hoard"',
    "annotated": "class Hub:\n    def __init__(self):\n        self.hoard: dict[int, object] = {}\n"
    "    def start(self, key):\n        self.hoard[key] = go()",
    "a field": "@dataclass\nclass Hub:\n    hoard: list = field(default_factory=list)\n"
    "    def start(self):\n        self.hoard.append(go())",
    "made with another": "async def main():\n    queue, kept = Queue(), set()\n    kept.add(go())",
    "another class has one": METHOD + "self.hoard[key] = go()\nclass Desk:\n    def stop(self):\n"
    "        self.hoard.clear()",
    "a variable of the same name elsewhere": LOCAL + "kept.append(go())\ndef other(kept):\n    kept.pop()",
}

LOOKED_INTO = {
    "pop": GLOBAL + "hoard.append(go())\n    hoard.pop()",
    "iterated": GLOBAL + "hoard.append(go())\n    for each in hoard: each.cancel()",
    "passed on": GLOBAL + "hoard.append(go())\n    gather(*hoard)",
    "a callback takes out": GLOBAL + "hoard.append(t := go())\n    t.add_done_callback(hoard.remove)",
    "a key is asked for": METHOD + "if key not in self.hoard: self.hoard[key] = go()",
    "an entry is read": METHOD + "self.hoard[key] = go()\n        self.hoard[key].cancel()",
    "an entry of an entry is set": METHOD + "self.hoard[key] = go()\n        self.hoard[key].state = 1",
    "an entry is deleted": METHOD
    + "self.hoard[key] = go()\n    def stop(self, key):\n        del self.hoard[key]",
    "its length decides": GLOBAL + "if len(hoard) < 9: hoard.append(go())",
    "its length is returned": GLOBAL + "hoard.append(go())\n    return len(hoard)",
    "it has a second name": GLOBAL + "hoard.append(go())\n    mine = hoard",
    "it is another's": "def start(hoard):\n    hoard.append(go())",
    "it comes from a call": "hoard = known()\ndef start():\n    hoard.append(go())",
    "made anew": "async def main(more):\n    while more:\n        kept = []\n        kept.append(go())",
    "made anew later": METHOD + "self.hoard[key] = go()\n    def reset(self):\n        self.hoard = {}",
    "read by its name": METHOD + 'self.hoard[key] = go()\n        getattr(self, "hoard").clear()',
    "shown in a text": GLOBAL + 'hoard.append(go())\n    print(f"{hoard[0]}")',
    "never filled": "hoard = []",
    "not Python": GLOBAL + "hoard.append(go()",
    "a class of the same name": METHOD + "self.hoard[key] = go()\nclass Hub:\n    def stop(self):\n"
    "        self.hoard.clear()",
    "another class looks into it": METHOD + "self.hoard[key] = go()\nclass Desk:\n    def stop(self):\n"
    "        self.hub.hoard.clear()",
    "an inner function takes out": LOCAL + "kept.append(go())\n        def stop():\n            kept.clear()",
}


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that a module was loaded from, as far as anybody can tell."""
    monkeypatch.setattr(uses, "MAX_FILES", 10_000)  # the modules of other tests are loaded as well
    path = tmp_path / "shop.py"
    module = types.ModuleType("shop_of_uses")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    yield path
    del sys.modules[module.__name__]


def place_in(path: Path, source: str) -> AnyPlace:
    path.write_text(source + "\n")
    if "kept" in source:
        line = next(at for at, text in enumerate(source.splitlines(), 1) if "def main" in text)
        return Place("variable", "kept", str(path), line)
    kind: Literal["attribute", "global"] = "attribute" if "class" in source else "global"
    return Place(kind, NAME, str(path), classes=("Hub",))


@pytest.mark.parametrize("source", ONLY_FILLED.values(), ids=ONLY_FILLED)
def test_a_container_that_is_only_added_to_is_told(loaded: Path, source: str) -> None:
    assert run(Uses().is_only_filled(place_in(loaded, source)))


@pytest.mark.parametrize("source", LOOKED_INTO.values(), ids=LOOKED_INTO)
def test_any_other_mention_counts_as_a_look(loaded: Path, source: str) -> None:
    assert not run(Uses().is_only_filled(place_in(loaded, source)))


def test_another_file_of_the_program_may_look_into_it(loaded: Path, tmp_path: Path) -> None:
    place = place_in(loaded, ONLY_FILLED["an entry"])
    other = types.ModuleType("desk_of_uses")
    other.__file__ = str(tmp_path / "desk.py")
    (tmp_path / "desk.py").write_text("def stop(hub):\n    hub.hoard.clear()\n")
    assert run(Uses().is_only_filled(place))
    sys.modules[other.__name__] = other
    try:
        assert not run(Uses().is_only_filled(place))
    finally:
        del sys.modules[other.__name__]


def test_a_file_that_was_changed_after_the_start_tells_nothing(loaded: Path) -> None:
    place = place_in(loaded, ONLY_FILLED["append"])
    assert run(Uses(since=time.time() + 60).is_only_filled(place))
    os.utime(loaded, (time.time() + 120,) * 2)
    assert not run(Uses(since=time.time() + 60).is_only_filled(place))


def test_what_has_no_place_is_looked_into() -> None:
    assert not run(Uses().is_only_filled(None))
