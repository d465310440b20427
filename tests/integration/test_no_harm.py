"""Programs that the agent once disturbed, each in its own process: they see the same as without it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.pythons import require, versions

REPO = Path(__file__).parents[2]


def run(program: str, tmp_path: Path, python: str | Path = sys.executable) -> str:
    """What the program prints; it must end well and say nothing else."""
    tmp_path.chmod(0o700)
    done = subprocess.run(
        [str(python), "-c", program],
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, "PYTHONPATH": str(REPO), "TASKSCOPE_DIR": str(tmp_path)},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


TRACED = """
import gc, threading, weakref
import taskscope
taskscope.start()
agent = weakref.ref(taskscope._agent)
ours = threading.Thread.start
def traced(thread):  # as tracers do, who come after us
    ours(thread)
threading.Thread.start = traced
taskscope.stop()
gc.collect()
assert threading.Thread.start is traced
assert agent() is None
done = []
thread = threading.Thread(target=done.append, args=(1,))
thread.start()
thread.join()
assert not hasattr(thread, "_taskscope")
print(done)
"""


def test_a_tracer_that_wraps_after_us_does_not_keep_the_agent_alive(tmp_path: Path) -> None:
    assert run(TRACED, tmp_path) == "[1]\n"


HOSTILE_LOOP = """
import asyncio, sys
import taskscope
class Loop(asyncio.SelectorEventLoop):
    def get_task_factory(self):
        raise RuntimeError("get")
    def set_task_factory(self, factory):
        raise RuntimeError("set")
    def __eq__(self, other):
        raise RuntimeError("compared")
    __hash__ = object.__hash__
class Finder:
    def __eq__(self, other):
        raise RuntimeError("compared")
    def find_spec(self, *words):
        return None
sys.meta_path.insert(0, Finder())
before = [id(each) for each in sys.meta_path]
init = asyncio.BaseEventLoop.__init__
older = Loop()
taskscope.start()
sys.meta_path.insert(0, Finder())
younger = Loop()
async def main():
    return await asyncio.create_task(asyncio.sleep(0, "done"))
for loop in (older, younger):
    print(loop.run_until_complete(main()))
sites = [site["coroutine"] for site in taskscope.snapshot()["sites"]]
print(sites.count("sleep"), taskscope._agent.sampler.disarmed)
taskscope.stop()
assert [id(each) for each in sys.meta_path[1:]] == before
assert asyncio.BaseEventLoop.__init__ is init
assert older._task_factory is younger._task_factory is None
older.close(), younger.close()
"""


def test_a_loop_whose_own_methods_raise_is_watched_and_left_as_it_was(tmp_path: Path) -> None:
    assert run(HOSTILE_LOOP, tmp_path) == "done\ndone\n1 []\n"


FOREIGN = """
import asyncio, gc, sys, threading, time
import taskscope
sys.setswitchinterval(1e-4)
complaints = []
def factory(loop, coro, **options):
    return asyncio.Task(coro, loop=loop, **options)
async def leaf():
    await asyncio.sleep(0)
async def main():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: complaints.append(repr(context.get("exception"))))
    loop.set_task_factory(factory)
    for _ in range(60):
        await asyncio.gather(*[asyncio.create_task(leaf()) for _ in range(20)])
    asyncio.create_task(leaf())  # is never waited for, and its loop ends
def run():
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
import warnings; warnings.simplefilter("ignore")
taskscope.start(interval=0.1)
threads = [threading.Thread(target=run) for _ in range(6)]
for each in threads: each.start()
for each in threads: each.join()
gc.collect()
counts = taskscope.snapshot()["sample"]["tasks"]
print(sum(each != "None" for each in complaints), counts["live"], counts["born"])
taskscope.stop()
"""


@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_ends_of_foreign_tasks_are_counted_in_many_threads_at_once(version: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    done = subprocess.run(
        [str(require(version)), "-c", FOREIGN],
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, "PYTHONPATH": str(REPO), "TASKSCOPE_DIR": str(tmp_path)},
        check=False,
    )
    assert done.stdout.split()[:2] == ["0", "0"], (done.stdout, done.stderr)


SUBINTERPRETER = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
other = interpreters.create()
interpreters.run_string(other, '''
import taskscope
try:
    taskscope.start()
except taskscope.StartError as error:
    print(error, flush=True)
''')
interpreters.destroy(other)
"""


