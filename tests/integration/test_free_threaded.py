"""Free-threaded builds, real ones (``$TASKSCOPE_FREE_THREADED``): read from outside, entered by nothing."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from taskscope.attach.discover import processes
from taskscope.attach.reading.frames import Gil
from taskscope.interpreter import READ_ONLY
from taskscope.model import requests
from taskscope.sources.base import NotAvailable
from taskscope.sources.outside.look import Looker
from taskscope.sources.outside.meanwhile import MeanwhileSource, entered
from taskscope.sources.outside.source import FREE_THREADED as NEVER
from taskscope.sources.outside.source import WITHOUT_GIL, OutsideSource
from tests import pythons, targets
from tests.integration.children import taskscope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskscope.sources.outside.look import Look
    from tests.targets import Program

FREE_THREADED = pytest.mark.parametrize("version", pythons.FREE_THREADED)
SWITCHED = pytest.mark.parametrize(
    "options", [(), ("-X", "tlbc=0"), ("-X", "gil=1")], ids=["", "one bytecode", "with the GIL"]
)

CRASHES = "an agent that reads tasks while other threads change them may crash it"

STANDING = """
import asyncio, faulthandler, json, os, sys, threading
GATES = [threading.Event() for _ in range(3)]
def stands(at):
    for _ in range(200): len(GATES)
    if at == 0:
        GATES[0].wait()
    elif at == 1:
        GATES[1].wait()
    else:
        GATES[2].wait()
async def sleeps(): await asyncio.sleep(3600)
async def outer(at):
    if at % 2:
        await sleeps()
    else:
        await sleeps()
async def waits(task): await task
def lines(coroutine):
    found = []
    while hasattr(coroutine, "cr_frame"):
        found.append((coroutine.cr_frame.f_code.co_filename, coroutine.cr_frame.f_lineno))
        coroutine = coroutine.cr_await
    return found[::-1]
async def main(number, up):
    tasks = [asyncio.create_task(outer(at)) for at in range(20)]
    tasks += [asyncio.create_task(waits(tasks[0]), name=f"naïve 日本 {number}")]
    for _ in range(3): await asyncio.sleep(0)
    told.update({each.get_name(): lines(each.get_coro()) for each in tasks})
    asyncio.get_running_loop().call_later(0.1, up.set)
    await asyncio.Event().wait()
told, ups = {}, [threading.Event() for _ in range(3)]
for at in range(3): threading.Thread(target=stands, args=(at,), daemon=True).start()
for at, up in enumerate(ups): threading.Thread(target=asyncio.run, args=(main(at, up),), daemon=True).start()
for up in ups: up.wait()
print("ready", os.getpid())
print(json.dumps(told))
for _ in sys.stdin:
    faulthandler.dump_traceback(sys.stdout)
    print("done")
