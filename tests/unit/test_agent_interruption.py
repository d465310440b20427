"""While the program is stopped for a look, its switch interval is ours; afterwards it is its own again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from taskscope.agent.hooks import interruption
from taskscope.agent.hooks.parts import Part
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Iterator

OWN = 0.0123


@pytest.fixture
def part() -> Iterator[Part]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(OWN)
    yield Part("interruption", lambda name, error: None)
    sys.setswitchinterval(before)


def during(monkeypatch: pytest.MonkeyPatch, part: Part, what: object) -> list[float]:
    """The interval while the program runs, when ``what`` is called, and afterwards."""
    seen: list[float] = []

    def sleep(_: float) -> None:
        seen.append(sys.getswitchinterval())
        assert callable(what)
        what()

    monkeypatch.setattr(clock, "sleep", sleep)
    try:
        interruption.interrupt(part, 0.001)
    except SystemExit:
        part.undo()  # as the end of our thread does
    return [*seen, sys.getswitchinterval()]


def test_the_interval_is_short_only_while_the_program_runs(
    monkeypatch: pytest.MonkeyPatch, part: Part
) -> None:
    seen = during(monkeypatch, part, lambda: None)
    assert seen == pytest.approx([interruption.SWITCH, OWN])
    assert not part.armed


def test_an_end_of_our_thread_meanwhile_puts_it_back(monkeypatch: pytest.MonkeyPatch, part: Part) -> None:
    assert during(monkeypatch, part, sys.exit) == pytest.approx([interruption.SWITCH, OWN])


def test_an_interval_that_the_program_sets_meanwhile_stays(
    monkeypatch: pytest.MonkeyPatch, part: Part
) -> None:
    seen = during(monkeypatch, part, lambda: sys.setswitchinterval(0.02))
    assert seen == pytest.approx([interruption.SWITCH, 0.02])
