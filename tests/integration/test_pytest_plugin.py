"""The pytest plugin and ``no_leaks`` on real suites, each run by its own pytest."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
import time
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pytest

import taskscope
from taskscope.testing.guard import LeakError, NoLeaks

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.packages

HEAD = """
import asyncio, threading, time, unittest
import pytest

async def forgotten():
    await asyncio.sleep(30)

def start():
    return asyncio.ensure_future(forgotten())

go = threading.Event()
"""


INSTALLED = any(each.value == "taskscope.testing.pytest_plugin" for each in entry_points(group="pytest11"))
"""Whether pytest finds the plugin by itself, as it does after an ordinary installation."""


def suite(folder: Path, body: str, *options: str, ini: str = "") -> subprocess.CompletedProcess[str]:
    """Runs a suite with the plugin."""
    (folder / "test_it.py").write_text(HEAD + body)
    (folder / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n" + ini
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    if not INSTALLED:
        command += ["-p", "taskscope.testing.pytest_plugin"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def outcome(done: subprocess.CompletedProcess[str]) -> tuple[int, int]:
    """Tests that passed, and those that left something behind."""
    last = done.stdout.strip().splitlines()[-1]
    counts = {word.rstrip("s"): int(count) for count, word in re.findall(r"(\d+) (passed|errors?)", last)}
    return counts.get("passed", 0), counts.get("error", 0)


LEAKING = {
    "pytest-asyncio": "async def test_it():\n    start()\n    await asyncio.sleep(0)",
    "asyncio.run": (
        "def test_it():\n    async def main():\n        start()\n        await asyncio.sleep(0)\n"
        "    asyncio.run(main())"
    ),
    "a loop of one's own": (
        "def test_it():\n    loop = asyncio.new_event_loop()\n    task = loop.create_task(forgotten())\n"
        "    loop.run_until_complete(asyncio.sleep(0))\n    it.append((loop, task))\nit = []"
    ),
    "IsolatedAsyncioTestCase": (
        "class Case(unittest.IsolatedAsyncioTestCase):\n    async def test_it(self):\n        start()\n"
        "        await asyncio.sleep(0)"
    ),
    "anyio's plugin": (
        "@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n@pytest.mark.anyio\n"
        "async def test_it(anyio_backend):\n    start()\n    await asyncio.sleep(0)"
    ),
}


@pytest.mark.parametrize("way", LEAKING)
def test_a_task_left_behind_fails_the_test_with_site_stack_and_place(tmp_path: Path, way: str) -> None:
    options = ("-p", "no:asyncio") if "anyio" in way else ()
    ini = "filterwarnings = ignore:.*asyncio_\n" if options else ""
    done = suite(tmp_path, LEAKING[way], "--taskscope", *options, ini=ini)
    assert outcome(done) == (1, 1), done.stdout
    assert done.returncode == 1
    assert "left behind: 1 task" in done.stdout
    assert re.search(r"task 'Task-\d+' runs forgotten, started at \S+test_it\.py:\d+ in ", done.stdout)
    assert re.search(r"parked at \S+test_it\.py:6 in forgotten: asyncio\.sleep, 29\.\d s left", done.stdout)
    assert re.search(r"created by\n +\S+test_it\.py:\d+ in ", done.stdout)
    assert "_pytest" not in done.stdout


def test_a_thread_left_behind_fails_the_test(tmp_path: Path) -> None:
    body = "def test_it():\n    threading.Thread(target=go.wait, args=(9,), daemon=True).start()"
    done = suite(tmp_path, body, "--taskscope")
    assert outcome(done) == (1, 1), done.stdout
    assert "left behind: 1 thread" in done.stdout
    assert "started at" in done.stdout
    assert "waits for an event" in done.stdout


CLEAN = """
async def test_awaits():
    await asyncio.create_task(asyncio.sleep(0))

async def test_ends_within_the_grace_period():
    asyncio.create_task(asyncio.sleep(0.02))

