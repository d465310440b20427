"""``--via 'ssh HOST'`` with a real sshd from Debian's packages: it works, and whatever is cut leaves nothing.

Run with ``pytest -m ssh -n 0``.  It installs openssh-server if that is missing, which takes root, and runs an
sshd of its own on a port of the loopback, with keys of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

from taskscope.sources import via
from taskscope.sources.base import ConnectionLost, SourceError
from taskscope.sources.live import LiveSource
from taskscope.sources.resolve import resolve
from tests import pythons, targets
from tests.far_ends import HERE, children, cut, running, samples_until_the_end, settled, state, watching
from tests.integration.children import taskscope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.targets import Program

pytestmark = [pytest.mark.ssh, pytest.mark.timeout(300)]

TIMES = 10


class Sshd:
    """A running server; ``command`` logs in, with more options."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port: int = free.getsockname()[1]
        for name in ("host", "key", "stranger"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        shutil.copy(folder / "key.pub", folder / "authorized")
        (folder / "config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile {folder}/pid\n"
            f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
        )
        program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin") or "sshd"
        self.child = subprocess.Popen(
            [program, "-D", "-e", "-f", folder / "config"], stderr=subprocess.PIPE, text=True
        )
        assert self.child.stderr is not None
        while "Server listening" not in (line := self.child.stderr.readline()):
            assert line, "sshd does not start"

    def command(self, key: str = "key", *more: str) -> str:
        known = f"UserKnownHostsFile={self.folder}/known"
        options = ["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", known]
        login = ["-p", str(self.port), "-i", str(self.folder / key), "-o", "IdentitiesOnly=yes", "127.0.0.1"]
        return shlex.join(["ssh", *options, *login, *more])

    def sessions(self) -> list[int]:
        """The processes that serve logins."""
        return children(self.child.pid)


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    if shutil.which("sshd", path="/usr/sbin:/usr/local/sbin") is None:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            pytest.skip("no sshd here, and none can be installed")
        install = "apt-get -qq update; apt-get -qq install -y --no-install-recommends openssh-server"
        subprocess.run(["sh", "-c", install], check=True, timeout=240, capture_output=True)
    os.makedirs("/run/sshd", exist_ok=True)
    server = Sshd(tmp_path_factory.mktemp("ssh"))
    try:
        yield server
    finally:
        server.child.kill()
        server.child.communicate()


@pytest.fixture
def program() -> Iterator[Program]:
    with targets.running(pythons.require("3.11"), "asyncio idle") as found:
        yield found


@pytest.fixture(autouse=True)
def nothing_is_left(sshd: Sshd) -> Iterator[None]:
    before = set(children(os.getpid()))
    yield
    while via._fars:
        via._fars.popitem()[1].close()
    settled(lambda: set(children(os.getpid())) - before, set())
    settled(sshd.sessions, [])


def over(sshd: Sshd) -> str:
    """A login whose relay lets agents leave sooner than usual."""
    return f"{sshd.command()} {shlex.quote(HERE)}"


def test_snapshot_watch_and_ps_go_through_it(sshd: Sshd, program: Program) -> None:
    before = state(program)
    taken = taskscope("snapshot", "--via", over(sshd), str(program.pid))
    assert taken.returncode == 0, taken.stderr
    assert len(json.loads(taken.stdout)["tasks"]) == 6
    watched = taskscope("watch", "--via", over(sshd), "--for", "4s", "--json", str(program.pid))
    assert watched.returncode == 0, watched.stderr
    assert len(json.loads(watched.stdout)["samples"]) >= 3
    listed = json.loads(taskscope("ps", "--via", over(sshd), "--json").stdout)
    assert program.pid in {each["pid"] for each in listed}
    settled(lambda: state(program), before)


def test_a_bundle_is_copied_and_used_as_the_message_says(
    sshd: Sshd, program: Program, tmp_path: Path
) -> None:
    bare = sshd.command("key", f"cd {tmp_path};", "PATH=/usr/bin:/bin")
    refused = taskscope("ps", "--via", bare)
    assert refused.returncode == 3
    told = refused.stderr.strip().splitlines()[-1]
    assert "finds no taskscope" in told
    _, copy, rest = told.split("`")[0], told.split("`")[1], told.split("`")[2]
    copy = copy.replace("taskscope relay", f"{sys.executable} -m taskscope relay", 1)
    subprocess.run(copy, shell=True, check=True, timeout=60)
    assert (tmp_path / "taskscope.pyz").stat().st_size > 100_000
    command = rest.split("--via ", 1)[1].strip("'")
    taken = taskscope(
        "snapshot", "--via", command.replace("python3 ", f"{sys.executable} -I -S "), str(program.pid)
    )
    assert len(json.loads(taken.stdout)["tasks"]) == 6, taken.stderr


def test_a_refused_login_passes_on_what_ssh_says(sshd: Sshd) -> None:
    with pytest.raises(SourceError, match=r"failed: .*Permission denied \(publickey"):
        via.reached(sshd.command("stranger"))


@pytest.mark.parametrize("who", ["ssh", "the relay", "the session of sshd"])
def test_whoever_is_killed_in_mid_stream_both_sides_are_clean(who: str, sshd: Sshd, program: Program) -> None:
    before, ours = state(program), set(children(os.getpid()))
    victims: dict[str, Callable[[], list[int]]] = {
        "ssh": lambda: list(set(children(os.getpid())) - ours),
        "the relay": lambda: running("taskscope.sources import relay"),
        "the session of sshd": sshd.sessions,
    }

    async def watch() -> SourceError:
        source = resolve(str(program.pid), via=over(sshd))
        assert isinstance(source, LiveSource)
        await source.open()

        def kill(_: object) -> None:
            for victim in victims[who]():
                with suppress(ProcessLookupError):
                    cut(victim)

        return await samples_until_the_end(source, kill)

    for _ in range(TIMES):
        lost = asyncio.run(watch())
        assert isinstance(lost, ConnectionLost), lost
        assert str(lost).startswith("connection lost: "), lost
    settled(lambda: running("taskscope.sources import relay"), [])
    settled(sshd.sessions, [])
    settled(lambda: state(program), before)
    assert program.alive


def test_when_the_watcher_is_killed_nothing_is_left_there(sshd: Sshd, program: Program) -> None:
    before = state(program)
    for _ in range(TIMES):
        watcher = watching("--via", over(sshd), str(program.pid))
        (ssh,) = children(watcher.pid)
        cut(watcher.pid)
        watcher.communicate()
        settled(lambda ssh=ssh: os.path.exists(f"/proc/{ssh}"), False)  # type: ignore[misc]
    settled(sshd.sessions, [])
    settled(lambda: state(program), before)
