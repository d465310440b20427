"""What can be said about a silent process from outside, for real processes in every such state."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from taskscope.attach.outside import Outside
from tests.patience import FACTOR
from tests.pythons import require, versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskscope.attach.outside import Condition

SECOND = """
import ctypes, os, re, sys, threading, time
threading.Thread(target=lambda: [time.sleep(0.01) for _ in range(9999)], daemon=True).start()
print("ready", flush=True)
sys.stdin.readline()
"""
"""A program with a second thread, which wants the GIL; it goes on when told."""

WHEN_TOLD = SECOND.count("\n") + 1


@contextmanager
def program(then: str, python: str = sys.executable) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    with subprocess.Popen([python, "-c", SECOND + then], stdin=pipe, stdout=pipe, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            yield child
        finally:
            child.kill()


def go_on(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def becomes(outside: Outside, state: str) -> Condition:
    give_up = time.monotonic() + 8 * FACTOR
    while (seen := outside.look()).state != state:
        assert time.monotonic() < give_up, seen
        time.sleep(0.1)
    return seen


@pytest.mark.parametrize("version", versions())
def test_a_c_call_that_sleeps_with_the_gil_is_named_with_its_system_call(version: str) -> None:
    with program("ctypes.PyDLL(None).sleep(60)", str(require(version))) as child:
        outside = Outside(child.pid)
        go_on(child)
        assert becomes(outside, "held").text == (
            f"process {child.pid} runs no Python: a C call from <string>:{WHEN_TOLD} <module> holds the GIL "
            "(its main thread waits in clock_nanosleep)"
        )


def test_a_c_call_that_computes_with_the_gil_is_named_with_its_thread() -> None:
    with program("re.match('(a+)+b', 'a' * 60)") as child:
        outside = Outside(child.pid)
        go_on(child)
        said = becomes(outside, "held").text
        doing = r"its main thread (uses \d+% of a core|runs)"
        line = f"<string>:{WHEN_TOLD} <module>"
        assert re.search(rf"a C call from {line} holds the GIL \({doing}\)", said)


def test_a_thread_that_looks_as_if_it_asked_for_the_gil_accuses_nobody() -> None:
    impatient = """
lock = threading.Lock(); lock.acquire()
threading.Thread(target=lambda: [lock.acquire(timeout=0.005) for _ in range(9999)], daemon=True).start()
import select; select.epoll().poll(60)
"""
    with program(impatient) as child:
        outside = Outside(child.pid)
        go_on(child)
        said = set()
        for _ in range(
            25
        ):  # from the eleventh on, whole windows are compared in which each is where it stays
            said.add(outside.look().text)
            time.sleep(0.1)
        assert not [each for each in said if "GIL" in each]


def test_a_stopped_process_is_recognised_at_the_first_look_and_continues() -> None:
    with program("") as child:
        outside = Outside(child.pid)
        child.send_signal(signal.SIGSTOP)
        os.waitpid(child.pid, os.WUNTRACED)
        assert outside.look().text == f"process {child.pid} is stopped (kill -CONT {child.pid})"
        child.send_signal(signal.SIGCONT)
        assert becomes(outside, "silent").text.startswith(f"process {child.pid} is running (2 threads")


@pytest.mark.parametrize(
    ("then", "name"),
    [("os.execvp('sleep', ['sleep', '60'])", "sleep"), ("os.execv(sys.executable, ['again'])", "")],
)
def test_a_program_that_replaced_the_known_one_is_reported(then: str, name: str) -> None:
    with program(then) as child:
        outside = Outside(child.pid)
        go_on(child)
        said = becomes(outside, "replaced").text
        assert said.startswith(f"process {child.pid} now runs another program ({name}")


def test_a_process_whose_memory_is_being_freed_runs_no_other_program() -> None:
    """It has no stack any more, and is no zombie yet."""
    full = "kept = b'x' * (200 << 20); print('full', flush=True); input()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", full], stdin=pipe, stdout=pipe, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "full\n"
        outside = Outside(child.pid)
        child.kill()
        seen = {"silent"}
        while seen <= {"silent", "starved"}:
            seen.add(outside.look().state)
        assert seen <= {"silent", "starved", "ended"}


def test_an_ended_process_and_one_that_waits_for_its_parent_have_ended() -> None:
    with program("") as child:
        outside = Outside(child.pid)
        go_on(child)
        assert becomes(outside, "ended").text == f"process {child.pid} has ended"
        child.wait()
        assert outside.look().state == "ended"
