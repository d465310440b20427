"""A process seen from outside: what is told, and that nothing of it changes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from taskscope.attach import procfs
from taskscope.attach.reading import frames, layout, weak_tasks
from taskscope.attach.reading.memory import Memory, MovedError
from taskscope.attach.reading.tasks import LinkedTasks, TaskReader
from taskscope.model import requests
from taskscope.sources.base import NotAvailable
from taskscope.sources.outside.source import OutsideSource
from taskscope.text import unseen
from tests import pythons, targets
from tests.integration.children import taskscope
from tests.patience import FACTOR

if TYPE_CHECKING:
    from tests.targets import Program

READABLE = pythons.versions(*pythons.SUPPORTED, *pythons.FREE_THREADED)

STANDING = """
import asyncio, os, threading
async def sleeper(): await asyncio.sleep(3600)
async def middle(): await sleeper()
async def takes(queue): await queue.get()
async def waits(task): await task
async def gathers(): await asyncio.gather(sleeper(), sleeper())
async def counts():
    for number in range(2):
        yield number
        await asyncio.sleep(3600)
async def iterates():
    async for _ in counts(): pass
def idle(): threading.Event().wait()
async def main():
    queue = asyncio.Queue()
    kept = [asyncio.create_task(middle(), name=f"mid-{i}") for i in range(300)]
    kept += [asyncio.create_task(takes(queue), name="naïve 日本") for _ in range(20)]
    kept += [asyncio.create_task(waits(kept[0])), asyncio.create_task(gathers())]
    kept += [asyncio.create_task(iterates())]
    threading.Thread(target=idle, daemon=True).start()
    asked = [vars(each) for each in vars(asyncio.tasks).values() if "WeakSet" in str(type(each))] * LOOKED
    asyncio.get_running_loop().call_later(0.05, print, "ready", os.getpid())
    await asyncio.Event().wait()
asyncio.run(main())
"""

STANDING = STANDING.replace("LOOKED", "0")
LOOKED_INTO = STANDING.replace("* 0", "* 1")
"""Someone has asked for the dictionaries of asyncio's own objects, as debuggers do."""

LINE = {text: at for at, text in enumerate(STANDING.splitlines(), 1)}

HOLDS_THE_GIL = """
import ctypes, os, threading, time
def beat():
    while True: time.sleep(0.01)
def heartbeat():
    ctypes.PyDLL(None).pause()
threading.Thread(target=beat, daemon=True).start()
os.write(1, b"ready %d\\n" % os.getpid())
heartbeat()
"""


def line(text: str) -> int:
    return next(at for each, at in LINE.items() if text in each)


@pytest.mark.parametrize("version", READABLE)
@pytest.mark.parametrize("text", [STANDING, LOOKED_INTO], ids=["", "looked into"])
async def test_tasks_are_counted_by_coroutine_and_by_the_line_at_which_they_wait(
    version: str, text: str
) -> None:
    with targets.running(pythons.require(version), text) as program:
        source = OutsideSource(program.pid)
        hello = await source.open()
        sample = await anext(source.samples())
        sites = {each.id: each for each in sample.new_sites}
        live = {
            (sites[each.site].coroutine, sites[each.site].frame.line): each.counts.live
            for each in sample.sites
            if sites[each.site].kind == "task"
        }
        groups = await source.ask(requests.Groups("parked"))
        page = await source.ask(requests.Tasks(limit=1000))
        (waiting,) = [each for each in page.tasks if each.coroutine == "waits"]
        detail = await source.ask(requests.Task(waiting.serial))
        await source.close()
    assert live == {
        ("middle", line("def sleeper")): 300,
        ("takes", line("def takes")): 20,
        ("waits", line("def waits")): 1,
        ("gathers", line("def gathers")): 1,
        ("sleeper", line("def sleeper")): 2,
        ("iterates", line("        await asyncio.sleep(3600)")): 1,
        ("main", line("asyncio.Event().wait()")): 1,
    }
    assert {each.known for each in sites.values()} == {"parked"}
    assert sample.tasks.live == sum(live.values())
    assert (hello.arrived, hello.control) == ("outside", False)
    assert [each.label for each in groups[:2]] == ["asyncio.sleep", "Queue.get"]
    assert Counter(each.name for each in page.tasks)["mid-7"] == 1
    assert "naïve 日本" in {each.name for each in page.tasks}
    assert [each.name for each in detail.waits_for] == ["mid-0"]
    assert detail.task.parked is not None and detail.task.parked.wait == "task"


