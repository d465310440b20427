"""The agent leaves no trace, changes nothing the program can see, and survives its own failures."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import taskscope
from tests.pythons import require, versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("TASKSCOPE_DIR", str(tmp_path))
    yield tmp_path
    taskscope.stop()


def child(code: str, directory: Path, *, python: Path | str = sys.executable, warn: str = "error") -> Any:
    """Runs ``code`` in a child; returns what it printed as JSON."""
    done = subprocess.run(
        [python, "-W", warn, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=40,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TASKSCOPE_DIR": str(directory)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout else done.stderr


def until(condition: Callable[[], bool], timeout: float = 10.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.005)


def agent() -> Any:
    return taskscope._agent


def _state() -> dict[str, object]:
    loop = asyncio.BaseEventLoop
    names = ("__init__", "set_task_factory", "get_task_factory", "create_task")
    return {
        **{name: vars(loop).get(name) for name in names},
        "start": threading.Thread.start,
        "threadsafe": asyncio.run_coroutine_threadsafe,
        "threadsafe2": asyncio.tasks.run_coroutine_threadsafe,
        "meta_path": list(sys.meta_path),
        "excepthook": sys.excepthook,
        "thread_excepthook": threading.excepthook,
    }


def _held() -> set[str]:
    """Threads and descriptors.  Those of the tests before may still go, but none may come."""
    return {f"{kind} {number}" for kind in ("task", "fd") for number in os.listdir(f"/proc/self/{kind}")}


async def test_stop_puts_everything_back(directory: Path) -> None:
    loop = asyncio.get_running_loop()
    before, held = _state(), _held()
    taskscope.start("trace")
    taskscope.start("again")
    assert [path.name for path in directory.iterdir()] == [f"{os.getpid()}.trace.sock"]
    assert _state() != before
    gate = asyncio.Event()
    task = asyncio.create_task(gate.wait())
    await asyncio.sleep(0)
    assert task._taskscope_serial  # type: ignore[attr-defined]
    taskscope.stop()
    taskscope.stop()
    assert _state() == before
    until(lambda: _held() <= held)
    assert loop.get_task_factory() is None
    assert list(directory.iterdir()) == []
    assert not [name for name in dir(task) if name == "_taskscope_serial" and hasattr(task, name)]
    gate.set()
    await task
    assert type(asyncio.create_task(asyncio.sleep(0))) is asyncio.Task


async def test_a_program_that_ends_our_thread_gets_everything_back(directory: Path) -> None:
    before = _state()
    taskscope.start()
    server = agent().server
    until(lambda: bool(server.thread))
    thread = ctypes.c_ulong(server.thread)
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(SystemExit)) == 1
    until(lambda: _state() == before and not list(directory.iterdir()))


async def test_nothing_of_the_agent_stays_referenced(directory: Path) -> None:
    taskscope.start()
    task = asyncio.create_task(asyncio.Event().wait())
    await asyncio.sleep(0)
    gone = [weakref.ref(agent()), weakref.ref(agent().registry), weakref.ref(agent().watch)]
    taskscope.stop()

    def freed() -> bool:
        gc.collect()
        return all(reference() is None for reference in gone)

    try:
        until(freed)
    except AssertionError:
        left = [each for reference in gone if (each := reference()) is not None]
        pytest.fail(f"referred to by {[(type(each), repr(each)[:200]) for each in gc.get_referrers(*left)]}")
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_task_is_not_kept_alive() -> None:
    taskscope.start()
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    reference = weakref.ref(task)
    del task
    await asyncio.sleep(0)  # the callback that woke us up referred to it
    assert reference() is None


async def test_a_second_start_of_the_agent_counts_anew() -> None:
    for _ in range(3):
        taskscope.start()
        await asyncio.create_task(asyncio.sleep(0))
        taskscope.stop()
    taskscope.start()
    await asyncio.create_task(asyncio.sleep(0), name="mine")
    snapshot = taskscope.snapshot()
    site = next(site for site in snapshot["sites"] if site["coroutine"] == "sleep")
    counts = next(each for each in snapshot["sample"]["sites"] if each["site"] == site["id"])["counts"]
    assert (counts["born"], counts["finished"], counts["live"]) == (1, 1, 0)


@pytest.mark.parametrize("version", versions())
def test_the_program_sees_the_same(version: str, directory: Path) -> None:
    """repr, debug tracebacks, warnings of lost tasks: as without us, down to the letter."""
    code = """
        import asyncio, gc, json, re, sys
        if sys.argv[1:] == [] and WITH:
            import taskscope; taskscope.start()
        said = []
        async def forever(): await asyncio.Event().wait()
        async def fails(): raise ValueError("no")
        async def main():
            loop = asyncio.get_running_loop()
            loop.set_debug(DEBUG)
            def handler(loop, context):
                trace = context.get("source_traceback")
                said.append([context["message"], [f"{e.filename}:{e.name}" for e in trace or ()]])
            loop.set_exception_handler(handler)
            task = loop.create_task(forever(), name="f")
            other = asyncio.create_task(forever(), name="o")
            async with asyncio.timeout(5):
                await asyncio.sleep(0)
            said.extend([repr(task), repr(other), type(task).__name__, type(task).__module__])
            def names(): return sorted(t.get_name() for t in asyncio.all_tasks() if t.get_name() != "Task-1")
            async def until(true):  # soon, as another thread may still look at what has gone
                end = loop.time() + 5
                while not true() and loop.time() < end:
                    gc.collect()
                    await asyncio.sleep(0.01)
            failed = asyncio.create_task(fails(), name="x")
            await asyncio.sleep(0.01)
            del failed
            await until(lambda: "never retrieved" in str(said))
            lost = loop.create_task(forever(), name="lost")
            await asyncio.sleep(0)
            coro = lost.get_coro()
            del lost
            gc.collect()
            for each in gc.get_objects():
                if isinstance(each, asyncio.Event): each._waiters.clear()
            del each, coro
            await until(lambda: "lost" not in names())
            task = other = None
            try: loop.create_task(42)
            except TypeError as error: said.append(str(error))
            said.append(names())
        asyncio.run(main())
        text = json.dumps(said)
        print(re.sub(r"0x[0-9a-f]+", "0x", text))
    """
    python = require(version)
    for debug in ("False", "True"):
        programs = [code.replace("WITH", each).replace("DEBUG", debug) for each in ("0", "1")]
        plain, observed = (child(program, directory, python=python, warn="ignore") for program in programs)
        assert observed == plain
        assert any("never retrieved" in str(each) for each in plain)
        assert any("destroyed but it is pending" in str(each) for each in plain)


async def test_outcomes_and_retained_tasks_are_counted() -> None:
    taskscope.start(interval=0.1)

    async def ends(how: str) -> None:
        if how == "fails":
            raise KeyError(how)
        if how == "cancelled":
            asyncio.current_task().cancel()  # type: ignore[union-attr]
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(ends(how)) for how in ["fails"] * 2 + ["cancelled"] * 3 + ["fine"] * 4]
    await asyncio.wait(tasks)
    for task in tasks:
        task.cancelled() or task.exception()

    def record() -> Any:
        return next(r for r in agent().registry.by_id.values() if r.site.coroutine.endswith("ends"))

    await asyncio.to_thread(until, lambda: record().retained == 9)
    counts = record().counts()
    assert (counts.live, counts.born, counts.failed, counts.cancelled, counts.finished) == (0, 9, 2, 3, 4)
    del task
    tasks.clear()
    gc.collect()
    assert record().retained == 0
    assert record().counts() == counts
    ended = {each["outcome"]: each["error"] for each in taskscope.snapshot()["ended"]}
    assert ended == {"failed": "KeyError: fails", "cancelled": "", "finished": ""}


async def test_a_failure_of_the_hook_disarms_it_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    taskscope.start(interval=0.1)

    def broken(*args: object) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(agent().presence.hooks.births._resolver, "record", broken)
    assert await asyncio.create_task(asyncio.sleep(0, "result")) == "result"
    assert asyncio.get_running_loop().get_task_factory() is None
    assert agent().sampler.disarmed == ["tasks: RuntimeError: on purpose"]
    assert await asyncio.create_task(asyncio.sleep(0, "more")) == "more"
    assert taskscope.snapshot()["sample"]["disarmed"] == ["tasks: RuntimeError: on purpose"]


async def test_adopted_tasks_appear_as_such() -> None:
    gate = asyncio.Event()

    async def older() -> None:
        await gate.wait()

    tasks = [asyncio.create_task(older()) for _ in range(50)]
    await asyncio.sleep(0)
    taskscope.start(interval=0.1)

    def record() -> Any:
        found = [r for r in agent().registry.by_id.values() if r.site.coroutine.endswith("older")]
        return found[0] if found else None

    await asyncio.to_thread(until, lambda: record() is not None and record().adopted == 50)
    assert record().counts().live == 50
    assert record().site.known in {"unknown", "exact"}  # exact: under the debug mode of asyncio
    detail = next(task for task in taskscope.snapshot()["tasks"] if task["coroutine"].endswith("older"))
    assert detail["birth"] is None
    gate.set()
    await asyncio.wait(tasks)
    tasks.clear()
    await asyncio.to_thread(until, lambda: record().counts().live == 0)
    assert record().counts().born == 50


def test_a_forked_child_gets_an_agent_of_its_own(directory: Path) -> None:
    code = """
        import os, signal, sys, time, json
        import taskscope
        taskscope.start("forker")
        pid = os.fork()
        if not pid:
            signal.pause()
        wanted = {f"{each}.forker.sock" for each in (os.getpid(), pid)}
        deadline = time.monotonic() + 15
        while set(os.listdir(os.environ["TASKSCOPE_DIR"])) != wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        found = set(os.listdir(os.environ["TASKSCOPE_DIR"])) == wanted
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        print(json.dumps(found))
    """
    assert child(code, directory, warn="ignore") is True


@pytest.mark.parametrize("version", versions())
def test_importing_costs_the_standard_library_only(version: str, directory: Path) -> None:
    code = """
        import sys, sysconfig
        sys.path.insert(0, ROOT)
        import taskscope, taskscope.agent
        taskscope.start(); taskscope.stop()
        library = sysconfig.get_path("stdlib")
        files = [getattr(m, "__file__", None) or "" for n, m in sys.modules.items() if n != "__main__"]
        foreign = [f for f in files if f and not f.startswith((library, ROOT + "/taskscope"))]
        assert not foreign and "site-packages" not in "".join(files), foreign
        assert "asyncio" not in sys.modules
    """
    program = textwrap.dedent(code).replace("ROOT", repr(str(ROOT)))
    done = subprocess.run(
        [require(version), "-I", "-S", "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        env={"TASKSCOPE_DIR": str(directory), "PATH": os.environ["PATH"]},
        check=False,
    )
    assert done.returncode == 0, done.stderr
