"""Processes that run aiomonitor are marked in the list, at no harm to them or to the list."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from taskscope.attach import peers
from taskscope.attach.discover import PythonProcess, processes
from taskscope.sources.aiomonitor.source import AiomonitorSource
from taskscope.sources.base import SourceError
from taskscope.sources.resolve import resolve
from taskscope.tui import opening
from taskscope.tui.coming_back import coming_back
from taskscope.tui.picker import advice
from tests import targets
from tests.integration.children import STANDING, running, says, taskscope
from tests.integration.monitored import free_port, monitored

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.packages


def found(pid: int) -> PythonProcess:
    return next(process for process in processes() if process.pid == pid)


def test_a_process_that_seems_to_run_aiomonitor_says_how_to_attach_to_it() -> None:
    if not free(peers.TELNET) or not free(peers.WEB):
        pytest.skip(f"port {peers.TELNET} or {peers.WEB} is taken")
    with monitored("hook", web=peers.WEB) as child:
        process = found(child.pid)
        assert process.monitor == child.target
        assert f"taskscope attach {child.target}" in advice(process)
        shown = taskscope("ps", "--json")
        row = next(row for row in json.loads(shown.stdout) if row["pid"] == child.pid)
        assert (row["monitor"], row["agent"]) == (child.target, None)
        assert f"({child.target})" in taskscope("ps").stdout


def free(port: int) -> bool:
    with socket.socket() as taken:
        return taken.connect_ex(("127.0.0.1", port)) != 0


SERVICE = """
import aiohttp, asyncio, os
class Counting(asyncio.Protocol):
    def connection_made(self, transport):
        os.write(2, b"somebody has connected\\n")
        transport.close()
async def main():
    for _ in range(3):
        server = await asyncio.get_running_loop().create_server(Counting, "127.0.0.1", 0)
    print("ready", os.getpid(), server.sockets[0].getsockname()[1])
    await asyncio.Event().wait()
asyncio.run(main())
"""


def test_no_port_of_a_service_is_spoken_to(tmp_path: Path) -> None:
    with (
        open(tmp_path / "log", "w+") as log,
        targets.running(sys.executable, SERVICE, stderr=log) as program,
    ):
        assert peers.may_run_monitor(peers.maps_of(program.pid))
        found(program.pid)
        assert taskscope("ps").returncode == 0
        assert taskscope("doctor", str(program.pid)).returncode == 0
        assert taskscope("snapshot", str(program.pid), "-o", str(tmp_path / "state.json")).returncode == 0
        assert taskscope("detach", str(program.pid)).returncode == 0
        with running(DEBUGGER, arguments=[str(program.pid)], stdin=subprocess.PIPE) as debugger:
            says(debugger, "seized")
            assert taskscope("snapshot", str(program.pid)).returncode == 3
        with socket.create_connection(("127.0.0.1", program.port)) as ours:
            assert ours.recv(1) == b""
        assert log.seek(0) == 0
        assert log.read() == "somebody has connected\n", "more than ourselves just now"


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


def test_where_no_agent_can_be_brought_in_attach_says_that_aiomonitor_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        monitored("hook") as child,
        running(DEBUGGER, arguments=[str(child.pid)], stdin=subprocess.PIPE) as debugger,
    ):
        says(debugger, "seized")
        monkeypatch.setattr(peers, "TELNET", child.telnet)
        monkeypatch.setattr(peers, "WEB", child.telnet + 1)
        with pytest.raises(SourceError) as refused:
            resolve(str(child.pid))
        assert f"is being debugged by process {debugger.pid}" in str(refused.value)
        assert f"`taskscope attach {child.target}`" in str(refused.value)


def test_a_process_without_it_is_not_marked() -> None:
    with running(STANDING) as child:
        says(child, "standing")
        assert found(child.pid).monitor == ""
        assert not peers.may_run_monitor(peers.maps_of(child.pid))


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
    look = coming_back(source)
    assert look is not None
    assert await look() is None
    with monitored("hook", web=source.port):
        again = await look()
        assert isinstance(again, AiomonitorSource)
        assert (again.host, again.port) == (source.host, source.port)
