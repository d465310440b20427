"""Root attaches to a malicious user's process: nothing of theirs is run, followed or opened."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from taskscope.attach import inject, injection, procfs
from taskscope.attach.errors import AttachError
from taskscope.attach.presence import agent_in
from taskscope.model import requests
from taskscope.sources.aiomonitor.source import AiomonitorSource
from taskscope.sources.base import NotAvailable
from tests import pythons, targets
from tests.agent_client import AgentClient
from tests.integration.children import REPO
from tests.patience import settled

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be two users")

USER = 23461 + os.getpid() % 20_000  # another one in each worker
AS_USER = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--inh-caps=-all")

GROWN_UP = 2.1
"""Seconds of age from which a program that is busy may be asked to start the agent itself."""

MARK = '#!/bin/sh\necho "$0 ran as $(id -u)" >> {mark}\n'


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of the user, in which ``mark`` records what was run."""
    monkeypatch.delenv("TASKSCOPE_DIR", raising=False)
    with tempfile.TemporaryDirectory(prefix="home-of-a-user-") as name:
        folder = Path(name)
        (folder / "mark").touch()
        (folder / "mark").chmod(0o666)
        os.chown(folder, USER, USER)
        yield folder
    for folder in Path("/tmp").glob(f"taskscope-{USER}*"):
        shutil.rmtree(folder)


def planted(path: Path, mark: Path) -> None:
    """A program of the user that records that it was run, and as whom."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    path.write_text(MARK.format(mark=mark))
    path.chmod(0o755)
    os.chown(path, USER, USER)


@pytest.mark.parametrize("version", ["3.14"])
def test_the_interpreter_of_a_user_is_not_run(version: str, home: Path) -> None:
    python = pythons.require(version)
    copied = home / f"python{version}"
    shutil.copy(python, copied)
    environment = {**os.environ, "PYTHONHOME": str(python.parent.parent)}
    before = (*AS_USER, "env")
    with targets.running(copied, "tight loop", before=before, env=environment) as program:
        planted(copied, home / "mark")
        planted(home / os.readlink(f"/proc/{program.pid}/exe"), home / "mark")  # "… (deleted)" by now
        settled(lambda: procfs.age(program.pid) > GROWN_UP, True)
        client = AgentClient(inject.ensure_agent(program.pid).path)
        assert client.hello["arrived"] == "injected"
        client.detach()
        assert program.alive
    assert (home / "mark").read_text() == ""


def test_nothing_in_the_path_of_a_user_is_run(home: Path) -> None:
    for name in ("python", "python3", "sh", "gdb", "env", "id", "nsenter", "readelf", "ldconfig", "uname"):
        planted(home / name, home / "mark")
    environment = {**os.environ, "PATH": f"{home}:{os.environ['PATH']}", "PYTHONPATH": str(REPO)}
    with targets.running(pythons.require("3.14"), "asyncio idle", before=AS_USER) as program:
        for words in (
            ("doctor", str(program.pid)),
            ("snapshot", str(program.pid)),
            ("detach", str(program.pid)),
        ):
            done = subprocess.run(
                [sys.executable, "-m", "taskscope", *words],
                cwd=home,
                env=environment,
                capture_output=True,
                text=True,
                timeout=40,
            )
            assert done.returncode == 0, done.stderr
    assert (home / "mark").read_text() == ""


def test_attaching_writes_no_file_and_removes_none(home: Path) -> None:
    secret = home / "of root alone"
    secret.write_text("secret")
    secret.chmod(0o600)
    temporary = Path(tempfile.gettempdir())
    gone = subprocess.Popen(["true"])
    gone.wait()
    with targets.running(pythons.require("3.14"), "tight loop", before=AS_USER) as program:
        traps = [temporary / f"taskscope-attach-{pid}-x" for pid in (program.pid, gone.pid)]
        try:
            for trap in traps:
                trap.mkdir(mode=0o777)
                os.mkfifo(trap / "reply")
                (trap / "disarmed").symlink_to(secret)
                os.chown(trap, USER, USER)
            settled(lambda: procfs.age(program.pid) > GROWN_UP, True)
            before = {*temporary.iterdir()}
            AgentClient(inject.ensure_agent(program.pid).path).detach()
            made = {
                path
                for path in {*temporary.iterdir()} - before
                if path.stat().st_mtime > secret.stat().st_mtime
            }
            assert {path.name for path in made if "taskscope" in path.name} <= {f"taskscope-{USER}"}
            assert all((trap / "reply").exists() for trap in traps)
        finally:
            for trap in traps:
                shutil.rmtree(trap, ignore_errors=True)
    assert (secret.read_text(), secret.stat().st_uid, secret.stat().st_mode & 0o777) == ("secret", 0, 0o600)


def test_what_is_no_pipe_is_not_opened(home: Path) -> None:
    device = home / "device"
    device.write_text("secret")
    device.chmod(0o600)
    text = f"""
import os
os.dup2(os.open({str(device)!r}, os.O_PATH), 9)
print("ready", os.getpid())
os.read(os.pipe()[0], 1)
"""
    opened: list[object] = []
    with targets.running(pythons.require("3.14"), text, before=AS_USER) as program:
        sys.addaudithook(lambda event, args: opened.append(args[0]) if event == "open" else None)
        with pytest.raises(AttachError, match="has closed the pipe"):
            injection._read_end(program.pid, 9)
        assert [path for path in opened if str(program.pid) in str(path)] == [f"/proc/{program.pid}/fd/9"]
        assert not [path for path in opened if "/proc/self/fd" in str(path)], "opened, not only looked at"


def test_a_link_in_the_place_of_a_socket_is_not_followed(home: Path) -> None:
    private = home / "roots"
    with targets.running(
        pythons.require("3.14"),
        "asyncio idle",
        before=AS_USER,
        env={**os.environ, "TASKSCOPE_DIR": str(home)},
    ) as program:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(private))
            private.chmod(0o600)
            listener.listen()
            listener.setblocking(False)
            (home / f"{program.pid}.python.sock").symlink_to(private)
            assert agent_in(program.pid) is None
            with pytest.raises(BlockingIOError):
                listener.accept()
        client = AgentClient(inject.ensure_agent(program.pid).path)
        assert Path(client.path).parent == home
        client.detach()


@pytest.mark.parametrize("file", ["/etc/shadow", "/dev/zero", "relative"])
async def test_root_reads_no_source_that_a_user_names(file: str) -> None:
    source = AiomonitorSource("127.0.0.1", 1)
    with pytest.raises(NotAvailable, match="root does not read"):
        await source.ask(requests.Source(file, 1, 10))
