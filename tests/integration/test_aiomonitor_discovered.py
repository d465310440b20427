"""Processes that run aiomonitor are marked in the list, and neither they nor the list suffer from it."""

from __future__ import annotations

import json
import subprocess
import time

from taskscope.attach import peers
from taskscope.attach.discover import PythonProcess, processes
from taskscope.sources.aiomonitor.source import AiomonitorSource
from taskscope.sources.resolve import resolve
from taskscope.tui import opening
from taskscope.tui.picker import advice
from tests.integration.children import STANDING, running, says, taskscope
from tests.integration.monitored import Child, free_port, monitored


def found(pid: int) -> PythonProcess:
    return next(process for process in processes() if process.pid == pid)


def test_a_process_that_runs_aiomonitor_says_how_to_attach_to_it() -> None:
    with monitored("hook") as child:
        process = found(child.pid)
        assert process.monitor == child.target
        assert f"taskscope attach {child.target}" in advice(process)
        shown = taskscope("ps", "--json")
        row = next(row for row in json.loads(shown.stdout) if row["pid"] == child.pid)
        assert (row["monitor"], row["agent"]) == (child.target, None)
        assert f"({child.target})" in taskscope("ps").stdout


def test_one_that_cannot_get_an_agent_is_opened_through_its_aiomonitor() -> None:
    with monitored("hook") as child:
        process = PythonProcess(
            child.pid, "u", "c", 0.0, 0, 0.0, 1, "3.9", None, True, "Python 3.9", True, child.target
        )
        assert f"Enter opens {child.target}" in advice(process)
        assert opening._open(process).host == "127.0.0.1"  # type: ignore[attr-defined]


DEBUGGER = """
import ctypes, sys
assert ctypes.CDLL(None).ptrace(0x4206, int(sys.argv[1]), None, None) == 0
print("seized", flush=True)
sys.stdin.read()
"""


def test_where_no_agent_can_be_brought_in_attach_says_that_aiomonitor_answers() -> None:
    with (
        monitored("hook") as child,
        running(DEBUGGER, arguments=[str(child.pid)], stdin=subprocess.PIPE) as debugger,
    ):
        says(debugger, "seized")
        refused = taskscope("snapshot", str(child.pid))
        assert refused.returncode == 3
        assert f"already being debugged, by process {debugger.pid}" in refused.stderr
        assert f"`taskscope attach {child.target}`" in refused.stderr


def test_a_process_without_it_is_not_asked_and_not_marked() -> None:
    with running(STANDING) as child:
        says(child, "standing")
        assert found(child.pid).monitor == ""
        assert not peers.may_run_monitor(peers.maps_of(child.pid))


def test_looking_again_asks_nothing_again() -> None:
    with monitored("hook") as child:
        assert found(child.pid).monitor
        began = time.perf_counter()
        for _ in range(1000):
            peers.monitor_of(child.pid, found_started(child))
        assert time.perf_counter() - began < 0.1


def found_started(child: Child) -> float:
    return next(started for pid, started in peers._answers if pid == child.pid)


def test_asking_its_telnet_port_leaves_no_session_behind() -> None:
    with monitored("hook") as child:  # its stderr must stay empty
        before = child.do("sessions")
        for _ in range(3):
            assert not peers.is_monitor("127.0.0.1", child.telnet)
        give_up = time.monotonic() + 5
        while child.do("sessions") != before:
            assert time.monotonic() < give_up, f"{child.do('sessions')} instead of {before}"


async def test_an_aiomonitor_that_comes_back_is_found_again() -> None:
    source = resolve(f"aiomonitor://127.0.0.1:{free_port()}")
    assert isinstance(source, AiomonitorSource)
    look = opening.coming_back(source)
    assert look is not None
    assert await look() is None
    with monitored("hook", web=source.port):
        again = await look()
        assert isinstance(again, AiomonitorSource)
        assert (again.host, again.port) == (source.host, source.port)
