"""Processes that are read from outside and are not what one expects: all of them honest."""

from __future__ import annotations

import asyncio
import itertools
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from taskscope.attach import patience, procfs
from taskscope.attach.errors import AttachError
from taskscope.model import requests
from taskscope.sources.base import AgentGone, SourceError
from taskscope.sources.outside.look import Looker
from taskscope.sources.outside.source import OutsideSource
from tests import pythons, targets
from tests.integration.children import taskscope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from taskscope import model
    from taskscope.sources.outside.look import Look

READABLE = pythons.versions(*pythons.SUPPORTED, *pythons.FREE_THREADED)

MANY_THREADS = """
import asyncio, os, threading
async def sleeper(): await asyncio.sleep(3600)
async def main(up):
    kept = [asyncio.create_task(sleeper()) for _ in range(20)]
    asyncio.get_running_loop().call_later(0.05, up)
    await asyncio.gather(*kept)
threading.stack_size(1 << 16)
stop, up = threading.Event(), threading.Event()
def start():
    for _ in range(300): threading.Thread(target=stop.wait, daemon=True).start()
start()
threading.stack_size(0)
threading.Thread(target=asyncio.run, args=(main(up.set),), daemon=True).start()
up.wait()
threading.stack_size(1 << 16)
start()
asyncio.run(main(lambda: print("ready", os.getpid())))
"""


async def idle(
    source: OutsideSource, samples: AsyncIterator[model.Sample], loops: int
) -> tuple[model.Thread, ...]:
    """The threads once so many event loops are idle: a busy machine lets them get there late."""
    async with asyncio.timeout(20):
        while True:
            threads = await source.ask(requests.Threads())
            if sum(each.state == "idle" for each in threads) == loops:
                return threads
            await anext(samples)


@pytest.mark.parametrize("version", READABLE)
async def test_many_threads_hide_neither_tasks_nor_the_threads_that_run_them(version: str) -> None:
    with targets.running(pythons.require(version), MANY_THREADS) as program:
        source = OutsideSource(program.pid)
        hello = await source.open()
        samples = source.samples()
        sample = await anext(samples)
        main, *others = await idle(source, samples, 2)
        stack = (await source.ask(requests.Thread(main.ident))).stack
        sites = {each.id: each for each in sample.new_sites}
        counted: Counter[str] = Counter()
        for each in sample.sites:
            counted[sites[each.site].coroutine] += each.counts.live
        await source.close()
    assert counted == {"main": 2, "sleeper": 40, "Thread._bootstrap": 601}
    assert (main.name, main.native_id) == ("MainThread", program.pid)
    assert stack[-1].function == "<module>"
    assert len(others) == 499
    assert sample.dropped == {"threads that are not listed": 102}
    assert "Of its 602 threads 500 are listed; all are counted." in hello.notes[0]


OTHER_INTERPRETER = """
import os, threading, time
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
code = '''
import asyncio, os
async def inside(): await asyncio.sleep(3600)
async def main():
    kept = [asyncio.create_task(inside()) for _ in range(30)]
    asyncio.get_running_loop().call_later(0.05, os.write, 1, b"ready %d\\\\n" % os.getpid())
    await asyncio.gather(*kept)
asyncio.run(main())
'''
def enters(): interpreters.run_string(interpreters.create(), code)
threading.Thread(target=enters, daemon=True).start()
time.sleep(3600)
"""


@pytest.mark.parametrize("version", READABLE)
async def test_tasks_and_threads_of_other_interpreters_are_seen(version: str) -> None:
    with targets.running(pythons.require(version), OTHER_INTERPRETER) as program:
        source = OutsideSource(program.pid)
        await source.open()
        samples = source.samples()
        sample = await anext(samples)
        main, inner = await idle(source, samples, 1)
        functions = [each.function for each in (await source.ask(requests.Thread(inner.ident))).stack]
        await source.close()
    assert sample.tasks.live == 31
    assert main.frame is not None and main.frame.function == "<module>"
    assert (main.state, inner.state) == ("waiting", "idle")
    assert functions.index("BaseEventLoop.run_forever") < functions.index("enters")


WAITS = """
import asyncio, os
async def waits(): await asyncio.Event().wait()
async def main():
    kept = [asyncio.create_task(waits()) for _ in range(5)]
    asyncio.get_running_loop().call_later(0.05, print, "ready", os.getpid())
    await asyncio.gather(*kept)
asyncio.run(main())
"""

KEEPS_THE_GIL = """
import ctypes, os
def keeps(): ctypes.PyDLL(None).pause()
os.write(1, b"ready %d\\n" % os.getpid())
keeps()
"""


@pytest.fixture
def renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Makes an interpreter whose path does not say that it is one."""

    def of(version: str) -> Path:
        python = pythons.require(version)
        prefix = subprocess.check_output([python, "-c", "import sys; print(sys.base_prefix)"], text=True)
        monkeypatch.setenv("PYTHONHOME", prefix.strip())
        return Path(shutil.copy(python.resolve(), tmp_path / "myapp"))

    return of


@pytest.mark.parametrize("version", READABLE)
async def test_an_interpreter_of_another_name_is_read(version: str, renamed: Callable[[str], Path]) -> None:
    with targets.running(renamed(version), WAITS) as program:
        source = OutsideSource(program.pid)
        await source.open()
        sample = await anext(source.samples())
        await source.close()
    assert sample.tasks.live == 6


def test_nothing_enters_an_interpreter_of_another_name_that_keeps_the_gil(
    renamed: Callable[[str], Path],
) -> None:
    with targets.running(renamed("3.11"), KEEPS_THE_GIL) as program:
        end = time.monotonic() + 20
        while (found := patience.kept(program.pid)) is None:
            assert time.monotonic() < end
    assert "in `pause`, called from <string>:3 keeps" in found.sentence


OUTLIVES_PYTHON = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
libc.__cxa_atexit(ctypes.cast(libc.pause, ctypes.c_void_p), None, None)
print("ready", os.getpid())
sys.stdin.read()
"""