GROUPS = """
import asyncio, os
async def leaf(): await asyncio.sleep(3600)
async def gathers(): await asyncio.gather(leaf(), leaf())
async def waits(): await asyncio.wait([asyncio.create_task(leaf())])
async def groups():
    async with asyncio.TaskGroup() as group:
        for _ in range(3): group.create_task(leaf())
async def busy_in_its_group():
    async with asyncio.TaskGroup() as group:
        group.create_task(leaf())
        await asyncio.Event().wait()
async def main():
    kept = [asyncio.create_task(each()) for each in (gathers, waits, groups, busy_in_its_group)]
    asyncio.get_running_loop().call_later(0.05, print, "ready", os.getpid())
    await asyncio.gather(*kept)
asyncio.run(main())
"""


@pytest.mark.parametrize("version", pythons.versions("3.14", "3.15", *pythons.FREE_THREADED))
async def test_the_tasks_of_a_gather_or_a_group_are_below_the_one_that_waits_for_them(version: str) -> None:
    with targets.running(pythons.require(version), GROUPS) as program:
        source = OutsideSource(program.pid)
        await source.open()
        page = await source.ask(requests.Tasks())
        details = [await source.ask(requests.Task(each.serial)) for each in page.tasks]
        roots = await source.ask(requests.Tree("await"))
        (main,) = [each for each in roots if each.label == "main"]
        below = await source.ask(requests.Tree("await", main.serials[0]))
        await source.close()
    expected = {"main": 4, "gathers": 2, "waits": 1, "groups": 3}
    assert {each.task.coroutine: len(each.waits_for) for each in details if each.waits_for} == expected
    assert {each.label: each.children for each in below} == {
        "gathers": 2, "waits": 1, "groups": 3, "busy_in_its_group": 0
    }  # fmt: skip
    assert {each.label: each.live for each in roots} == {"main": 1, "leaf": 1}


MADE = """
import os, threading, time
class Made:
    def __init__(self, seconds): time.sleep(seconds)
def makes():
    for seconds in [0] * 200 + [3600]: Made(seconds)
threading.Thread(target=makes, daemon=True, name="maker").start()
threading.Timer(1.0, os.write, (1, b"ready %d\\n" % os.getpid())).start()
time.sleep(3600)
"""


@pytest.mark.parametrize("version", READABLE)
async def test_a_stack_has_no_frames_of_the_interpreter_s_own(version: str) -> None:
    with targets.running(pythons.require(version), MADE) as program:
        found = frames.read(program.pid)
    assert found is not None
    (stack,) = [each for each in found.lines.values() if each[0].function == "Made.__init__"]
    assert stack[1].function == "makes"


CALLED = """
import os, threading, time
from concurrent.futures import ThreadPoolExecutor
class Reader(threading.Thread):
    def __init__(self):
        self.room = "set before its name"
        super().__init__(name="reader of \u00e9", daemon=True)
    def run(self): time.sleep(3600)
Reader().start()
looked = threading.Thread(target=time.sleep, args=(3600,), name="looked into", daemon=True)
looked.start()
vars(looked)
pool = ThreadPoolExecutor(1, "pool")
pool.submit(time.sleep, 3600)
threading.Timer(0.05, os.write, (1, b"ready %d\\n" % os.getpid())).start()
time.sleep(3600)
"""


@pytest.mark.parametrize("version", READABLE)
async def test_threads_are_called_as_the_program_calls_them(version: str) -> None:
    with targets.running(pythons.require(version), CALLED) as program:
        source = OutsideSource(program.pid)
        await source.open()
        names = {each.name for each in await source.ask(requests.Threads()) if each.python}
        await source.close()
    assert names - {"Thread-1"} == {"MainThread", "reader of \u00e9", "looked into", "pool_0"}