async def test_runs_in_threads():
    await asyncio.to_thread(time.sleep, 0)

@pytest.fixture
async def server():
    task = start()
    yield task
    task.cancel()

async def test_fixture(server):
    assert not server.done()

@pytest.fixture(scope="module")
def pump():
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    yield
    over.set()
    thread.join()

def test_wider_fixture(pump):
    pass

def test_wider_fixture_again(pump):
    pass

def test_thread_that_is_about_to_end():
    threading.Thread(target=time.sleep, args=(0.02,)).start()

class Case(unittest.IsolatedAsyncioTestCase):
    async def test_case(self):
        task = start()
        task.cancel()

@pytest.mark.taskscope(enabled=False)
async def test_not_checked():
    start()

@pytest.mark.taskscope(allow=["forg*"])
async def test_allowed_by_what_it_runs():
    start()

@pytest.mark.taskscope(allow=["*test_it.py:start"])
async def test_allowed_by_its_site():
    start()

@pytest.mark.taskscope(allow="forgotten")
async def test_allowed_by_one_pattern():
    start()

@pytest.mark.taskscope(False)
async def test_not_checked_either():
    start()

@pytest.mark.taskscope(grace=None, tolerance=2)
async def test_tolerated():
    start(), start()
"""


def test_a_clean_suite_passes(tmp_path: Path) -> None:
    done = suite(tmp_path, CLEAN, "--taskscope")
    assert (outcome(done), done.returncode) == ((14, 0), 0), done.stdout


def test_in_parallel_each_worker_checks_its_own(tmp_path: Path) -> None:
    done = suite(tmp_path, CLEAN + LEAKING["pytest-asyncio"], "--taskscope", "-n", "2")
    assert outcome(done) == (15, 1), done.stdout


def test_without_the_option_only_marked_tests_are_checked(tmp_path: Path) -> None:
    body = (
        "async def test_free():\n    start()\n@pytest.mark.taskscope\nasync def test_marked():\n    start()\n"
    )
    done = suite(tmp_path, body)
    assert outcome(done) == (2, 1), done.stdout
    assert "ERROR test_it.py::test_marked" in done.stdout


def test_the_ini_file_can_turn_it_on_and_allow(tmp_path: Path) -> None:
    body = (
        "async def test_it():\n    start()\n"
        "async def test_other():\n    asyncio.ensure_future(asyncio.sleep(9))\n"
    )
    ini = "taskscope = true\ntaskscope_grace = 0.05\ntaskscope_allow =\n    forgotten\n"
    done = suite(tmp_path, body, ini=ini)
    assert outcome(done) == (2, 1), done.stdout
    assert "ERROR test_it.py::test_other" in done.stdout


def test_a_setting_that_the_marker_does_not_have_is_refused(tmp_path: Path) -> None:
    done = suite(tmp_path, "@pytest.mark.taskscope(alow=['x'])\ndef test_it():\n    pass\n", "--taskscope")
    assert outcome(done) == (0, 1), done.stdout
    assert (
        "the taskscope marker has no setting 'alow'; choose from enabled, grace, tolerance, allow"
        in done.stdout
    )


def test_a_folder_of_the_plugins_name_turns_nothing_on(tmp_path: Path) -> None:
    (tmp_path / "taskscope").mkdir()
    done = suite(tmp_path / "taskscope", "async def test_free():\n    start()\n")
    assert outcome(done) == (1, 0), done.stdout


def test_a_setting_that_is_no_number_is_refused_in_a_sentence(tmp_path: Path) -> None:
    done = suite(tmp_path, "def test_it(): pass", ini="taskscope_grace = soon\n")
    assert done.returncode == 4
    assert "taskscope_grace must be a number, 0 or more, not 'soon'" in done.stderr


def test_a_loop_of_the_whole_session_is_looked_at_after_each_test(tmp_path: Path) -> None:
    body = (
        "pytestmark = pytest.mark.asyncio(loop_scope='module')\nasync def test_leaks():\n    start()\n"
        "async def test_clean():\n    await asyncio.sleep(0)\n"
    )
    done = suite(tmp_path, body, "--taskscope")
    assert outcome(done) == (2, 1), done.stdout
    assert "ERROR test_it.py::test_leaks" in done.stdout


# -- no_leaks


def guard(
    grace: float = 0.05, tolerance: int = 0, allow: tuple[str, ...] = (), *, threads: bool = True
) -> NoLeaks:
    return taskscope.no_leaks(grace=grace, tolerance=tolerance, allow=allow, threads=threads)


async def forgotten() -> None:
    await asyncio.sleep(30)


async def test_a_task_that_outlives_the_context_is_reported() -> None:
    with pytest.raises(LeakError, match=r"left behind: 1 task\n\ntask .* runs forgotten") as caught:
        async with guard():
            task = asyncio.create_task(forgotten())
    (left,) = caught.value.leftovers
    assert left.site.function.endswith("outlives_the_context_is_reported")
    assert "asyncio.sleep" in left.parked
    task.cancel()


async def test_of_many_from_one_line_a_few_are_listed_and_the_rest_counted() -> None:
    with pytest.raises(LeakError, match=r"left behind: 1001 tasks\n") as caught:
        async with guard():
            tasks = [asyncio.create_task(forgotten(), name=f"n{number}") for number in range(1000)]
            tasks.append(asyncio.create_task(forgotten(), name="other"))
    said = str(caught.value)
    assert "task 'n0'" in said  # the oldest ones
    assert "and 997 more tasks that run forgotten, started at the same line" in said
    assert "task 'other'" in said
    assert len(said.splitlines()) < 40
    for task in tasks:
        task.cancel()


async def test_what_was_there_before_is_not_told() -> None:
    task = asyncio.create_task(forgotten())
    async with guard():
        await asyncio.sleep(0)
    task.cancel()


async def test_what_ends_in_time_is_not_told() -> None:
    async with guard(grace=5):
        task = asyncio.create_task(asyncio.sleep(0.02))
    assert task.done()


def test_around_a_run_of_a_loop() -> None:
    async def main() -> None:
        asyncio.ensure_future(forgotten())  # noqa: RUF006  (the leak)
        await asyncio.sleep(0)

    with pytest.raises(LeakError, match="1 task"), guard():
        asyncio.run(main())


def test_as_a_decorator_of_either_kind_of_function() -> None:
    @guard()
    async def leaks() -> int:
        asyncio.ensure_future(forgotten())  # noqa: RUF006  (the leak)
        return 1

    @guard()
    def clean(number: int) -> int:
        return number + 1

    with pytest.raises(LeakError):
        asyncio.run(leaks())
    assert clean(1) == 2
    assert clean.__name__ == "clean"


def test_threads_are_reported_unless_turned_off() -> None:
    over = threading.Event()
    with pytest.raises(LeakError, match=r"left behind: 1 thread\n\nthread 'pump' runs Event.wait"), guard():
        threading.Thread(target=over.wait, name="pump").start()
    with guard(threads=False):
        threading.Thread(target=over.wait).start()
    with guard(allow=("pu*",)):
        threading.Thread(target=over.wait, name="pump").start()
    over.set()


def test_an_error_of_the_body_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), guard():
        threading.Thread(target=time.sleep, args=(0.1,)).start()
        raise ZeroDivisionError


def test_it_leaves_no_hook_behind() -> None:
    loop_class, runners = asyncio.BaseEventLoop, asyncio.runners
    before = (loop_class.__init__, threading.Thread.start, runners._cancel_all_tasks)  # type: ignore[attr-defined]
    with guard():
        assert threading.Thread.start is not before[1]
    assert (loop_class.__init__, threading.Thread.start, runners._cancel_all_tasks) == before  # type: ignore[attr-defined]


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be negative"):
        guard(grace=-1)
