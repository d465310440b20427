"""Where there is no ``/proc``: programs still run with an agent and are seen, files are read, and what
cannot be done says so.  Also without what else macOS lacks, see `elsewhere`."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from taskscope import endpoint
from tests import targets
from tests.elsewhere import without_proc
from tests.integration.children import REPO, STANDING, says
from tests.terminal import Terminal

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

TASKSCOPE = (sys.executable, "-m", "taskscope")
AS_MAC = (sys.executable, "-m", "tests.elsewhere")
NAME = f"bare-{os.getpid()}"
MISSING = "there is no /proc here to find and enter processes by (Linux has one); start the program with "


elsewhere = pytest.mark.elsewhere


@contextmanager
def standing(*command: str) -> Iterator[int]:
    """The pid of `STANDING`, which has an agent."""
    with subprocess.Popen(without_proc(*command), stdout=subprocess.PIPE, text=True, cwd=REPO) as child:
        try:
            says(child, "standing")
            yield child.pid
        finally:
            child.kill()


@pytest.fixture(params=["run", "as on macOS"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[tuple[str, ...], int]]:
    """How taskscope is called here, and the pid of a program with an agent that is called `NAME`."""
    if request.param == "run":
        with standing(*TASKSCOPE, "run", "--name", NAME, "-c", STANDING) as pid:
            yield TASKSCOPE, pid
    else:
        (program := tmp_path / "program.py").write_text(
            f"import taskscope\ntaskscope.start({NAME!r})\n{STANDING}"
        )
        with standing(*AS_MAC, str(program)) as pid:
            yield AS_MAC, pid


def done(*command: str) -> subprocess.CompletedProcess[str]:
    command_line = without_proc(*command)
    return subprocess.run(command_line, capture_output=True, text=True, check=False, cwd=REPO, timeout=60)


@elsewhere
def test_an_agent_is_reached_by_pid_and_name(target: tuple[tuple[str, ...], int], tmp_path: Path) -> None:
    taskscope, pid = target
    for word in (str(pid), NAME):
        found = done(*taskscope, "snapshot", word)
        assert found.returncode == 0, found.stderr
        assert len(json.loads(found.stdout)["tasks"]) == 324
    assert "already running" in done(*taskscope, "doctor", str(pid)).stdout
    listed = done(*taskscope, "ps")
    assert (listed.returncode, listed.stdout) == (3, "")
    assert listed.stderr.startswith(f"taskscope ps: {MISSING}")
    assert NAME in listed.stderr
    recorded = done(*taskscope, "record", NAME, "-o", str(tmp_path / "bare.rec"), "--for", "1s")
    assert recorded.returncode == 0, recorded.stderr
    assert done(*taskscope, "detach", str(pid)).stderr == f"Agent removed from process {pid}.\n"
    for verb in ("report", "export"):
        options = ["--format", "trace"] if verb == "export" else []
        written = done(*taskscope, verb, str(tmp_path / "bare.rec"), *options, "-o", str(tmp_path / "x.html"))
        assert written.returncode == 0, written.stderr


@elsewhere
async def test_the_app_opens_on_a_live_target_and_on_its_snapshot(
    target: tuple[tuple[str, ...], int], tmp_path: Path
) -> None:
    taskscope, _ = target
    file = str(tmp_path / "bare.json")
    assert done(*taskscope, "snapshot", NAME, "-o", file).returncode == 0
    for words in (["attach", NAME], ["open", file]):
        async with Terminal(without_proc(*taskscope, *words)) as terminal:
            await terminal.until("sleeper")
            terminal.press("q")


@elsewhere
@pytest.mark.parametrize("verb", ["doctor", "attach", "snapshot", "watch", "detach"])
def test_a_process_without_an_agent_is_out_of_reach(verb: str) -> None:
    for taskscope in (TASKSCOPE, AS_MAC):
        refused = done(*taskscope, verb, "1")
        expected = "no agent in process 1\n" if verb == "detach" else MISSING
        assert refused.returncode == 3
        assert refused.stderr.startswith(f"taskscope {verb}: {expected}")
        assert refused.stderr.count("\n") == 1


@elsewhere
def test_what_is_far_is_reached_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The far end has a /proc, and an agent is brought in there."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    via = """unshare --mount sh -c 'umount /proc; mount -t proc proc /proc && exec "$@"' sh"""
    with targets.running(Path(sys.executable), "asyncio idle") as program:
        for verb in ("snapshot", "doctor"):
            found = done(*AS_MAC, verb, str(program.pid), "--via", via)
            assert found.returncode == 0, found.stderr
            assert "asyncio" in found.stdout or "CPython" in found.stdout
        assert f"{program.pid} " in done(*AS_MAC, "ps", "--via", via).stdout


def test_a_peer_on_macos_is_known_by_its_credentials() -> None:
    """As in xnu's bsd/sys/ucred.h and un.h; no such kernel is at hand."""

    class Connection:
        def getsockopt(self, level: int, option: int, size: int = 0) -> bytes | int:
            assert level == 0
            if option == 2:
                return 4711
            assert (option, size) == (1, 76)
            return struct.pack("IIh16I", 0, 501, 1, 20, *[0] * 15)

    peer = endpoint._peer_on_mac(cast("socket.socket", Connection()))
    assert peer == endpoint.Peer(4711, 501)