threading.Event().wait()
"""
"""The same functions in several threads, each of which has a copy of their instructions.  Asked for it by a
line, tells where they stand."""

HOLDS = """
import ctypes, os
os.write(1, b"ready %d\\n" % os.getpid())
ctypes.PyDLL(None).pause()
"""


def looked(pid: int) -> Look:
    looker = Looker(pid)
    try:
        return looker.look()
    finally:
        looker.close()


Stacks = dict[int, list[tuple[str, int]]]
"""File and line of the frames of each thread but the main one, innermost first."""


def dumped(program: Program, lines: Iterator[str]) -> Stacks:
    """As faulthandler says inside."""
    assert program.child.stdin is not None
    program.child.stdin.write("\n")
    program.child.stdin.flush()
    found: Stacks = {}
    frames: list[tuple[str, int]] = []
    for text in iter(lines.__next__, "done"):
        if thread := re.match(r"Thread 0x(\w+)", text):
            frames = found[int(thread[1], 16)] = []
        elif text.startswith("Current thread"):
            frames = []
        elif frame := re.match(r'  File "(.*)", line (\d+) in', text):
            frames.append((frame[1], int(frame[2])))
    return found


def seen(look: Look) -> Stacks:
    """As read from outside."""
    return {
        each.ident: [(at.file, at.line) for at in each.frames]
        for each in look.stacks.threads
        if each.native != look.pid
    }


@FREE_THREADED
@SWITCHED
def test_every_thread_and_task_stands_where_its_program_says(version: str, options: tuple[str, ...]) -> None:
    python, give_up = pythons.require(version), time.monotonic() + 30
    with targets.running(python, STANDING, options, stdin=subprocess.PIPE) as program:
        assert program.child.stdout is not None
        lines = map(str.rstrip, iter(program.child.stdout.readline, ""))
        told: dict[str, list[list[object]]] = json.loads(next(lines))
        inside, look = dumped(program, lines), looked(program.pid)
        while seen(look) != inside and time.monotonic() < give_up:  # a loop is on its way to sleep
            inside, look = dumped(program, lines), looked(program.pid)
    assert len(inside) == 6
    assert seen(look) == inside
    assert look.tasks is not None
    tasks = {each.name: [(at.file, at.line) for at in each.chain.stack] for each in look.tasks.tasks}
    assert len(tasks) == len(told) + 3  # and the main ones of three loops
    for name, stack in told.items():
        assert tasks[name] == [tuple(each) for each in stack]
    assert not look.tasks.unread


@FREE_THREADED
@pytest.mark.parametrize("gil", [0, 1])
def test_a_holder_of_the_gil_is_told_only_where_there_is_one(version: str, gil: int) -> None:
    with targets.running(pythons.require(version), HOLDS, ("-X", f"gil={gil}")) as program:
        give_up = time.monotonic() + 20
        looker = Looker(program.pid)
        look = looker.look()
        while gil and not (look.held and look.stacks.holder):
            assert time.monotonic() < give_up
            look = looker.look()
        looker.close()
        said = taskscope("watch", "--read-only", str(program.pid), "--for", "1s").stderr
    assert look.stacks.gil.off == (not gil)
    assert (look.held is not None) == bool(look.stacks.holder) == bool(gil)
    assert not look.held or (look.held.function, look.held.busy) == ("pause", False)
    assert NEVER in said
    assert (WITHOUT_GIL in said) == (not gil)


@FREE_THREADED
def test_no_agent_enters_and_what_is_shown_instead_is_said(version: str) -> None:
    with targets.running(pythons.require(version), STANDING) as program:
        pid, threads = program.pid, program.threads()
        refused = f"process {pid} runs a free-threaded Python; {CRASHES}, so none enters it; {READ_ONLY}\n"
        for words in ("snapshot", "doctor"):
            done = taskscope(words, str(pid))
            assert (done.returncode, done.stderr) == (3, f"taskscope {words}: {refused}")
        assert f"CPython {version[:-1]}" in done.stdout
        assert "GIL         off: no thread holds it" in done.stdout
        assert "shown       with --read-only: " in done.stdout
        assert "left out    what an agent tells: " in done.stdout
        (listed,) = processes(only={pid})
        assert listed.obstacle == "free-threaded: only read from outside"
        assert program.threads() == threads
        assert program.alive


@FREE_THREADED
def test_attach_shows_it_all_the_same_and_says_why(version: str) -> None:
    with targets.running(pythons.require(version), "sleep") as program:
        source = entered(program.pid, lambda text: None)
        assert isinstance(source, MeanwhileSource)
        note = source.note(asyncio.run(source.open()))
        asyncio.run(source.close())
    assert note.startswith(f"No agent (K tries again): process {program.pid} runs a free-threaded Python; ")
    assert note.endswith("so none enters it.")


@FREE_THREADED
async def test_no_agent_is_promised_to_tell_more(version: str) -> None:
    with targets.running(pythons.require(version), "sleep") as program:
        source = OutsideSource(program.pid)
        hello = await source.open()
        for request in (requests.Stalls(), requests.Tree("parent")):
            with pytest.raises(
                NotAvailable, match=r"^Only an agent tells .+, and none enters a free-threaded Python\.$"
            ):
                await source.ask(request)
        assert source.note(hello).endswith(f"{NEVER}  {WITHOUT_GIL}")
        assert source._look is not None
        switched_on = replace(source._look.stacks, gil=Gil(0, 1))
        source._look = replace(source._look, stacks=switched_on)
        assert source.note(hello).endswith(NEVER)
        await source.close()
    assert hello.process.python.startswith(version[:-1])
    assert hello.process.python.endswith("t")
