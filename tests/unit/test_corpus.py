"""Every program of the corpus parses and declares its expected findings."""

from __future__ import annotations

import ast
import re
import sys

import pytest

from tests.corpus.program import Program, programs

WORDS = {"Leak", "Level", "Line", "Looks like", "Needs", "Rate", "Runs", "Says", "Shows", "Where"}
PROGRAMS = programs("leaking", "hanging", "healthy", "cases")
LEAKING = [each for each in PROGRAMS if each.leaks]


def name_of(program: Program) -> str:
    return program.path.stem


def docstring_of(program: Program) -> str:
    return ast.get_docstring(ast.parse(program.path.read_text())) or ""


@pytest.mark.parametrize("program", PROGRAMS, ids=name_of)
def test_a_program_parses_and_declares_only_known_words(program: Program) -> None:
    words = set(re.findall(r"^([A-Z][a-z ]+): ", docstring_of(program).partition("\n")[2], re.MULTILINE))
    assert words <= WORDS
    assert ("Leak" in words) == program.leaks
    assert ("\nHealthy.\n" in f"{docstring_of(program)}\n") != program.is_faulty
    assert bool(program.marked or "Line" in words) == program.is_faulty


@pytest.mark.parametrize("program", LEAKING, ids=name_of)
def test_a_leaking_program_declares_its_coroutines_and_its_rate(program: Program) -> None:
    assert all(len(each.split(" ")) == 2 for each in program.declared("Line"))
    assert not any("<locals>" in each for each in program.declared("Leak"))  # as they are shown
    assert float(program.declared("Rate")[0]) > 0


@pytest.mark.parametrize("program", PROGRAMS, ids=name_of)
def test_a_program_needs_the_packages_that_it_imports(program: Program) -> None:
    """Those without which the score leaves it out."""
    tree = ast.parse(program.path.read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    tops = {each.partition(".")[0] for each in imported} - set(sys.stdlib_module_names) - {"tests"}
    assert tops <= {re.split("[.=]", each)[0] for each in program.declared("Needs")}