NAMED = """
import asyncio, functools, os
def decorated(function):
    @functools.wraps(function)
    async def wrapper(): await function()
    return wrapper
@decorated
async def work(): await asyncio.sleep(3600)
async def main():
    async def nested(): await asyncio.sleep(3600)
    kept = [asyncio.create_task(each()) for each in (work, nested)]
    asyncio.get_running_loop().call_later(0.05, print, "ready", os.getpid())
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.mark.parametrize("version", READABLE)
async def test_a_coroutine_is_called_as_its_function_says_and_not_as_a_decorator(version: str) -> None:
    with targets.running(pythons.require(version), NAMED) as program:
        source = OutsideSource(program.pid)
        await source.open()
        page = await source.ask(requests.Tasks())
        stacks = [(await source.ask(requests.Task(each.serial))).stack for each in page.tasks]
        await source.close()
    assert sorted(each.coroutine for each in page.tasks) == ["main", "main.nested", "work"]
    assert {each[-1].function for each in stacks} == {"main", "main.nested", "decorated.wrapper"}


@pytest.mark.parametrize("version", READABLE)
async def test_threads_have_their_stacks_and_what_they_wait_in(version: str) -> None:
    with targets.running(pythons.require(version), STANDING) as program:
        source = OutsideSource(program.pid)
        hello = await source.open()
        async with asyncio.timeout(20 * FACTOR):
            async for _ in source.samples():
                main, idle = await source.ask(requests.Threads())
                if main.state == "idle":
                    break
        stack = (await source.ask(requests.Thread(idle.ident))).stack
        await source.close()
    assert hello.process.python.startswith(version.removesuffix("t"))
    assert hello.process.python.endswith("t") == version.endswith("t")
    assert (main.native_id, main.state, main.text) == (program.pid, "idle", "idle in event loop")
    assert main.name == "MainThread"
    assert main.system_call.startswith("epoll_")
    assert [each.kind for each in main.descriptors] == ["epoll"]
    assert (idle.system_call, idle.state) == ("futex", "waiting")
    assert "idle" in [each.function for each in stack]
    assert idle.frame is not None and idle.frame.line == line("def idle")


async def test_tasks_that_cannot_be_found_are_unknown_and_not_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weak_tasks, "_MODULE", "elsewhere")
    with targets.running(pythons.require("3.11"), STANDING) as program:
        source = OutsideSource(program.pid)
        hello = await source.open()
        await source.close()
    assert (hello.process.unseen, hello.counts_tasks) == (("asyncio",), False)
    assert "could not be found from outside" in unseen(hello)[0]


async def test_what_cannot_be_seen_is_refused_in_a_sentence() -> None:
    with targets.running(pythons.require("3.11"), "sleep") as program:
        source = OutsideSource(program.pid)
        await source.open()
        for request in (
            requests.Cancel(1),
            requests.Ended(),
            requests.Groups("parent"),
            requests.Tree("parent"),
        ):
            with pytest.raises(NotAvailable) as refusal:
                await source.ask(request)
            assert re.match(r"(Only an agent tells |Nothing is ).+\.$", str(refusal.value))
        await source.close()


@pytest.mark.parametrize("version", pythons.versions())
async def test_whoever_keeps_the_gil_is_named_with_the_function_and_the_line(version: str) -> None:
    with targets.running(pythons.require(version), HOLDS_THE_GIL) as program:
        source, silence = OutsideSource(program.pid), None
        await source.open()
        await source.ask(requests.SetInterval(0.1))
        async with asyncio.timeout(20 * FACTOR):
            async for _ in source.samples():
                silence = source.silence()
                if silence is not None and silence.state == "held":
                    break
        await source.close()
    at = next(i for i, each in enumerate(HOLDS_THE_GIL.splitlines(), 1) if "PyDLL" in each)
    told = f"in `pause`, called from <string>:{at} heartbeat; no Python code can run in this process"
    assert silence is not None
    assert silence.text.startswith(f"thread {program.pid} has held the GIL for")
    assert silence.text.endswith(told)


@pytest.mark.parametrize("version", pythons.versions("3.13", "3.14", "3.15", *pythons.FREE_THREADED))
def test_offsets_that_lie_are_refused_or_lead_nowhere(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chance, tell = random.Random(7), layout._told

    def lies(*asked: Any) -> tuple[int, ...]:
        told = list(tell(*asked) or ())
        for _ in range(chance.choice((1, 2, 5))):
            wrong = chance.choice((0, 8, chance.randrange(500), chance.randrange(1 << 20)))
            told[chance.randrange(len(told))] = wrong
        return tuple(told)

    monkeypatch.setattr(layout, "_told", lies)
    with targets.running(pythons.require(version), STANDING) as program, Memory(program.pid) as memory:
        for _ in range(150):
            with suppress(MovedError):
                interpreter = frames.Interpreter.of(memory)
                stacks = interpreter.stacks() if interpreter is not None else None
                tasks = _tasks_of(interpreter) if interpreter is not None else None
                if tasks is not None and stacks is not None:
                    memory.look_again(0.1)
                    tasks.tasks(stacks)
        assert program.alive


def _tasks_of(interpreter: frames.Interpreter) -> TaskReader | None:
    return LinkedTasks.of(interpreter) or weak_tasks.WeakTasks.of(interpreter)


def test_a_snapshot_from_outside_conforms_to_the_schema() -> None:
    with targets.running(pythons.require(pythons.NEWEST), STANDING) as program:
        done = taskscope("snapshot", "--read-only", str(program.pid))
    assert done.returncode == 0
    assert "nothing enters the process" in done.stderr
    snapshot = json.loads(done.stdout)
    schema = json.loads(files("taskscope.export").joinpath("snapshot.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(snapshot)
    assert snapshot["agent"]["arrived"] == "outside"


def halted(program: Program) -> None:
    os.kill(program.pid, signal.SIGSTOP)
    while procfs.status(program.pid)["State"][0] != "T":
        time.sleep(0.01)


def writable(pid: int) -> dict[str, str]:
    """What is in each region of memory that the process may write to."""
    found = {}
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for text in Path(f"/proc/{pid}/maps").read_text().splitlines():
            region, rights, *_ = text.split()
            begin, end = (int(each, 16) for each in region.split("-"))
            if "w" in rights:
                with suppress(OSError):  # what lies beyond the end of a file
                    found[text] = hashlib.sha256(os.pread(memory.fileno(), end - begin, begin)).hexdigest()
    return found


def state(program: Program) -> tuple[object, ...]:
    status = procfs.status(program.pid)
    signals = [status[each] for each in ("SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt", "TracerPid")]
    switches = [status["voluntary_ctxt_switches"], status["nonvoluntary_ctxt_switches"]]
    fds = sorted((each.name, str(each.readlink())) for each in Path(f"/proc/{program.pid}/fd").iterdir())
    return signals, switches, fds, procfs.threads(program.pid), procfs.usage(program.pid).cpu


@pytest.mark.parametrize("version", READABLE)
def test_of_a_stopped_process_no_byte_changes(version: str) -> None:
    with targets.running(pythons.require(version), STANDING) as program:
        halted(program)
        before = writable(program.pid), state(program)
        done = taskscope("watch", "--read-only", str(program.pid), "--for", "1s")
        assert (writable(program.pid), state(program)) == before
    assert f"process {program.pid} is stopped (kill -CONT {program.pid})" in done.stderr


def test_who_has_the_gil_is_known_of_ourselves() -> None:
    found = frames.read(os.getpid())
    assert found is not None
    assert found.holder == 0  # it is given back to read a file


GROWS = """
import asyncio, os
async def forgotten(): await asyncio.sleep(3600)
async def main():
    kept = []
    print("ready", os.getpid())
    while True:
        kept.append(asyncio.create_task(forgotten()))
        await asyncio.sleep(0.2)
asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.timeout(300 * FACTOR)
def test_growth_is_found_from_outside_with_the_line_at_which_tasks_wait() -> None:
    with targets.running(pythons.require("3.11"), GROWS) as program:
        done = taskscope("watch", "--read-only", str(program.pid), "--for", "175s", timeout=250)
    assert done.returncode == 1
    assert "LEAK    ~<string>:3 forgotten" in done.stdout
    assert "they wait at that line; what creates them is not seen from outside" in done.stdout


SERVES = """
import asyncio, os, threading
async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(line)
async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    print("ready", os.getpid(), server.sockets[0].getsockname()[1])
    await server.serve_forever()
asyncio.run(main())
"""


@pytest.mark.parametrize("version", READABLE)
def test_a_process_at_work_is_never_traced_and_gets_nothing(version: str) -> None:
    with targets.running(pythons.require(version), SERVES) as program:

        def traces() -> tuple[object, ...]:
            return program.threads(), program.descriptors(), program.mappings(), status()["TracerPid"]

        def status() -> dict[str, str]:
            return procfs.status(program.pid)

        before, signals, seen = traces(), status()["SigCgt"], set()
        command = [sys.executable, "-m", "taskscope", "watch", "--read-only", str(program.pid), "--for", "1s"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as watch:
            while watch.poll() is None:
                seen.add(traces())
                time.sleep(0.002)
        assert seen == {before}
        assert status()["SigCgt"] == signals
        with socket.create_connection(("127.0.0.1", program.port)) as client:
            client.sendall(b"still there\n")
            assert client.recv(100) == b"still there\n"