@pytest.mark.parametrize("version", READABLE)
async def test_a_process_in_which_python_has_ended_is_told_from_one_that_has_ended(version: str) -> None:
    with targets.running(pythons.require(version), OUTLIVES_PYTHON, stdin=subprocess.PIPE) as program:
        said = f"Python has ended in process {program.pid}, which is still there"
        source = OutsideSource(program.pid)
        await source.open()
        assert program.child.stdin is not None
        program.child.stdin.close()
        async with asyncio.timeout(20):
            with pytest.raises(AgentGone, match=said):
                async for _ in source.samples():
                    pass
        await source.close()
        with pytest.raises(SourceError, match=said):
            await OutsideSource(program.pid).open()
        assert said in str(patience.kept(program.pid))
        with pytest.raises(AttachError, match=said):
            patience.await_gil(program.pid, 1.0, print, lambda: True)


WITHOUT_ITS_MAIN_THREAD = """
import ctypes, os, platform, threading, time
def goes_on():
    while ") Z " not in open(f"/proc/{os.getpid()}/stat").read(): time.sleep(0.01)
    os.write(1, b"ready %d\\n" % os.getpid())
    time.sleep(3600)
threading.Thread(target=goes_on).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)  # ends this thread alone
"""


def test_a_process_whose_main_thread_has_ended_has_not_ended_itself() -> None:
    with targets.running(pythons.require("3.11"), WITHOUT_ITS_MAIN_THREAD) as program:
        for command in (["snapshot", "--read-only"], ["doctor"], ["watch"]):
            done = taskscope(*command, str(program.pid))
            assert done.returncode == 3
            assert f"the main thread of process {program.pid} has ended while others run on" in done.stderr
        assert not procfs.ended(program.pid)


@pytest.mark.parametrize("pid", ["0", "00", "4194305", "2147483648", "99999999999999999999"])
@pytest.mark.parametrize("command", [["snapshot"], ["snapshot", "--read-only"], ["doctor"]], ids="-".join)
def test_a_number_that_no_process_can_have_is_no_process(command: list[str], pid: str) -> None:
    done = taskscope(*command, pid)
    assert done.returncode == 3
    assert done.stderr == f"taskscope {command[0]}: no such process: {int(pid)}\n"


DEEP = """
import asyncio, os
async def down(calls): await (down(calls - 1) if calls else asyncio.Event().wait())
async def main():
    kept = [asyncio.create_task(down(calls), name=str(calls)) for calls in (50, 200)]
    asyncio.get_running_loop().call_later(0.05, print, "ready", os.getpid())
    await asyncio.gather(*kept)
asyncio.run(main())
"""


@pytest.mark.parametrize("version", READABLE)
async def test_a_chain_too_deep_to_be_followed_is_not_said_to_wait_for_a_future(version: str) -> None:
    with targets.running(pythons.require(version), DEEP) as program:
        source = OutsideSource(program.pid)
        await source.open()
        page = await source.ask(requests.Tasks())
        await source.close()
    said = {each.name: each.parked.text for each in page.tasks if each.parked and each.coroutine == "down"}
    assert said == {"50": "Event.wait", "200": "suspended 64 or more calls deep"}


def test_ctrl_c_ends_a_watch_that_waits_for_the_gil() -> None:
    with targets.running(pythons.require("3.11"), KEEPS_THE_GIL) as program:
        command = [sys.executable, "-m", "taskscope", "watch", str(program.pid)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as watch:
            assert watch.stderr is not None
            while "has held the GIL" not in watch.stderr.readline():
                assert watch.poll() is None
            watch.send_signal(signal.SIGINT)
            try:
                assert watch.wait(15) == 130
            finally:
                watch.kill()
            assert watch.stderr.read() == ""


async def test_how_long_a_slow_look_takes_is_said_and_the_next_one_awaited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks, held, real = itertools.count(1), threading.Event(), Looker.look

    def slow(looker: Looker) -> Look:
        if next(looks) == 1:
            time.sleep(2.1)  # what makes it slow
        else:
            held.wait()
        return real(looker)

    monkeypatch.setattr(Looker, "look", slow)
    with targets.running(pythons.require("3.11"), "sleep") as program:
        source = OutsideSource(program.pid)
        hello = await source.open()
        samples = source.samples()
        sample = await anext(samples)
        coming = asyncio.ensure_future(anext(samples))
        seen = set()
        try:
            async with asyncio.timeout(30):
                while (silence := source.silence()) is None:
                    seen.add(coming.done())
                    await asyncio.sleep(0.05)
        finally:
            held.set()
        await coming
        await source.close()
    assert re.search(r"A look takes \d+ s; the next one begins 1 s after it\.", hello.notes[0])
    assert sample.interval > 3
    assert seen == {False}
    assert silence.seconds > 2 * sample.interval
    assert re.fullmatch(r"a look at it has not ended; the last one took \d+ s", silence.text)
