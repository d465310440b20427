"""Each set of words is closed: other words are refused or read as unknown."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from taskscope import model, wire
from taskscope.attach import lean_typing
from taskscope.checked import unpack
from taskscope.model import vocabulary
from taskscope.model.vocabulary import LEVELS, rank

FRAME = {"file": "f.py", "line": 1, "function": "g"}
PARKED = {"frame": FRAME, "user_frame": None, "text": "t"}


def test_a_word_of_a_newer_version_is_unknown_where_that_is_a_word() -> None:
    assert unpack(model.Parked, PARKED | {"wait": "telepathy"}).wait == "unknown"
    assert unpack(model.Parked, PARKED | {"wait": "lock"}).wait == "lock"


@pytest.mark.parametrize("word", ["", "unknown", 1, None, ["user"]])
def test_elsewhere_it_is_refused_with_the_words_that_there_are(word: Any) -> None:
    with pytest.raises(wire.WireError, match=r"not one of user, library, stdlib$"):
        unpack(model.Frame, FRAME | {"origin": word})


def test_levels_have_one_order() -> None:
    assert [rank(each) for each in LEVELS] == [0, 0, 0, 1, 2]
    assert rank("flat") == 3


def test_inside_a_target_the_words_are_the_same() -> None:
    """There ``typing`` has a stand-in."""
    source = inspect.getsource(vocabulary).replace("from typing", f"from {lean_typing.__name__}")
    there: dict[str, Any] = {}
    exec(source, there)
    for name in vocabulary.__all__:
        if name.isupper():
            assert there[name] == getattr(vocabulary, name)