@pytest.mark.parametrize("version", versions("3.12", "3.13", "3.14", "3.15"))
def test_a_subinterpreter_is_refused_in_a_sentence(version: str, tmp_path: Path) -> None:
    said = run(SUBINTERPRETER, tmp_path, require(version))
    assert said == (
        "TaskScope cannot run in a subinterpreter, which could never end: start it in the main one\n"
    )


NO_PLACE = """
import asyncio, os, threading
import taskscope
before = dict(vars(asyncio.BaseEventLoop)), dict(vars(threading.Thread)), set(os.listdir("/proc/self/fd"))
try:
    taskscope.start()
except OSError as error:
    print(type(error).__name__, error)
assert taskscope._agent is None
assert (dict(vars(asyncio.BaseEventLoop)), dict(vars(threading.Thread))) == before[:2]
assert set(os.listdir("/proc/self/fd")) == before[2]
"""


def test_without_a_place_for_its_socket_it_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir(mode=0o777)
    (tmp_path / "sub").chmod(0o777)
    said = run(
        NO_PLACE.replace(
            "import taskscope\n",
            f"import taskscope\nos.environ['TASKSCOPE_DIR'] = {str(tmp_path / 'sub')!r}\n",
        ),
        tmp_path,
    )
    assert said.startswith("StartError ")
    assert "mode 0700" in said


SPEC_FIRST = """
import asyncio, importlib.util
import taskscope
taskscope.start()
assert importlib.util.find_spec("uvloop") is not None
import uvloop
async def main():
    await asyncio.create_task(asyncio.sleep(0))
    return [site["coroutine"] for site in taskscope.snapshot()["sites"]]
print("sleep" in uvloop.run(main()), "set_task_factory" in vars(uvloop.Loop))
taskscope.stop()
print("set_task_factory" in vars(uvloop.Loop))
"""


def test_uvloop_is_seen_though_its_spec_was_asked_for_before_the_import(tmp_path: Path) -> None:
    pytest.importorskip("uvloop")
    assert run(SPEC_FIRST, tmp_path) == "True True\nFalse\n"


EXITS = """
import atexit, os
import taskscope
class Exit:
    compared = 0
    def __init__(self, word): self.word = word
    def __call__(self): print(self.word)
    def __eq__(self, other):
        Exit.compared += 1
        return True
    __hash__ = None
for word in ("one", "two"): atexit.register(Exit(word))
taskscope.start()
taskscope.stop()
registered = atexit._ncallbacks()
for _ in range(3):
    taskscope.start()
    taskscope.stop()
print(Exit.compared, atexit._ncallbacks() - registered)
taskscope.start()  # and goes at the end of the process
"""


@pytest.mark.parametrize("version", ["3.11", "3.14"])
def test_what_a_program_calls_at_its_exit_is_neither_compared_nor_taken_from_it(
    version: str, tmp_path: Path
) -> None:
    assert run(EXITS, tmp_path, require(version)) == "0 0\ntwo\none\n"
    assert os.listdir(tmp_path) == []


def test_when_the_agent_has_stopped_the_kernel_has_no_thread_of_it() -> None:
    """The interpreter frees a thread's state last of all; whatever ends at that moment must not find it."""
    code = """
        import os, taskscope
        for _ in range(50):
            taskscope.start()
            taskscope.stop()
            assert len(os.listdir("/proc/self/task")) == 1
    """
    subprocess.run([sys.executable, "-X", "dev", "-c", textwrap.dedent(code)], check=True, timeout=60)


def test_looking_at_a_loop_leaves_its_variables_where_they_are_fast() -> None:
    """Reading ``loop.__dict__`` moves the attributes into a dictionary, which slows every task down."""
    code = """
        import asyncio, gc, taskscope
        async def main():
            taskscope.start()
            await asyncio.sleep(0.5)
            taskscope.snapshot()
            held = gc.get_referents(asyncio.get_running_loop())
            assert not [each for each in held if type(each) is dict and "_ready" in each]
            taskscope.stop()
        asyncio.run(main())
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)
