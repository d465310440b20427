"""What another user plants where agents listen stops no service and is neither trusted nor printed raw.

Two users of numbers that nobody has.  The children import everything before they become one of them, since
the interpreter may lie where only root gets in.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from taskscope import endpoint
from taskscope.attach.presence import agent_in
from taskscope.sources.base import SourceError
from taskscope.sources.live import LiveSource
from tests.integration.children import REPO, taskscope

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two other users")

VICTIM, ATTACKER = 23451, 23452

SERVICE = """
import ctypes, os, sys, asyncio, taskscope, taskscope.agent.agent, taskscope.testing.guard
uid = int(sys.argv[1])
os.setgroups([]); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)
ctypes.CDLL(None).prctl(4, 1)  # dumpable again: an ordinary process of that user
taskscope.start("service")
print("started", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def standard_places(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("TASKSCOPE_DIR", raising=False)
    yield
    for folder in Path("/tmp").glob("taskscope-2345[12]*"):
        shutil.rmtree(folder)


@contextmanager
def service(uid: int, program: str = SERVICE) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", program, str(uid)]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    with subprocess.Popen(
        command, stdin=-1, stdout=-1, stderr=-1, text=True, env=environment, cwd="/"
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def started(child: subprocess.Popen[str]) -> None:
    assert child.stdout is not None
    assert child.stderr is not None
    assert child.stdout.readline() == "started\n", child.stderr.read()


def planted(name: str, uid: int = ATTACKER, mode: int = 0o755) -> socket.socket:
    """A listening socket of ``uid`` in the place of the victim's directory."""
    folder = Path(f"/tmp/taskscope-{VICTIM}")
    folder.mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{folder}/{name}")
    listener.listen()
    for path in (folder / name, folder):
        os.chown(path, uid, uid)
    folder.chmod(mode)
    return listener


@pytest.mark.parametrize("name", ["²..x.sock", "1.\x1b[31mred.sock", "1.service.sock"])
def test_a_directory_in_somebodys_name_does_not_keep_their_service_from_starting(name: str) -> None:
    with planted(name), service(VICTIM) as child:
        started(child)
        point = agent_in(child.pid)
        assert point is not None
        assert point.path.startswith(f"/tmp/taskscope-{VICTIM}-"), "not in the attacker's directory"
        assert Path(point.path).parent.stat().st_uid == VICTIM
        listed = taskscope("ps")
        assert listed.returncode == 0, listed.stderr
        assert any(str(child.pid) in line and "service" in line for line in listed.stdout.splitlines())
        assert "\x1b" not in listed.stdout


@pytest.mark.parametrize(("uid", "mode"), [(ATTACKER, 0o755), (ATTACKER, 0o700), (VICTIM, 0o777)])
def test_sockets_where_others_may_write_are_not_listed(uid: int, mode: int) -> None:
    with planted("1.service.sock", uid, mode):
        assert endpoint.listing(VICTIM) == ()


@pytest.mark.parametrize("name", ["²..x.sock", "1.\x1b[31mred.sock", "x.sock", "-1.a.sock", "1.a.sock~"])
def test_only_names_that_an_agent_would_choose_are_listed(name: str) -> None:
    with planted(name, uid=VICTIM, mode=0o700):
        assert endpoint.listing(VICTIM) == ()


async def test_an_agent_that_another_user_serves_is_not_believed(tmp_path: Path) -> None:
    """The socket's file is the victim's, who listens is not."""
    path = tmp_path / "1.service.sock"
    program = (
        "import os, socket, sys; path = sys.argv[1]; listener = socket.socket(socket.AF_UNIX)\n"
        f"listener.bind(path); os.chown(path, {VICTIM}, {VICTIM}); "
        f"os.setresuid({ATTACKER}, {ATTACKER}, {ATTACKER})\n"
        "listener.listen(); print('listening', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=-1, stdout=-1, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "listening\n"
        with pytest.raises(SourceError, match=rf"served by uid {ATTACKER}, which is neither you nor root"):
            await LiveSource(str(path), patience=5).open()
        child.kill()


DESCENDING = """
import ctypes, os, sys, asyncio, taskscope, taskscope.agent.agent
taskscope.start("service", interval=0.1)
print("started", flush=True)
sys.stdin.readline()
uid = int(sys.argv[1])
os.setgroups([]); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)
ctypes.CDLL(None).prctl(4, 1)
print("descended", flush=True)
sys.stdin.read()
"""


def test_the_agent_of_a_service_that_gives_up_root_moves_to_its_new_users_directory() -> None:
    with service(VICTIM, DESCENDING) as child:
        started(child)
        before = agent_in(child.pid)
        assert before is not None
        assert Path(before.path).parent.stat().st_uid == 0
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.stdout.readline() == "descended\n"
        give_up = time.monotonic() + 10
        while (after := agent_in(child.pid)) == before or after is None:
            assert time.monotonic() < give_up, "it still listens where only root gets in"
            time.sleep(0.01)
        assert Path(after.path).parent.stat().st_uid == VICTIM
        assert endpoint.peer(after.path) == endpoint.Peer(child.pid, VICTIM)
        endpoint.sweep()
        assert not Path(before.path).exists()
