"""Each pattern has all its text, a program that shows it, and a healthy look-alike."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

import pytest

from taskscope.analysis.patterns import OF_ENDED, OF_PROCESS, OF_TASKS, OF_THREADS
from taskscope.analysis.patterns.pattern import Pattern, SitePattern

TESTS = Path(__file__).parents[1]
PROGRAMS = sorted(
    each for kind in ("cases", "corpus/*ing", "corpus/healthy") for each in TESTS.glob(f"{kind}/*.py")
)
EVERY: tuple[Pattern, ...] = (*OF_TASKS, *OF_THREADS, OF_ENDED, *OF_PROCESS)
NAMES = sorted({each.name for each in EVERY})


def declared(word: str, files: list[Path]) -> dict[str, list[str]]:
    """Programs by pattern, from the line ``word: PATTERN, …`` of their docstrings."""
    found: dict[str, list[str]] = {}
    for file in files:
        for line in re.findall(rf"^{word}: (.+)$", file.read_text(), re.MULTILINE):
            for name in line.split(", "):
                found.setdefault(name, []).append(f"{file.parent.name}/{file.stem}")
    return found


SHOWN = declared("Shows", [*PROGRAMS, *sorted(TESTS.glob("integration/test_*.py"))])
ALIKE = declared("Looks like", sorted(TESTS.glob("corpus/healthy/*.py")))


@pytest.mark.parametrize("name", NAMES)
def test_a_pattern_is_shown_by_a_program_and_has_a_healthy_look_alike(name: str) -> None:
    assert SHOWN.get(name), f"no program says 'Shows: {name}'"
    assert ALIKE.get(name), f"no healthy program says 'Looks like: {name}'"
    assert not set(SHOWN[name]) & set(ALIKE[name])


def test_programs_name_no_pattern_that_is_not_there() -> None:
    assert set(chain(SHOWN, ALIKE)) <= set(NAMES)


@pytest.mark.parametrize("pattern", EVERY, ids=lambda each: each.name)
def test_a_pattern_explains_itself_shortly_and_names_the_remedy(pattern: Pattern) -> None:
    named = pattern.cause("what was seen", ("an observation",))
    assert (named.pattern, named.text, named.evidence) == (pattern.name, "what was seen", ("an observation",))
    assert pattern.explanation in named.explanation
    assert pattern.remedy in named.explanation
    assert 80 < len(named.explanation) < 400
    assert all(each.endswith(".") for each in (pattern.explanation, pattern.remedy))


def test_one_name_means_one_fault() -> None:
    """A pattern may be looked for twice: what it proves is the same, how to mend it may depend on more."""
    said: dict[str, Pattern] = {}
    for pattern in EVERY:
        other = said.setdefault(pattern.name, pattern)
        if isinstance(pattern, SitePattern):
            assert isinstance(other, SitePattern)
            assert other.strength == pattern.strength
