"""A thread that computes in C code with the GIL is named with its line; Python code that computes is not."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from taskscope.attach import attempt
from taskscope.attach.patience import await_gil
from taskscope.attach.presence import agent_in
from taskscope.attach.reading.frames import Interpreter
from taskscope.attach.reading.holding import Holding
from taskscope.attach.reading.memory import Memory
from tests import pythons, targets
from tests.integration.children import taskscope
from tests.patience import FACTOR

if TYPE_CHECKING:
    from taskscope.attach.reading.holding import Held
    from tests.targets import Program

BUSY = """
import os, re, threading, time
def beat():
    while True: time.sleep(0.01)
def work():
    WHAT
BEFORE
os.write(1, b"ready %d\\n" % os.getpid())
work()
"""
ASKS = "threading.Thread(target=beat, daemon=True).start()"
AT = next(at for at, text in enumerate(BUSY.splitlines(), 1) if "WHAT" in text)

IN_C = {
    "sum(range(10 ** 12))": "C code",
    "re.fullmatch('(a+)+b', 'a' * 60)": "C code of `re.fullmatch`",
    "pow(10 ** 3_000_000, 3) % (3 ** 3_000_000)": "C code",
}
IN_PYTHON = (
    "\n    while True: pass",
    "\n    for number in range(10 ** 12): pass",
    "\n    while True: len('')",
    "\n    while True: os.stat('/')",
    "\n    while True: [0] * 100",
)


def program(what: str, before: str = "") -> str:
    return BUSY.replace("WHAT", what).replace("BEFORE", before)


def told(program: Program, *, from_others: bool = False) -> Held | None:
    """What is seen of it within a time in which it surely would have been."""
    until = time.monotonic() + 10 * FACTOR
    with Memory(program.pid) as memory:
        interpreter = Interpreter.of(memory)
        assert interpreter is not None
        holding, found = Holding(interpreter, from_others=from_others), None
        while found is None and time.monotonic() < until:
            found = holding.look()
        return found


@pytest.mark.parametrize("version", pythons.versions())
@pytest.mark.parametrize("what", IN_C)
def test_who_computes_in_c_code_while_others_ask_for_the_gil_is_named(what: str, version: str) -> None:
    with targets.running(pythons.require(version), program(what, ASKS)) as running:
        found = told(running, from_others=True)
        assert found is not None
        assert re.fullmatch(
            rf"thread {running.pid} has held the GIL for at least [\d.]+ s, busy in {IN_C[what]}, "
            rf"called from <string>:{AT} work; no Python code can run in this process",
            found.text,
        )


@pytest.mark.parametrize("version", pythons.versions())
@pytest.mark.parametrize("what", IN_C)
def test_who_computes_in_c_code_while_nobody_asks_is_named_as_well(what: str, version: str) -> None:
    with targets.running(pythons.require(version), program(what)) as running:
        found = told(running)
        assert found is not None
        assert found.text.endswith(
            f"busy in {IN_C[what]}, called from <string>:{AT} work; no other thread asks for it"
        )


@pytest.mark.parametrize("version", pythons.versions())
@pytest.mark.parametrize("before", ["", ASKS], ids=["alone", "asked"])
@pytest.mark.parametrize("what", IN_PYTHON, ids=str.strip)
def test_python_code_that_computes_accuses_nobody(what: str, before: str, version: str) -> None:
    with (
        targets.running(pythons.require(version), program(what, before)) as running,
        Memory(running.pid) as memory,
    ):
        interpreter = Interpreter.of(memory)
        assert interpreter is not None
        holding = Holding(interpreter)
        assert [found.text for _ in range(20) if (found := holding.look()) is not None] == []


def test_nothing_enters_it_and_the_answer_names_the_line() -> None:
    with targets.running(pythons.require(pythons.NEWEST), program("sum(range(10 ** 12))", ASKS)) as running:
        before = running.threads(), running.descriptors(), running.mappings()
        done = taskscope("snapshot", str(running.pid), timeout=60)
        assert (running.threads(), running.descriptors(), running.mappings()) == before
        assert attempt.waiting(running.pid) is None
        assert agent_in(running.pid) is None
    assert done.returncode == 3
    assert (
        f"busy in C code, called from <string>:{AT} work; no Python code can run in this proc" in done.stderr
    )
    assert "nothing was changed" in done.stderr


def test_a_snapshot_from_outside_tells_of_it_at_the_first_look() -> None:
    with targets.running(pythons.require(pythons.NEWEST), program("sum(range(10 ** 12))", ASKS)) as running:
        assert told(running) is not None
        done = taskscope("snapshot", "--read-only", str(running.pid), timeout=60)
    assert "holds the GIL for at least" in done.stdout


def test_one_call_after_another_keeps_no_agent_out() -> None:
    calls = "\n    while True: sum(range(5 * 10 ** 7))"
    with targets.running(pythons.require(pythons.NEWEST), program(calls, ASKS)) as running:
        await_gil(running.pid, 20 * FACTOR, lambda text: None, lambda: True)
