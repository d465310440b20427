"""Docker and Podman themselves: a container by its name, from outside and from inside.

``pytest -m containers -n 0``, as root.  Each engine has a state of its own, so that the machine's images and
containers are left alone; what is missing is installed where the machine is a Debian.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from taskscope.attach.containers import ENGINES
from taskscope.export.bundle import bundle
from tests import pythons
from tests.containers.in_a_container import PROGRAM, settled, tasks, taskscope

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.containers, pytest.mark.timeout(600)]

IMAGE, NAME = "taskscope-test", "shop"
PACKAGES = {"docker": "docker.io", "podman": "podman"}
STRICT = (
    "--read-only --cap-drop ALL --security-opt no-new-privileges "
    "--user 1000:1000 --pids-limit 64 --memory 256m"
)

STORAGE = """[storage]
driver = "vfs"
graphroot = "{folder}/storage"
runroot = "{folder}/run"
"""

CONTAINERS = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
"""


@dataclass(frozen=True)
class Engine:
    """``share`` is a folder that its containers see as /mnt."""

    name: str
    share: Path
    python: Path

    def __call__(self, *words: str | Path, given: bytes = b"") -> str:
        done = subprocess.run([self.name, *words], input=given, capture_output=True, check=False)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout.decode()

    def start(self, options: str) -> int:
        """A container with the program and 51 tasks; its process, seen from here."""
        shared = [f"--volume={each}:{each}:ro" for each in {Path("/usr"), self.python.parents[1]}]
        shared += [f"--volume={self.share}:/mnt:ro", "--network=none"]
        self("run", "--detach", "--name", NAME, *options.split(), *shared, IMAGE, self.python, "-c", PROGRAM)
        settled(lambda: self("logs", NAME), "ready\n")
        return int(self("inspect", "--format", "{{.State.Pid}}", NAME))


@pytest.fixture(params=ENGINES)
def engine(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    name = request.param
    installed(name)
    share = tmp_path / "share"
    share.mkdir(mode=0o755)
    (share / "there.pyz").write_bytes(bundle())
    found = Engine(name, share, pythons.require("3.11").resolve())
    (tmp_path / "storage.conf").write_text(STORAGE.format(folder=tmp_path))
    (tmp_path / "containers.conf").write_text(CONTAINERS)
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(tmp_path / "storage.conf"))
    monkeypatch.setenv("CONTAINERS_CONF", str(tmp_path / "containers.conf"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    daemon = docker_daemon(tmp_path) if name == "docker" else None
    try:
        found("import", "-", IMAGE, given=empty_image())
        yield found
        found("rm", "--force", NAME)
    finally:
        if daemon is not None:
            daemon.terminate()
            daemon.wait()


def installed(name: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("containers take root")
    if shutil.which(name) and (name != "docker" or shutil.which("dockerd")):
        return
    if shutil.which("apt-get") is None:
        pytest.skip(f"no {name} here, and none can be installed")
    install = f"apt-get -qq update; apt-get -qq install -y --no-install-recommends {PACKAGES[name]}"
    subprocess.run(["sh", "-c", install], check=True, timeout=400, capture_output=True)


def docker_daemon(folder: Path) -> subprocess.Popen[bytes]:
    """One that leaves the machine's network as it is."""
    words = ["dockerd", "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec"]
    words += [
        "--pidfile",
        f"{folder}/docker.pid",
        "--host",
        os.environ["DOCKER_HOST"],
        "--storage-driver=vfs",
    ]
    words += ["--iptables=false", "--ip6tables=false", "--bridge=none"]
    with (folder / "docker.log").open("wb") as log:
        daemon = subprocess.Popen(words, stdout=log, stderr=log)
    info = ["docker", "info"]
    settled(lambda: subprocess.run(info, capture_output=True, check=False).returncode, 0)
    return daemon


def empty_image() -> bytes:
    """Only the links to what is mounted at /usr."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as image:
        for name in ("bin", "sbin", "lib", "lib64"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            image.addfile(link)
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        image.addfile(folder)
    return packed.getvalue()


def state(pid: int) -> tuple[int, int]:
    """Threads and descriptors."""
    return len(os.listdir(f"/proc/{pid}/task")), len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.parametrize("options", ["", STRICT], ids=["plain", "strict"])
def test_a_container_is_a_target_by_name_and_from_inside_and_left_as_it_was(
    engine: Engine, options: str
) -> None:
    pid = engine.start(options)
    before = state(pid)
    target = f"{engine.name}:{NAME}"
    assert "can be attached to" in taskscope("doctor", target)
    assert tasks(target) == 51
    taskscope("detach", target)
    settled(lambda: state(pid), before)
    via = f"{engine.name} exec -i {NAME} {engine.python} /mnt/there.pyz"
    assert "asyncio.gather" in taskscope("ps", "--via", via)
    assert tasks("--via", via, "1") == 51
    taskscope("detach", "--via", via, "1")
    settled(lambda: state(pid), before)
    assert tasks("--read-only", target) == 51
    assert state(pid) == before
