"""A system call that a thread is blocked in when it is stopped goes on as if nothing had happened.

The kernel repeats it, on each kind of processor in its own way (see `taskscope.attach.architectures`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from taskscope.attach import attempt, injection, procfs, ptrace
from taskscope.attach.target import examine
from tests import patience, pythons, targets
from tests.patience import settled

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = """
import ctypes, os, select, signal, socket, sys, threading, time
C = ctypes.CDLL(None, use_errno=True)
here, there = socket.socketpair()
class Span(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]
span = Span(int(SECONDS), 0)
lock = threading.Lock(); lock.acquire()
class Poll(ctypes.Structure):
    _fields_ = [("fd", ctypes.c_int), ("events", ctypes.c_short), ("found", ctypes.c_short)]
polled = Poll(here.fileno(), 1)
buffer = ctypes.create_string_buffer(8)
queue = select.epoll(); queue.register(here.fileno(), 1)
signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))
def call():
    CALL
os.write(1, b"ready %d\\n" % os.getpid())
began = time.monotonic()
found = call()
print(found, ctypes.get_errno(), time.monotonic() - began, flush=True)
"""

SECONDS = 2 * min(patience.FACTOR, 3)

TIMED = {
    "a relative sleep": "return C.nanosleep(ctypes.byref(span), None)",
    "a relative sleep by a clock": "return C.clock_nanosleep(1, 0, ctypes.byref(span), None)",
    "time.sleep": "return time.sleep(SECONDS)",
    "poll": "return C.poll(ctypes.byref(polled), 1, int(SECONDS * 1000))",
    "select": "return select.select([here], [], [], SECONDS)",
    "a futex": "return lock.acquire(timeout=SECONDS)",
    "epoll": "return queue.poll(SECONDS)",
}
"""Calls that end by themselves: those in C as the kernel ends them, Python's as it makes them again."""

FEEDER = (
    "threading.Thread(target=lambda: there.send(sys.stdin.readline()[:4].encode()), daemon=True).start(); "
)

ENDLESS = {
    "recv": "C.recv(here.fileno(), buffer, 4, 0); return buffer.value",
    "read": "C.read(here.fileno(), buffer, 4); return buffer.value",
    "epoll": "queue.poll(); return here.recv(4)",
}

INTERRUPTED = {
    "signal.pause": "return signal.pause()",
    "time.sleep": "return time.sleep(600)",
    "select": "return select.select([here], [], [])",
    "recv": "return here.recv(4)",
}


@contextmanager
def blocked_in(call: str) -> Iterator[targets.Program]:
    text = PROGRAM.replace("CALL", call).replace("SECONDS", f"{SECONDS:g}")
    with targets.running(pythons.require(pythons.SUPPORTED[0]), text, stdin=subprocess.PIPE) as program:
        settled(lambda: procfs.blocked_in(program.pid, program.pid) is not None, True)
        yield program


def said(program: targets.Program) -> list[str]:
    assert program.child.stdout is not None
    return program.child.stdout.readline().split()


def injected(pid: int) -> None:
    """All that happens to the thread when an agent is brought in."""
    os.close(injection.inject(examine(pid), attempt.TAKEN_BACK, 5, lambda: True).reply)


@pytest.mark.parametrize("name", TIMED)
def test_a_call_with_a_time_limit_ends_on_time(name: str) -> None:
    began = time.monotonic()
    with blocked_in(TIMED[name]) as program:
        time.sleep(SECONDS / 2)  # the half of it is left
        injected(program.pid)
        before = time.monotonic() - began
        *found, number, took = said(program)
        assert "".join(found) in ("0", "None", "False", "[]", "([],[],[])")
        assert number == "0"
        assert SECONDS <= float(took) < SECONDS + before / 2  # made anew, it takes ``before`` more


@pytest.mark.parametrize("name", ENDLESS)
def test_a_call_without_a_limit_still_gets_what_it_waits_for(name: str) -> None:
    with blocked_in(FEEDER + ENDLESS[name]) as program:
        injected(program.pid)
        settled(lambda: attempt.waiting(program.pid), None)
        assert program.child.stdin is not None
        program.child.stdin.write("food\n")
        program.child.stdin.flush()
        assert said(program)[:2] == ["b'food'", "0"]


@pytest.mark.parametrize("name", INTERRUPTED)
def test_a_signal_that_comes_while_the_thread_is_stopped_ends_its_call(name: str) -> None:
    """It is delivered to the call, not before it: else Python would notice it only when that ends."""
    with blocked_in(INTERRUPTED[name]) as program:
        target = examine(program.pid)
        instruction = injection._syscall_instruction(target)
        with ptrace.StoppedThread(target.architecture, program.pid, program.pid) as thread:
            thread.take()
            with pytest.raises(ptrace.SystemCallError):
                thread.syscall(instruction, target.architecture.calls["close"], -1)
            os.kill(program.pid, signal.SIGUSR1)
        assert said(program) == ["handled"]
